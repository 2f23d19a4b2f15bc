"""`judge-opt audit`: is a judge moved by what should not matter?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, JudgeReference
from judge_opt.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from judge_opt.validate.audits import Audit
    from judge_opt.validate.bias import BiasTest


def audit(
    data: Annotated[Path, typer.Argument(metavar="FILE", help="Rows to change: JSON Lines, CSV or Parquet.")],
    judge: JudgeReference,
    audits: Annotated[
        list[str] | None,
        typer.Option(
            "--audit",
            metavar="NAME",
            help="position, length, verbosity, format, plain, rater_identity, authorship or demographic; default: "
            "all that fit. May be given several times.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="PATH", help="The text that is changed; default: the first output."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="At most so many rows, the first.")] = 100,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be bought, and make no call.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before calls are paid for.")] = False,
    budget_calls: Annotated[int | None, typer.Option("--budget-calls", min=0)] = None,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", min=0)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=512)] = 8,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Ask a judge about rows and about changed forms of them, and test what the change did.

    Labels are not needed. Each row is also asked about once more unchanged, since a judge wavers. Several
    biases are looked for, so Holm's p-value is told beside the plain one.
    """
    import sys

    from judge_opt.align.contract import Event
    from judge_opt.cli.items import read_items
    from judge_opt.cli.locate import find_judge
    from judge_opt.cli.progress import make_progress
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.session import Session, use_session
    from judge_opt.validate.audits import plan_audit, run_audit

    quiet.after_imports()
    found = find_judge(judge, home)
    items = read_items(data, found.name, found.value_type)
    plan = plan_audit(found, items, audits, target=target, limit=rows)
    limited = (budget_calls, budget_usd) != (None, None)
    budget = Budget(calls=budget_calls, usd=budget_usd) if limited else None
    with (
        make_progress() as progress,
        Session(home, run_id="audit", budget=budget, events=progress.call) as session,
        use_session(session),
    ):
        said = _plan_text(plan)
        if dry_run:
            if as_json:
                output.emit({"plan": said, "audits": plan.names, "calls": plan.calls, "exit_code": EXIT_OK})
            else:
                output.line(said)
            return EXIT_OK
        output.say(said)
        if not found.model.startswith("local:") and not yes and not limited:
            if not sys.stdin.isatty():
                raise UsageError(
                    "These calls may cost money.", "Give --yes, or a --budget-usd or --budget-calls."
                )
            typer.confirm("Go on?", abort=True, err=True)

        def told(phase: str, done: int, total: int) -> None:
            progress.event(Event(phase, done, total))

        results = run_audit(plan, concurrency=concurrency, seed=seed, progress=told)
    if as_json:
        output.emit({"audits": [one.model_dump(mode="json") for one in results], "exit_code": EXIT_OK})
    else:
        _show(results)
    return EXIT_OK


def _plan_text(plan: "Audit") -> str:
    cost = plan.estimate()
    names = ", ".join(plan.names)
    if cost is None:
        return f"{len(plan.rows)} rows, audits {names}: at least {plan.calls} calls, what they cost is not known."
    price = "price not known" if cost.usd is None else f"at most ${cost.usd:.4f}"
    return (
        f"{len(plan.rows)} rows, audits {names}: {cost.calls} calls to buy, {cost.cached} from the cache, at most "
        f"{cost.tokens:,} tokens, {price}."
    )


def _show(results: "list[BiasTest]") -> None:
    from judge_opt.validate.audits import adjusted

    cells = []
    for one, holm in zip(results, adjusted(results), strict=True):
        control = "" if one.control is None else one.control.text("percent")
        shift = "" if one.shift.value is None else one.shift.text()
        p = "" if one.p_value is None else f"{one.p_value:.3f}"
        cells.append(
            [
                one.name,
                str(one.n),
                one.changed.text("percent"),
                control,
                shift,
                p,
                "" if holm is None else f"{holm:.3f}",
            ]
        )
    output.table(["audit", "rows", "changed", "asked again", "shift", "p", "p (Holm)"], cells)
    for one in results:
        if one.reason:
            output.say(f"{one.name}: {one.reason}")
