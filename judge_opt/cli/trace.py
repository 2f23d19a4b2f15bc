"""`judge-opt trace`: traces and what was said of them, into the store and out of it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp
from judge_opt.core.errors import EXIT_OK, UsageError

app = typer.Typer(
    cls=WholeHelp, help="Bring traces and assessments into the store, and out of it.", no_args_is_help=False
)

_SHOWN = 20


@app.callback()
def _group() -> None:
    pass


@app.command("import")
def import_(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="A file, several that belong together, a data set's folder, or the URL of an MLflow server; "
            "see docs/import-export.md.",
        ),
    ],
    format_: Annotated[
        str | None, typer.Option("--format", help="Found out from the source by default.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="FIELD=COLUMN[,COLUMN...]", help="Where a field is, such as outputs=answer."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=COLUMN", help="A column that holds the labels called NAME."),
    ] = None,
    rater: Annotated[str, typer.Option("--rater", help="Whose labels those of --label are.")] = "dataset",
    judges: Annotated[
        bool, typer.Option("--judges/--no-judges", help="Also take recorded verdicts of models.")
    ] = True,
    experiment: Annotated[
        list[str] | None, typer.Option("--experiment", help="Of MLflow: a name or an id; all by default.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="NAME=VARIABLE",
            help="Sent to an MLflow server; the value is read from the environment variable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad row instead of reporting it.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Store what SOURCE holds, as traces with assessments, in HOME/store.db.

    A bad row is reported with its line and does not stop the rest. Importing again adds nothing.
    """
    from judge_opt.traces import Store
    from judge_opt.traces.importers import import_traces

    columns: dict[str, Any] = {
        field: places[0] if len(places := column_.split(",")) == 1 else places
        for field, column_ in _pairs("--column", column)
    }
    home.mkdir(parents=True, exist_ok=True)
    with Store(home / "store.db") as store:
        report = import_traces(
            store,
            source[0] if len(source) == 1 else source,
            format_,
            columns=columns,
            labels=dict(_pairs("--label", label)),
            rater=rater,
            judges=judges,
            experiments=experiment or None,
            headers=_headers(header),
            on_error="raise" if strict else "skip",
        )
    if as_json:
        output.emit({**report.to_json(), "store": str(home / "store.db")})
        return EXIT_OK
    for what, listed in (
        ("skipped", report.skipped),
        ("in conflict", report.conflicts),
        ("truncated", report.truncated),
    ):
        for row in listed.rows[:_SHOWN]:
            output.say(f"{what}: line {row.line}: {row.reason}")
        if len(listed) > _SHOWN:
            output.say(f"{what}: {len(listed) - _SHOWN} more; --json lists the first 1,000")
    print(f"{report.records} records from {report.source} ({report.format}):")
    print(f"{report.traces} new traces, {report.traces_known} already there;")
    print(f"{report.assessments} new assessments, {report.assessments_known} already there;")
    print(
        f"Rows: {len(report.skipped)} skipped, {len(report.conflicts)} in conflict, "
        f"{len(report.truncated)} truncated."
    )
    print(f"Stored in {home / 'store.db'}")
    return EXIT_OK


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .jsonl, .csv, .parquet or .otlp.")],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="jsonl, csv, parquet or otlp; by default what FILE ends in."),
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", help="Of csv: traces (one line a trace) or labels (one line a label).")
    ] = "traces",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Write every trace in HOME/store.db, with its assessments, to FILE.

    JSON Lines and Parquet are lossless. CSV is for spreadsheets: formulas are made harmless.
    """
    from judge_opt.traces import Store
    from judge_opt.traces.exporters import export_traces

    with Store(home / "store.db", create=False) as store:
        report = export_traces(store, file, format_, rows=rows)  # type: ignore[arg-type] # it checks
    if as_json:
        output.emit(
            {
                "file": str(report.path),
                "format": report.format,
                "traces": report.traces,
                "assessments": report.assessments,
            }
        )
    else:
        print(report)
    return EXIT_OK


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for one in given or ():
        name, separator, place = one.partition("=")
        if not separator or not name.strip() or not place.strip():
            raise UsageError(
                f"{option} {one[:60]!r} is not NAME=VALUE.", "See: judge-opt trace import --help."
            )
        pairs.append((name.strip(), place.strip()))
    return pairs


def _headers(given: list[str] | None) -> dict[str, str] | None:
    headers = {}
    for name, variable in _pairs("--header", given):
        if not os.environ.get(variable):
            raise UsageError(f"--header {name}: the environment has no {variable[:60]!r}.", "Set it.")
        headers[name] = os.environ[variable]
    return headers or None
