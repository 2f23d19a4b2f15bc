"""`judge-opt registry`: the registered judges, what changed between their versions, and their bundles."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.locate import parse_reference
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp
from judge_opt.core.errors import EXIT_OK, NotFound, UsageError
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from judge_opt.registry import Registry, Version

app = typer.Typer(
    cls=WholeHelp,
    help="List, show, compare, tag, delete, export and import registered judges.",
    no_args_is_help=False,
)

KIND = "judge"


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="All versions of this judge.")] = None,
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
        assert registry is not None
        output.table(
            ["judge", "aliases", "created (UTC)", "hash", "from"],
            [
                [
                    f"{v.name}/{v.version}" + (" (deleted)" if v.deleted else ""),
                    ", ".join(v.aliases if name else _aliases(registry, v)),
                    f"{v.created:%Y-%m-%d %H:%M}",
                    v.content_hash[:12],
                    _origin(v),
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


@app.command("alias")
def alias(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    alias_: Annotated[str, typer.Argument(metavar="ALIAS", help='Such as "production".')],
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="Where it points; left out: it is removed.")
    ] = None,
    expected: Annotated[
        int | None,
        typer.Option(help="Change nothing unless it points at this version now; 0: at nothing."),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Point an alias at a version, or remove it."""
    from judge_opt.registry import ANY

    seen = ANY if expected is None else (expected or None)
    _existing(home, name).set_alias(KIND, name, alias_, version, seen)
    if as_json:
        output.emit({"name": name, "alias": alias_, "version": version})
    else:
        print(f"{name}@{alias_} points at " + (f"version {version}." if version else "nothing."))
    return EXIT_OK


@app.command("tag")
def tag(
    judge: Annotated[str, typer.Argument(metavar="NAME[/VERSION|@ALIAS]")],
    key: Annotated[str, typer.Argument(metavar="KEY")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="Left out: the tag is removed.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Set a tag of a version, or remove it. The version itself never changes."""
    name, wanted = parse_reference(judge)
    version = _existing(home, name).set_tag(KIND, name, wanted, key, value)
    if as_json:
        output.emit(_json(version))
    else:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(version.tags.items())) or "none"
        print(printable(f"{version.name}/{version.version}: tags: {tags}"))
    return EXIT_OK


@app.command("delete")
def delete(
    judge: Annotated[str, typer.Argument(metavar="NAME/VERSION")],
    reason: Annotated[str, typer.Option(help="Why; whoever loads the version later is told.")],
    by: Annotated[
        str | None, typer.Option(help="Who deletes it.", show_default="the user's name here")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also remove the aliases that point at it.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Delete a version. A tombstone stays: its number is never given again."""
    name, wanted = parse_reference(judge)
    if wanted is None or not wanted.isdigit():
        raise UsageError(
            f"{judge[:80]!r} names no version to delete.", "Write NAME/3: one version, by number."
        )
    version = _existing(home, name).delete(
        KIND, name, int(wanted), reason=reason, by=by or user_name(), force=force
    )
    if as_json:
        output.emit(_json(version))
    else:
        print(f"{version.name}/{version.version} is deleted.")
    return EXIT_OK


@app.command("export")
def export(
    judge: Annotated[str, typer.Argument(metavar="NAME[/VERSION|@ALIAS]")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Write a version to a folder with checksums, to hand to somebody else."""
    name, wanted = parse_reference(judge)
    written = _existing(home, name).export_bundle(KIND, name, wanted, folder)
    if as_json:
        output.emit({"folder": str(written)})
    else:
        print(printable(f"Written to {written}."))
    return EXIT_OK


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `registry export` wrote.")],
    trust_base_url: Annotated[
        bool,
        typer.Option(
            "--trust-base-url",
            help="The addresses of endpoints in it are known to be good: your keys are sent there.",
        ),
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Register the version in a folder, with the next number here."""
    from judge_opt.registry import Registry
    from judge_opt.registry.judges import registry_path

    version = Registry(registry_path(home)).import_bundle(folder, trust_base_url=trust_base_url)
    if as_json:
        output.emit(_json(version))
    else:
        print(f"Registered as {version.name}/{version.version}.")
    return EXIT_OK


def user_name() -> str | None:
    """Of whoever runs this; None where the system does not know."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None


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
        "deleted_by": version.deleted_by,
        "deleted_reason": version.deleted_reason,
        "trusted": version.trusted,
    }


def _origin(version: "Version") -> str:
    """The run that a version came from, or the version that it was changed from."""
    change, parent = version.lineage.get("change") or {}, version.lineage.get("parent") or {}
    if change and parent:
        return f"{change.get('what')} of {version.name}/{parent.get('version')}"
    return str(version.lineage.get("run_id", ""))


def _change(version: "Version") -> str:
    change = version.lineage["change"]
    by = f" by {change['by']}" if change.get("by") else ""
    return f"{_origin(version)}{by}: {change.get('reason')}"


def _lines(version: "Version", state: dict[str, Any], blobs: dict[str, bytes]) -> list[str]:
    memory = state.get("memory") or {}
    guidelines = [g for g in memory.get("guidelines", []) if g.get("state") == "active"]
    validation = version.lineage.get("validation") or {}
    facts = [
        ("judge", f"{version.name}/{version.version}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        ("tags", ", ".join(f"{key}={value}" for key, value in sorted(version.tags.items())) or "none"),
        ("created", f"{version.created:%Y-%m-%d %H:%M} UTC"),
        ("hash", version.content_hash),
        ("model", state["model"]),
        *([("change", _change(version))] if version.lineage.get("change") else []),
        ("run", str(version.lineage.get("run_id", "not known"))),
        ("proof", str(validation.get("headline", "none stored"))),
        ("blobs", ", ".join(f"{key} ({len(data)} bytes)" for key, data in blobs.items()) or "none"),
    ]
    lines = [f"{name + ':':<12}{' '.join(value.split())}" for name, value in facts]
    lines += ["", "instructions:", *(f"  {line}" for line in state["instructions"].splitlines())]
    if guidelines:
        lines += ["", "guidelines:", *(f"  - {' '.join(str(g['text']).split())}" for g in guidelines)]
    return lines


def _aliases(registry: "Registry", latest: "Version") -> list[str]:
    """Every alias of a name, with the version where that is not the latest."""
    return [
        alias if version.version == latest.version else f"{alias} (/{version.version})"
        for version in registry.versions(KIND, latest.name)
        for alias in version.aliases
    ]
