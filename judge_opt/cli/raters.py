"""`judge-opt raters`: do the people who label agree, and who leans where?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.cli.queue import values_of
from judge_opt.core.errors import EXIT_OK, NotFound, UsageError

if TYPE_CHECKING:
    from judge_opt.core.values import ValueType
    from judge_opt.labels import LabelledExample


def raters(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="JSON Lines or CSV; the labels in HOME/store.db by default."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The label's name.")] = "",
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            help="What a label may be: bool, 1..5, or LABEL,LABEL,...; the label schema's by default.",
        ),
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The labels of --values have an order, first to last.")
    ] = False,
    level: Annotated[
        str | None, typer.Option("--level", help="Scale of alpha: nominal, ordinal, interval or ratio.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", help="Of a file: a path such as inputs.article; items of a group belong together."
        ),
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="Of a file: only raters of these pools; - for none.")
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Of the intervals; 0 for none.")
    ] = 2000,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Agreement among raters, and the human ceiling.

    Alpha, kappas, each rater beside the others, each with its interval.
    """
    from judge_opt.labels.raters.ratings import Level
    from judge_opt.traces.schema import choice

    if not name:
        raise UsageError("--name is missing.", "Give the name of the labels.")
    if level is not None:
        from typing import get_args

        choice("level", level, get_args(Level))
    if file is None and (group or pool):
        raise UsageError("--group and --pool go with a file.", "Leave them out.")
    examples, value_type = (
        _from_store(home, name, values, ordered)
        if file is None
        else _from_file(file, name, values, ordered, group, pool)
    )
    from judge_opt.validate.raters import rater_report

    report = rater_report(examples, value_type, level=level, n_boot=resamples)  # type: ignore[arg-type]
    if as_json:
        output.emit(report.to_json())
        return EXIT_OK
    output.table(["", name], [list(line) for line in report.summary()])
    output.line("")
    output.table(*report.table())
    return EXIT_OK


def _from_file(
    file: Path, name: str, values: str | None, ordered: bool, group: str | None, pool: list[str] | None
) -> "tuple[list[LabelledExample], ValueType]":
    from judge_opt.labels import load_examples

    if values is None:
        raise UsageError("--values is missing.", "Say what a label may be: bool, 1..5, or LABEL,LABEL,...")
    allowed = values_of(values, ordered)
    pools: Any = None if not pool else [None if one == "-" else one for one in pool]
    return load_examples(file, name, allowed, group=group, pools=pools).examples, allowed


def _from_store(
    home: Path, name: str, values: str | None, ordered: bool
) -> "tuple[list[LabelledExample], ValueType]":
    from judge_opt.labels.schemas import get_label_schema
    from judge_opt.traces import Store

    if not (home / "store.db").is_file():
        raise NotFound(f"There is no store {home / 'store.db'}.", "Give a file, or the right --home.")
    with Store(home / "store.db") as store:
        if values is not None:
            allowed = values_of(values, ordered)
        else:
            try:
                allowed = get_label_schema(name, store=store).value_type
            except NotFound as error:
                raise UsageError(
                    error.message, "Give --values, such as bool or 1..5, or make a label schema."
                ) from None
        return store.labelled_examples(name, allowed), allowed
