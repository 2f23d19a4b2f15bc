"""`judge-opt loop`: agent, people, judge and prompt in one circle, step by step."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.align import one_stop
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, home_option, parse_changes
from judge_opt.core.errors import EXIT_INTERRUPTED, EXIT_LABELS_WANTED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from judge_opt.experiments.loop import End, Loop

EXIT_CODES = """\b
Exit codes:
  0    every step is done, and the new prompt's gain is confirmed
  10   no error: the gate kept the untouched judge, or the gain is not confirmed
  12   no error: people have to label; the same command goes on
  5    a budget is used up; 130 stopped by Ctrl-C: run again to resume"""


def loop(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; see configs/loop.yaml.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put a value over the file's, e.g. round=2."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="STEP",
            help="Leave out run, label, align, prompts or register; may be given several times.",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before calls are paid for.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, list the steps, and make no call.")
    ] = False,
) -> int:
    """Let people label an agent's outputs, align a judge, and let it rewrite the agent's prompt.

    The steps are run, label, align, prompts and register. Where labels are missing it stops and says how to
    give them. The same command goes on where it stopped, and buys nothing twice.
    """
    from judge_opt.experiments.loop import prepare_loop, run_loop
    from judge_opt.experiments.loop_config import STEPS, load_loop

    quiet.after_imports()
    for step in skip or []:
        if step not in STEPS:
            raise UsageError(f"There is no step {step!r}.", f"Steps: {', '.join(STEPS)}.")
    prepared = prepare_loop(
        *load_loop(config, parse_changes(changes or [])), home, cast(Any, tuple(skip or []))
    )
    _show_plan(prepared)
    if dry_run:
        if as_json:
            output.emit({**_json(prepared), "exit_code": EXIT_OK})
        return EXIT_OK
    _confirm(prepared, yes)
    from judge_opt.cli.progress import make_progress

    with quiet.logged_to(prepared.folder / "run.log"), make_progress() as progress, one_stop():
        prepared.on_event, prepared.on_call = progress.event, progress.call
        try:
            end = run_loop(prepared)
        except KeyboardInterrupt:
            end = None
    if end is None:
        output.say(f"stopped; {progress.tally.text()}. Every reply that arrived is stored. {_again()}")
        if as_json:
            output.emit({**_json(prepared), "status": "interrupted", "exit_code": EXIT_INTERRUPTED})
        return EXIT_INTERRUPTED
    _show_end(prepared, end, home, as_json)
    return end.exit_code


def _json(loop: "Loop") -> dict[str, Any]:
    return {
        "loop_id": loop.loop_id,
        "folder": str(loop.folder),
        "steps": [
            {"step": one.name, "state": one.state, "what": one.what, "calls": one.calls}
            for one in loop.plan()
        ],
    }


def _show_plan(loop: "Loop") -> None:
    output.say(f"loop {loop.loop_id} in {loop.folder}")
    for one in loop.plan():
        calls = f"; at most {one.calls} model calls" if one.calls and one.state == "to do" else ""
        output.say(f"{one.name:<9} {one.state:<8} {one.what}{calls}")
    output.say(f"models: {', '.join(dict.fromkeys(model for model, _ in loop.models))}")


def _confirm(loop: "Loop", yes: bool) -> None:
    """Ask before money can be spent.

    Raises:
        UsageError: nobody can be asked, and --yes is missing.
    """
    paid = sorted({model for model, at in loop.models if not model.startswith("local:") and at is None})
    if yes or not paid:
        return
    calls = sum(one.calls for one in loop.plan() if one.state == "to do")
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Buy up to {calls} calls from {', '.join(paid)}?", abort=True, err=True)
    else:
        raise UsageError(f"{', '.join(paid)} may cost money, and nobody can be asked here.", "Give --yes.")


def _again() -> str:
    command = f"judge-opt {shlex.join(sys.argv[1:])}" if len(sys.argv) > 1 else "the same command"
    return f"To go on: {command}"


def _show_end(loop: "Loop", end: "End", home: Path, as_json: bool) -> None:
    label = f"judge-opt queue label {shlex.quote(loop.queue)} --rater YOUR_NAME{home_option(home)}"
    waits = end.exit_code == EXIT_LABELS_WANTED
    if as_json:
        more = {"queue": loop.queue, "labels_missing": end.remaining, "label_with": label} if waits else {}
        said = {"stopped_at": end.step, "message": end.message, **more, "exit_code": end.exit_code}
        output.emit({**_json(loop), **said})
        return
    output.line(f"{end.step}: {end.message}")
    if waits:
        output.line(f"Waiting for people: {end.remaining} labels are missing in queue {loop.queue}.")
        output.line(f"Label with: {label}")
        output.line(f"How far it is: judge-opt queue progress {shlex.quote(loop.queue)}{home_option(home)}")
        output.line(f"{_again()} (--skip label takes the labels that are in)")
    elif end.step == "align" and end.exit_code:
        output.line("No prompt is rewritten by a judge that was not shown to be better.")
        output.line("To rewrite it by the untouched judge all the same, give --skip align as well.")
    for step in ("align", "prompts"):
        if page := loop.done.get(step, {}).get("report"):
            output.line(f"Report of {step}: {page}")
