"""`judge-opt prompts`: the registered prompts of agents, and what changed between their versions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.locate import parse_reference
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp
from judge_opt.core.errors import EXIT_OK, NotFound
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from judge_opt.prompts.prompt import Prompt
    from judge_opt.registry import Registry

app = typer.Typer(cls=WholeHelp, help="List, show and compare registered prompts, and move their aliases.")


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="All versions of this prompt.")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """List the latest version of every prompt, or all versions of one."""
    found: list[Prompt] = []
    if (registry := _open(home)) is not None:
        from judge_opt.prompts.registered import list_prompt_versions, search_prompts

        listed = list_prompt_versions(name, registry=registry) if name else search_prompts(registry=registry)
        found = list(listed)
    if as_json:
        output.emit({"prompts": [_json(prompt) for prompt in found]})
    elif not found:
        output.say(f"No prompt{f' {name!r}' if name else ''} is registered in {home}.")
    else:
        output.table(
            ["prompt", "aliases", "variables", "confirmed", "message"],
            [
                [
                    f"{one.name}/{one.version}",
                    ", ".join(one.aliases),
                    ", ".join(sorted(one.variables)),
                    one.tags.get("confirmed", ""),
                    " ".join(one.commit_message.split())[:60],
                ]
                for one in found
            ],
        )
    return EXIT_OK


@app.command("show")
def show(
    prompt: Annotated[str, typer.Argument(metavar="NAME[/VERSION|@ALIAS]")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Show one version: its text, and where it came from."""
    from judge_opt.prompts.registered import load_prompt

    name, wanted = parse_reference(prompt.removeprefix("prompts:/"))
    found = load_prompt(name, wanted, registry=_existing(home, name))
    if as_json:
        output.emit({**_json(found), "lineage": dict(found.lineage)})
        return EXIT_OK
    facts = [
        ("prompt", found.uri),
        ("aliases", ", ".join(found.aliases) or "none"),
        ("tags", ", ".join(f"{key}={value}" for key, value in sorted(found.tags.items())) or "none"),
        ("variables", ", ".join(sorted(found.variables)) or "none"),
        ("message", " ".join(found.commit_message.split()) or "none"),
    ]
    lines = [f"{name + ':':<12}{value}" for name, value in facts]
    if isinstance(found.template, str):
        lines += ["", found.template]
    else:
        for message in found.template:
            lines += ["", f"{message['role']}:", message["content"]]
    print(printable("\n".join(lines)))
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
    from judge_opt.prompts.registered import diff_prompts

    changes = diff_prompts(name, a, b, registry=_existing(home, name))
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
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Point an alias at a version, or remove it."""
    from judge_opt.prompts.registered import KIND

    _existing(home, name).set_alias(KIND, name, alias_, version)
    if as_json:
        output.emit({"name": name, "alias": alias_, "version": version})
    else:
        print(f"prompts:/{name}@{alias_} points at " + (f"version {version}." if version else "nothing."))
    return EXIT_OK


def _json(prompt: "Prompt") -> dict[str, Any]:
    return {
        "name": prompt.name,
        "version": prompt.version,
        "uri": prompt.uri,
        "template": prompt.template,
        "variables": sorted(prompt.variables),
        "aliases": list(prompt.aliases),
        "tags": dict(prompt.tags),
        "commit_message": prompt.commit_message,
    }


def _open(home: Path) -> "Registry | None":
    from judge_opt.registry import Registry
    from judge_opt.registry.judges import registry_path

    path = registry_path(home)
    return Registry(path) if path.is_file() else None


def _existing(home: Path, name: str) -> "Registry":
    registry = _open(home)
    if registry is None:
        raise NotFound(
            f"There is no prompt {name!r}: nothing is registered in {home}.",
            "Register it with register_prompt, or give the right --home.",
        )
    return registry
