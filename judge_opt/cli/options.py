"""The options that several commands share."""

import os
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from judge_opt.core.errors import DataError, UsageError

Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="JUDGE_OPT_HOME",
        show_default=".judge_opt",
        help="Folder of the call store, the runs, the labels and the registry.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]
JudgeReference = Annotated[
    str,
    typer.Option(
        "--judge",
        metavar="NAME[/VERSION|@ALIAS]",
        help="A registered judge (the latest version by default), or a folder that holds judge.json.",
    ),
]
DEFAULT_HOME = Path(".judge_opt")


class WholeHelp(TyperGroup):
    """A group whose commands are listed with their whole first sentence, however narrow the terminal is."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(1000)) for name, one in found if one and not one.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def home_option(home: Path) -> str:
    """` --home HOME` for a command that the user may copy; nothing where that is what the command takes."""
    usual = os.environ.get("JUDGE_OPT_HOME") or DEFAULT_HOME
    return "" if home == Path(usual) else f" --home {quote(str(home))}"


def parse_changes(pairs: list[str]) -> dict[str, Any]:
    """`--set` options: dotted key to its YAML value.

    Raises:
        UsageError: a pair has no `=`, or its value is not YAML.
    """
    import yaml

    changes: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {pair[:60]!r} is not KEY=VALUE.", "Write for example --set split.seed=1")
        try:
            changes[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {pair[:60]!r}: the value is not YAML.", "Quote it.") from None
    return changes


def parse_field(text: str | None, name: str) -> Any:
    """One field of an item: `@file` is that file's content; what starts with { or [ must be JSON;
    anything else is text.

    Raises:
        DataError: the file cannot be read, or the JSON is none.
    """
    import json

    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"--{name}: {text[:120]} cannot be read ({type(error).__name__}).", "Check the path."
            ) from None
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"--{name} is not JSON ({error}).", "Correct it, or pass a file as @FILE.") from None
