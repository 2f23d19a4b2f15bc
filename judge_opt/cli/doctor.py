"""`judge-opt doctor`: what is there, what is missing, and the command that brings it."""

from pathlib import Path
from typing import Annotated

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK

EXIT_MODEL = 4
EXIT_OTHER = 1


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Also check the models that this file names.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Check the installation. No model call is paid for.

    Exit code 4: the default local model cannot run (with CONFIG: a model that it names cannot be asked).
    Exit code 1: something else that is needed is missing.
    """
    from judge_opt.cli import checks

    quiet.after_imports()
    found = [
        *checks.packages(),
        *checks.weights(),
        checks.runtime(),
        checks.disk(home),
        checks.writable(home),
    ]
    if config is not None:
        from judge_opt.experiments.config import load_config

        found += checks.endpoints(load_config(config)[0], home)
    needed = [check for check in found if check.needed and not check.holds]
    about_models = [c for c in needed if c.group == ("endpoint" if config is not None else "model")]
    code = (
        EXIT_MODEL if about_models else EXIT_OTHER if [c for c in needed if c.group != "model"] else EXIT_OK
    )
    if as_json:
        output.emit({"ok": code == EXIT_OK, "exit_code": code, "checks": [check.json() for check in found]})
        return code
    output.table(
        ["", "what", "found"],
        [[_mark(check.holds, check.needed), check.name, check.found] for check in found],
    )
    for check in found:
        if not check.holds and check.remedy:
            print(f"\n{check.name}: {check.remedy}")
    print("\nEverything that is needed is here." if code == EXIT_OK else f"\nNot ready (exit code {code}).")
    return code


def _mark(holds: bool, needed: bool) -> str:
    return "ok" if holds else "missing" if needed else "optional"
