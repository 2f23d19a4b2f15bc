"""`judge-opt registry`: the registered judges and what changed between their versions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.locate import parse_reference
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK, NotFound
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from judge_opt.registry import Registry, Version

app = typer.Typer(help="List, show and compare registered judges.", no_args_is_help=False)

KIND = "judge"


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All versions of this judge.")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """List the latest version of every judge, or all versions of one."""
    registry = _open(home)
    if registry is None:
        found: list[Version] = []
    else:
        found = registry.versions(KIND, name) if name else registry.list(KIND)
    if as_json:
        output.emit({"versions": [_json(version) for version in found]})
    elif not found:
        output.say(f"No judge is registered in {home}." if name is None else f"No judge {name!r} in {home}.")
    else:
        output.table(
            ["judge", "aliases", "created (UTC)", "hash", "from"],
            [
                [
                    f"{v.name}/{v.version}" + (" (deleted)" if v.deleted else ""),
                    ", ".join(v.aliases),
                    f"{v.created:%Y-%m-%d %H:%M}",
                    v.content_hash[:12],
                    str(v.lineage.get("run_id", "")),
                ]
                for v in found
            ],
        )
    return EXIT_OK


@app.command("show")
def show(
    judge: Annotated[str, typer.Argument(metavar="NAME[/VERSION|@ALIAS]")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Show one version: what it is, what it learned, where it came from."""
    name, wanted = parse_reference(judge)
    version, state, blobs = _existing(home, name).get(KIND, name, wanted)
    if as_json:
        output.emit(
            {**_json(version), "judge": state, "blobs": {key: len(data) for key, data in blobs.items()}}
        )
        return EXIT_OK
    for line in _lines(version, state, blobs):
        print(printable(line))
    return EXIT_OK


@app.command("diff")
def diff(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    a: Annotated[str, typer.Argument(metavar="A", help="A version number or alias.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Show what changed from version A to version B."""
    changes = _existing(home, name).diff(KIND, name, a, b)
    if as_json:
        output.emit({"name": name, "a": a, "b": b, "changes": changes})
    else:
        print(printable("\n".join(changes) if changes else "No difference."))
    return EXIT_OK


def _open(home: Path) -> "Registry | None":
    from judge_opt.registry import Registry
    from judge_opt.registry.judges import registry_path

    path = registry_path(home)
    return Registry(path) if path.is_file() else None


def _existing(home: Path, name: str) -> "Registry":
    registry = _open(home)
    if registry is None:
        raise NotFound(
            f"There is no judge {name!r}: nothing is registered in {home}.",
            "Align one, or give the right --home.",
        )
    return registry


def _json(version: "Version") -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "content_hash": version.content_hash,
        "created": version.created.isoformat(),
        "aliases": list(version.aliases),
        "tags": dict(version.tags),
        "lineage": dict(version.lineage),
        "deleted": version.deleted,
    }


def _lines(version: "Version", state: dict[str, Any], blobs: dict[str, bytes]) -> list[str]:
    memory = state.get("memory") or {}
    guidelines = [g for g in memory.get("guidelines", []) if g.get("state") == "active"]
    validation = version.lineage.get("validation") or {}
    facts = [
        ("judge", f"{version.name}/{version.version}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        ("created", f"{version.created:%Y-%m-%d %H:%M} UTC"),
        ("hash", version.content_hash),
        ("model", state["model"]),
        ("run", str(version.lineage.get("run_id", "not known"))),
        ("proof", str(validation.get("headline", "none stored"))),
        ("blobs", ", ".join(f"{key} ({len(data)} bytes)" for key, data in blobs.items()) or "none"),
    ]
    lines = [f"{name + ':':<12}{' '.join(value.split())}" for name, value in facts]
    lines += ["", "instructions:", *(f"  {line}" for line in state["instructions"].splitlines())]
    if guidelines:
        lines += ["", "guidelines:", *(f"  - {' '.join(str(g['text']).split())}" for g in guidelines)]
    return lines
