"""`judge-opt align`: run an experiment from its configuration to its report."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, parse_changes
from judge_opt.core.errors import EXIT_INTERRUPTED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from judge_opt.experiments.run import Outcome, Plan, Prepared

EXIT_CODES = """\b
Exit codes:
  0    the aligned judge was promoted and registered
  10   no error: nothing was shown to help, so the untouched judge was kept
  2    the command line, the configuration or the template is wrong
  3    a row, label, column or split is wrong
  4    a model cannot be used: not installed, no answer, no key
  5    the budget is used up; 130 stopped by Ctrl-C: run again to resume
  6, 7, 8   a stored file is damaged; not found; changed by somebody else
  1    anything else"""


def align(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; see configs/.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put a value over the file's, e.g. split.seed=1."),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before calls are paid for.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, and make no call.")
    ] = False,
) -> int:
    """Align a judge with human labels and prove it on held-out rows.

    Everything is checked before the first model call. A run that was stopped is resumed by the same
    command: calls that were bought are not bought again.
    """
    from judge_opt.experiments.config import load_config
    from judge_opt.experiments.run import prepare, run

    quiet.after_imports()
    prepared = prepare(*load_config(config, parse_changes(changes or [])), home)
    _show_plan(prepared)
    if dry_run:
        if as_json:
            output.emit({"plan": plan_json(prepared.plan), "exit_code": EXIT_OK})
        return EXIT_OK
    _confirm(prepared, yes)
    from judge_opt.cli.progress import make_progress

    with quiet.logged_to(prepared.plan.folder / "run.log"), make_progress() as progress, one_stop():
        try:
            outcome = run(prepared, on_event=progress.event, on_call=progress.call)
        except KeyboardInterrupt:
            outcome = None
    if outcome is None:
        command = f"judge-opt {shlex.join(sys.argv[1:])}" if len(sys.argv) > 1 else "the same command"
        output.say(
            f"stopped; {progress.tally.text()}. Every reply that arrived is stored. To resume: {command}"
        )
        if as_json:
            output.emit(
                {
                    "run_id": prepared.plan.run_id,
                    "status": "interrupted",
                    "folder": str(prepared.plan.folder),
                    "exit_code": EXIT_INTERRUPTED,
                }
            )
        return EXIT_INTERRUPTED
    _show_outcome(outcome, as_json)
    return outcome.exit_code


def plan_json(plan: "Plan") -> dict[str, Any]:
    """The plan as JSON."""
    return {
        "run_id": plan.run_id,
        "rows": plan.rows,
        "train": plan.train,
        "test": plan.test,
        "contested": plan.contested,
        "calls": list(plan.calls),
        "models": plan.models,
        "folder": str(plan.folder),
        "resumes": plan.resumes,
    }


def _show_plan(prepared: "Prepared") -> None:
    plan = prepared.plan
    contested = f" ({plan.contested} contested, left out)" if plan.contested else ""
    output.say(f"run {plan.run_id}{' (resumed)' if plan.resumes else ''} in {plan.folder}")
    output.say(f"{plan.rows} labelled rows{contested}: {plan.train} to learn from, {plan.test} held out")
    output.say(f"{plan.calls[0]} to {plan.calls[1]} model calls, less those in the cache")
    output.say(f"models: {', '.join(dict.fromkeys(plan.models))}")


def _confirm(prepared: "Prepared", yes: bool) -> None:
    """Ask before money can be spent. Without a terminal, a budget or --yes must have been given.

    Raises:
        UsageError: paid calls, and neither.
    """
    plan, config = prepared.plan, prepared.config
    own_server = {config.judge.model} if config.judge.base_url else set()
    paid = [m for m in dict.fromkeys(plan.models) if not m.startswith("local:") and m not in own_server]
    if yes or not paid:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Buy up to {plan.calls[1]} calls from {', '.join(paid)}?", abort=True, err=True)
    elif not config.budget.model_dump(exclude_none=True):
        raise UsageError(
            f"{', '.join(paid)} may cost money, there is no budget, and nobody can be asked here.",
            "Give --yes, or set budget.usd or budget.calls in the configuration.",
        )


@contextmanager
def one_stop() -> Iterator[None]:
    """The first Ctrl-C stops in order, the second does not wait, the third ends the process."""
    seen = 0

    def stop(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            os.write(2, b"\nstopping: calls in flight are finished and stored. Ctrl-C again: do not wait.\n")
        elif seen > 2:
            os._exit(EXIT_INTERRUPTED)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: somebody else's handler is in charge
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show_outcome(outcome: "Outcome", as_json: bool) -> None:
    report = outcome.report
    page = outcome.folder / "report.html"
    if as_json:
        output.emit(
            {
                "run_id": outcome.run_id,
                "status": report.status,
                "promoted": outcome.promoted,
                "version": outcome.version,
                "headline": report.conclusion,
                "folder": str(outcome.folder),
                "report": str(page),
                "calls": {
                    "bought": sum(line.calls for line in report.ledger),
                    "cached": sum(line.cached for line in report.ledger),
                },
                "usd": report.usd,
                "exit_code": outcome.exit_code,
            }
        )
        return
    from judge_opt.experiments.report import render_terminal

    sys.stderr.flush()
    render_terminal(report, output.console(), page)
    if outcome.version is not None:
        print(f"Registered: {outcome.version}")
