"""`judge-opt drift`: does a judge still do what it did when it was validated?"""

from datetime import datetime
from typing import Annotated, cast, get_args

import typer

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.cli.queue import values_of
from judge_opt.core.errors import EXIT_NOT_PROMOTED, EXIT_OK, NotFound, UsageError

EXIT_CODES = """\b
Exit codes:
  0    no alarm
  10   no error: an alarm
  2, 3 the command line, or a verdict or label, is wrong"""


def drift(
    judge: Annotated[str, typer.Argument(metavar="NAME", help="The judge's name, as in the store.")],
    label: Annotated[str, typer.Option("--label", help="The name of people's labels; default: NAME.")] = "",
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            help="What a verdict may be: bool, 1..5, or LABEL,LABEL,...; the label schema's by default.",
        ),
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The labels of --values have an order, first to last.")
    ] = False,
    every: Annotated[
        str, typer.Option("--every", metavar="day|week|month", help="Length of a window.")
    ] = "week",
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="The reference ends here, UTC; default: with the first window.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME/VERSION", help="Only this version's verdicts.")
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option("--floor", help="Agreement below which an alarm is wanted, label by label."),
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of any false alarm.")] = 0.05,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Hold what a judge said of the stored traces, window by window, against what it said before.

    Two questions of each window: has agreement with people fallen, and do the verdicts fall otherwise?
    """
    from judge_opt.experiments.windows import Period, recorded_windows
    from judge_opt.labels.schemas import get_label_schema
    from judge_opt.traces import Store
    from judge_opt.traces.schema import choice
    from judge_opt.validate import drift as held_against

    choice("--every", every, get_args(Period))
    if not (home / "store.db").is_file():
        raise NotFound(f"There is no store {home / 'store.db'}.", "Evaluate first, or give the right --home.")
    with Store(home / "store.db") as store:
        if values is not None:
            allowed = values_of(values, ordered)
        else:
            try:
                allowed = get_label_schema(label or judge, store=store).value_type
            except NotFound as error:
                raise UsageError(error.message, "Give --values, or make a label schema.") from None
        reference, windows = recorded_windows(
            store, judge, allowed, label=label or None, every=cast(Period, every), since=since, source=source
        )
    report = held_against(reference, windows, allowed, alpha=alpha, floor=floor)
    if as_json:
        output.emit(report.model_dump(mode="json") | {"alarms": report.alarms})
    else:
        shown = report.reference.shares
        rows = []
        for window in (report.reference, *report.windows):
            p = {test.question: test for test in window.tests}
            rows.append(
                [
                    window.name,
                    str(window.n),
                    str(window.n_labelled),
                    window.agreement.text() if window.n_labelled else "",
                    *(f"{100 * window.shares.get(name, 0.0):.0f} %" for name in shown),
                    *(_told(p.get(name)) for name in ("agreement", "verdicts")),
                ]
            )
        head = ["from", "verdicts", "labelled", "agreement", *shown, "p agreement", "p verdicts"]
        output.table(head, rows)
        output.line("")
        for alarm in report.alarms:
            output.line(alarm if alarm.startswith("Alarm") else f"Alarm: {alarm}")
        if not report.alarms:
            output.line(f"No alarm (chance of a false one, over all windows, at most {alpha:g}).")
        if report.watch is not None and report.watch.alarm is None:
            output.line(report.watch.text())
    return EXIT_NOT_PROMOTED if report.alarms else EXIT_OK


def _told(test: object) -> str:
    p = getattr(test, "p_value", None)
    return "" if p is None else f"{p:.4f}{' *' if getattr(test, 'alarm', False) else ''}"
