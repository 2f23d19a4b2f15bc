"""`judge-opt evaluate`: judges over many rows, with their agreement where people labelled them."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.align import one_stop
from judge_opt.cli.locate import find_judge
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_PROMOTED,
    EXIT_OK,
    BudgetExceeded,
    IntegrityError,
    NotFound,
    UsageError,
)

if TYPE_CHECKING:
    from judge_opt.evaluation import EvaluationEvent, EvaluationResult, Row
    from judge_opt.judges.judge import Judge

EXIT_CODES = """\b
Exit codes:
  0    done; every --require is met
  10   no error: a --require is not met, or undecided
  5    the budget is used up: what was judged is kept and shown
  130  stopped by Ctrl-C: the same command goes on"""


def evaluate(
    references: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="NAME[/VERSION|@ALIAS]",
            help="A registered judge (the latest version by default), or a folder that holds judge.json; "
            "may be given several times.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="JSON Lines, CSV or Parquet: inputs, outputs, ..., labels if there are."),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="The labels' name in the file; default: the judge's name.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="The held-out rows of this run (--data where their file moved); its judge unless --judge.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="CRITERION",
            help='What must hold, such as "correctness >= 0.9 at 95 %"; may be given several times.',
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="PATH", help="What makes rows dependent, e.g. inputs.story_id."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--id", help="The evaluation's id; default: by its rows and judges.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write one JSON line a row here.")] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write the table for a spreadsheet here.")
    ] = None,
    budget_calls: Annotated[int | None, typer.Option("--budget-calls", min=0)] = None,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", min=0)] = None,
    no_store: Annotated[
        bool, typer.Option("--no-store", help="Do not record verdicts in HOME/store.db.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be bought, and make no call.")
    ] = False,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=512)] = 16,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Judge every row of a file, or the held-out rows of a run.

    Rows that could not be judged count against coverage and enter no other figure. The evaluation is kept
    in HOME/evaluations; the same command goes on where it was stopped. Compare two with judge-opt compare.
    """
    if run is None and (data is None or not references):
        raise UsageError("Give --judge and --data, or --run.", "See: judge-opt evaluate --help")
    if label is not None and references and len(references) > 1:
        raise UsageError("--label goes with one judge.", "Name the labels in the file like the judges.")
    from judge_opt.cli.progress import make_progress
    from judge_opt.evaluation import evaluate as evaluate_rows
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.session import Session, use_session

    quiet.after_imports()
    judges, rows = _work(references or [], data, run, home)
    if dry_run:
        return _forecast(rows, judges, group, home, as_json)
    from judge_opt.align.contract import Event

    budget = (
        Budget(calls=budget_calls, usd=budget_usd) if (budget_calls, budget_usd) != (None, None) else None
    )
    with make_progress() as progress, Session(home, run_id="evaluate", events=progress.call) as session:
        for asked in (one for judge in judges for one in getattr(judge, "jurors", [judge])):
            if asked.model:
                session.check(asked.model, asked.base_url)

        def told(event: "EvaluationEvent") -> None:
            progress.event(Event(event.phase, event.done, event.total))

        try:
            with one_stop(), use_session(session):
                result = evaluate_rows(
                    rows,
                    judges,
                    store=False if no_store else None,
                    run_id=run_id,
                    concurrency=concurrency,
                    budget=budget,
                    criteria=require,
                    group=group,
                    labels={judges[0].name: label} if label is not None else None,
                    events=told,
                )
        except KeyboardInterrupt:
            return _interrupted(progress.tally.text(), as_json)
    if out is not None:
        _write(out, result)
    if table is not None:
        result.to_csv(table)
    seen = {judge.name: _seen(judge, result) for judge in judges}
    for name, count in seen.items():
        if count:
            output.say(
                f"caution: {count} of {len(result.rows)} rows are among those that {name} learned from"
            )
    code = _exit_code(result)
    if as_json:
        output.emit(_json(result, judges, seen, out, code))
    else:
        _show(result)
    return code


def _forecast(
    rows: "Path | list[Row]", judges: "list[Judge]", group: str | None, home: Path, as_json: bool
) -> int:
    from dataclasses import asdict

    from judge_opt.evaluation import forecast
    from judge_opt.llm.session import Session, use_session

    with Session(home, run_id="evaluate") as session, use_session(session):
        found = forecast(rows, judges, group=group)
    if as_json:
        output.emit({"plan": {name: asdict(one) for name, one in found.items()}, "exit_code": EXIT_OK})
        return EXIT_OK
    cells = [
        [
            name,
            str(one.rows),
            str(one.calls),
            str(one.cached),
            "not known" if one.tokens is None else f"at most {one.tokens}",
            "not known" if one.usd is None else f"at most ${one.usd:.4f}",
        ]
        for name, one in found.items()
    ]
    output.table(["judge", "rows", "calls to buy", "from cache", "tokens", "cost"], cells)
    return EXIT_OK


def _work(
    references: list[str], data: Path | None, run: str | None, home: Path
) -> "tuple[list[Judge], Path | list[Row]]":
    judges = [find_judge(reference, home) for reference in references]
    if run is None:
        assert data is not None
        return judges, data
    folder = _run_folder(run, home)
    judges = judges or [find_judge(str(folder / "judge"), home)]
    return judges, _held_out(folder, data, home)


def _run_folder(run: str, home: Path) -> Path:
    for folder in (home / "runs" / run, Path(run)):
        if (folder / "config.yaml").is_file():
            return folder
    raise NotFound(f"There is no run {run[:80]!r}.", "See: judge-opt runs")


def _held_out(folder: Path, data: Path | None, home: Path) -> "list[Row]":
    """The held-out rows of a run, by its own configuration and split.

    Raises:
        NotFound: the file of rows is not where the configuration says.
        IntegrityError: the rows are not those that the run was made with.
    """
    from judge_opt.evaluation import Row
    from judge_opt.experiments.config import data_path, load_config
    from judge_opt.experiments.run import prepare
    from judge_opt.labels import Split
    from judge_opt.traces import Store

    changes = {"data.path": str(data.resolve())} if data is not None else {}
    config = load_config(folder / "config.yaml", changes)[0]
    rows = data_path(config.data, Path.cwd())
    if not rows.is_file():
        raise NotFound(f"The rows of run {folder.name} are not at {rows}.", "Give their file with --data.")
    prepared = prepare(config, Path.cwd(), home)
    if prepared.split.content_hash != Split.load(folder / "split.json").content_hash:
        raise IntegrityError(
            f"The rows in {rows.name} are not those that run {folder.name} was made with.",
            "Restore the file, or run the configuration again.",
        )
    with Store(home / "store.db") as store:
        test = prepared.split.open_test(
            prepared.examples, "judge-opt evaluate", store=store, run_id=folder.name
        )
    return [
        Row(
            one.id,
            one.group,
            dict(one.fields),
            labels={config.judge.name: {vote.rater: vote.value for vote in one.votes}},
        )
        for one in test
    ]


def _interrupted(tally: str, as_json: bool) -> int:
    command = f"judge-opt {shlex.join(sys.argv[1:])}" if len(sys.argv) > 1 else "the same command"
    output.say(f"stopped; {tally}. What was judged is kept. To resume: {command}")
    if as_json:
        output.emit({"status": "interrupted", "exit_code": EXIT_INTERRUPTED})
    return EXIT_INTERRUPTED


def _seen(judge: "Judge", result: "EvaluationResult") -> int:
    if judge.memory is None:
        return 0
    learned = set(judge.memory.episodic.ids())
    return sum(row.id in learned for row in result.rows)


def _write(path: Path, result: "EvaluationResult") -> None:
    from judge_opt.core.files import write_text

    sources = {one.name: one.model or one.source[1] for one in result.config.judges}
    lines = []
    for line in result.verdicts():
        said = [_verdict(name, one, sources[name]) for name, one in line["said"].items()]
        row = {"id": line["id"], **said[0]} if len(said) == 1 else {"id": line["id"], "judges": said}
        lines.append(json.dumps(row, ensure_ascii=True) + "\n")
    write_text(path, "".join(lines))


def _verdict(name: str, said: dict[str, Any], source: str) -> dict[str, Any]:
    """One judgement as JSON. `value` is null exactly where `error` is not."""
    error = f"{said['error']}: {said.get('detail', '')}".rstrip(": ") if "error" in said else None
    facts = {key: said.get(key) for key in ("value", "rationale", "confidence", "probabilities")}
    return {"name": name, **facts, "error": error, "source": source, "metadata": said.get("metadata", {})}


def _counts(result: "EvaluationResult", judge: str) -> dict[str, int]:
    from judge_opt.core.results import Scored

    value_type = result.value_type(judge)
    counts = Counter(
        value_type.text_of(one.value) for one in result.judgements(judge) if isinstance(one, Scored)
    )
    order = value_type.choices() or sorted(counts)
    return {label: counts[label] for label in order}


def _exit_code(result: "EvaluationResult") -> int:
    if result.why_stopped is not None:
        return BudgetExceeded.exit_code
    return EXIT_OK if result.criteria_met else EXIT_NOT_PROMOTED


def _json(
    result: "EvaluationResult", judges: "list[Judge]", seen: dict[str, int], out: Path | None, code: int
) -> dict[str, Any]:
    found = {}
    for judge in judges:
        metrics = result.judge_metrics[judge.name]
        found[judge.name] = {
            "judge": judge.name,
            "model": judge.model,
            "labelled": metrics.n_labelled,
            "learned_from": seen[judge.name],
            "verdicts": _counts(result, judge.name),
            "unscored": metrics.unscored,
            "coverage": metrics.coverage.value,
            "figures": {name: one.model_dump(mode="json") for name, one in metrics.figures.items()},
            "agreement": metrics.agreement.model_dump(mode="json") if metrics.agreement else None,
        }
    return {
        "run_id": result.run_id,
        "status": result.status,
        "why_stopped": result.why_stopped,
        "folder": str(result.folder),
        "rows": len(result.rows),
        **(found[judges[0].name] if len(judges) == 1 else {"judges": found}),
        "metrics": result.metrics,
        "criteria": [one.model_dump(mode="json") for one in result.criteria],
        "costs": result.costs.to_json(),
        "out": str(out) if out is not None else None,
        "exit_code": code,
    }


def _show(result: "EvaluationResult") -> None:
    from judge_opt.evaluation.text import cost_text, coverage_text, figure_rows

    for judge, metrics in result.judge_metrics.items():
        if len(result.judges) > 1:
            print()
            output.line(judge)
        if counts := _counts(result, judge):
            listed = list(counts.items()) if len(counts) <= 20 else []
            if listed:
                output.table(["verdict", "rows"], [[name, str(count)] for name, count in listed])
        output.line(f"\n{coverage_text(metrics)}")
        if rows := figure_rows(metrics):
            output.table(["figure", f"value ({100 * result.config.confidence:g} % interval)"], rows)
        if metrics.agreement is None:
            print("No labels, so no agreement.")
        else:
            labelled = f"on {metrics.agreement.n_scored} labelled rows"
            print(f"Agreement is with the majority of the raters, {labelled}.")
    _show_failures(result)
    if result.criteria:
        print()
        output.table(
            ["criterion", "", "why"], [[one.criterion, one.status, one.why] for one in result.criteria]
        )
    if result.why_stopped is not None:
        output.say(result.why_stopped)
    output.say(f"evaluation {result.run_id}: {cost_text(result.costs.total)}")


def _show_failures(result: "EvaluationResult") -> None:
    failed = [row for row in result.to_dicts() if row["state"] != "OK"]
    for row in failed[:3]:
        errors = [row[f"{judge}/error"] for judge in result.judges if row[f"{judge}/error"]]
        output.say(f"not judged: {row['id']}: {errors[0]}")
