"""`judge-opt report`: show the report of a run again."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK


class Format(StrEnum):
    """What `--format` takes."""

    terminal = "terminal"
    html = "html"
    md = "md"
    json = "json"


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id (see: judge-opt runs) or its folder.")
    ],
    format_: Annotated[Format, typer.Option("--format", help="What to print on stdout.")] = Format.terminal,
    open_path: Annotated[
        bool, typer.Option("--open-path", help="Print only the path of the HTML report, for a browser.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Show the report of a run, made again from its data."""
    from judge_opt.experiments.runs import load_report

    found = load_report(home, run)
    folder = next(path for path in (home / "runs" / run, Path(run)) if (path / "report.json").is_file())
    page = folder.resolve() / "report.html"
    if as_json or (format_ is Format.json and not open_path):
        output.emit({"path": str(page)} if open_path else found.model_dump(mode="json"))
    elif open_path:
        print(page)
    elif format_ is Format.html:
        from judge_opt.experiments.report import render_html

        sys.stdout.write(render_html(found))
    elif format_ is Format.md:
        from judge_opt.experiments.report import render_markdown

        sys.stdout.write(render_markdown(found))
    else:
        from judge_opt.experiments.report import render_terminal

        render_terminal(found, output.console(), page)
    return EXIT_OK
