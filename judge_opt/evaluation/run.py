"""`evaluate`: run the agent where asked, judge every row, keep everything, measure.

    result = evaluate(data=rows, judges=[judge], criteria=["support_quality/mean >= 0.9 at 95 %"])
    print(result)

The run is kept in `<home>/evaluations/<id>/`. Without an agent the id follows from the rows and the judges, so
that the same call again is the same run: it buys nothing that it has. An agent can have changed under the
same name, so with `predict_fn` each call is a new run unless it names one with `run_id`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.killpoints import reach
from judge_opt.core.text import nearest
from judge_opt.evaluation import folder as folders
from judge_opt.evaluation.agent import Agent
from judge_opt.evaluation.board import Board
from judge_opt.evaluation.criteria import Criterion, locate, parse_criteria
from judge_opt.evaluation.data import records
from judge_opt.evaluation.engine import Engine, EvaluationEvent
from judge_opt.evaluation.folder import Config, JudgeEntry
from judge_opt.evaluation.journal import Journal, read_journal
from judge_opt.evaluation.recording import trace_ids
from judge_opt.evaluation.result import EvaluationResult
from judge_opt.evaluation.rows import Row, read_rows
from judge_opt.evaluation.scorers import Scorer, make_scorers
from judge_opt.evaluation.tally import listen
from judge_opt.llm.session import Session, current_session, use_session
from judge_opt.traces.default_store import chosen_store, use_store
from judge_opt.traces.store import Store

if TYPE_CHECKING:
    from judge_opt.llm.budget import Budget

logger = logging.getLogger(__name__)

STORE = "store.db"


def evaluate(
    data: Any,
    judges: Any = None,
    predict_fn: Callable[..., Any] | None = None,
    *,
    scorers: Any = None,
    store: "Store | str | Path | Literal[False] | None" = None,
    name: str | None = None,
    run_id: str | None = None,
    concurrency: int = 16,
    budget: "Budget | None" = None,
    criteria: "str | Criterion | Sequence[str | Criterion] | None" = None,
    group: str | None = None,
    labels: Mapping[str, str] | None = None,
    min_coverage: float = 0.9,
    confidence: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
    home: "Path | str | None" = None,
    events: Callable[[EvaluationEvent], None] | None = None,
) -> EvaluationResult:
    """Judge every row, and measure. The names are MLflow's where it has the thing.

    A row that could not be judged has a reason and no verdict: it counts against coverage and enters no
    other figure. Every judgement is on disk before the next one counts; a run that was stopped, killed or
    out of budget goes on where it was when it is called again.

    Args:
        data: rows: a list of dictionaries with `inputs`, `outputs`, `expectations`, `trace`, `conversation`
            (and `id`, `session`, `group`, `human` or `labels`), a pandas DataFrame or Arrow table of them,
            traces, labelled examples, or a path to JSON Lines, CSV or Parquet.
        judges: judges, and functions of one's own whose parameters name what they are given; one or a list.
            Several judge a row at the same time.
        predict_fn: the agent: called with each row's inputs (as keyword arguments, where they are an
            object), sync or async; what it returns is judged. A row on which it fails is not judged.
        scorers: MLflow's name for `judges`.
        store: where verdicts are recorded as assessments, each row as a trace: a `Store`, a path, a URL;
            default: the one in use (`use_store`, `set_store`), else the home's; False: nowhere.
        name: a title; the id begins with it.
        run_id: names the run, to resume it.
        concurrency: how many judgements, or runs of the agent, at a time.
        budget: the hard stop of this run, over all its processes; default: the current session's.
        criteria: what must hold, such as "correctness >= 0.9 at 95 %"; see `judge_opt.evaluation.criteria`.
        group: a dotted path to what makes rows dependent, such as "inputs.story_id"; default: the row's
            "group", its session, else each row by itself.
        labels: judge to the name of the people's labels for it, where the two differ.
        min_coverage: below this share of judged rows no criterion is decided.
        confidence: of the intervals.
        n_boot: bootstrap resamples; 0 for no bootstrap intervals.
        home: default: the current session's, whose calls and budget are used too.
        events: told of every row that is done.

    Returns:
        The result; where the budget ended the run, what there is of it (`status` is "stopped").

    Raises:
        UsageError, DataError: before anything is bought: what was passed does not fit together.
        Conflict: `run_id` is taken by another run, or it is running elsewhere.
        JudgeOptError: a model cannot be used at all, or the agent fails on every row. What was done is kept.
        KeyboardInterrupt: what was in flight is finished and kept.
    """
    judging = make_scorers(_one_of(judges, scorers))
    names = [one.name for one in judging]
    wanted = parse_criteria(criteria)
    for one in wanted:
        locate(one.figure, names)
    for judge in labels or {}:
        if judge not in names:
            raise UsageError(
                f"labels names {judge!r}, which is no judge here.{nearest(judge, names)}", "Correct it."
            )
    if not 0 < confidence < 1 or n_boot < 0 or concurrency < 1:
        raise UsageError(
            f"confidence={confidence}, n_boot={n_boot}, concurrency={concurrency} do not fit.",
            "confidence lies between 0 and 1, n_boot is at least 0, concurrency at least 1.",
        )
    rows = read_rows(records(data), group)
    agent = Agent(predict_fn) if predict_fn is not None else None
    if agent is not None:
        for row in rows:
            agent.check(row)
    _check_labels(rows, labels or {})
    outer = current_session() if home is None else None
    place = Path(home) if home is not None else outer.home  # type: ignore[union-attr]
    config = Config(
        id="",
        name=name or ", ".join(names),
        rows=len(rows),
        rows_digest=folders.rows_digest(rows),
        judges=tuple(_entry(one, place) for one in judging),
        agent=agent.name if agent is not None else None,
        seed=seed,
        n_boot=n_boot,
        confidence=confidence,
        min_coverage=min_coverage,
        criteria=tuple(one.text for one in wanted),
        labels=dict(labels or {}),
    )
    config = replace(config, id=_id(config, run_id, name))
    if store is None and home is None:
        store = chosen_store()
    keep = _Kept(_store(store, place), isinstance(store, Store))
    session = _session(outer, place, config.id, budget, concurrency)
    with keep, session as at_work, use_session(at_work), _traces_go_to(keep.store):
        listen(at_work)
        return _evaluate(
            config, rows, judging, agent, keep.store, folders.evaluations(place), concurrency, events
        )


def _evaluate(
    config: Config,
    rows: Sequence[Row],
    scorers: Sequence[Scorer],
    agent: Agent | None,
    store: Store | None,
    root: Path,
    concurrency: int,
    events: Callable[[EvaluationEvent], None] | None,
) -> EvaluationResult:
    folder = root / config.id
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder, config.id) as journal:
        if not (folder / folders.CONFIG).is_file():
            known = trace_ids(store, rows, with_outputs=agent is None)
            rows = [replace(row, trace_id=trace) for row, trace in zip(rows, known, strict=True)]
        rows = folders.prepare(folder, config, rows)
        board = Board(rows, [one.name for one in scorers], with_agent=agent is not None)
        board.replay(read_journal(folder, config.id))
        sources = [one.source for one in config.judges]
        engine = Engine(config.id, board, journal, scorers, sources, agent, store, events)
        if not engine.idle:
            folders.drop_results(folder)  # they are of the pass before
        logger.info("Evaluation %s in %s", config.id, folder)
        try:
            engine.run(concurrency)
        except BaseException as error:
            error.add_note(f"What was done is kept. To go on: the same call, with run_id={config.id!r}.")
            raise
        finally:
            if agent is not None:
                agent.close()
        result = EvaluationResult(
            config, board, folder, stopped=str(engine.stopped) if engine.stopped else None
        )
        reach("evaluation.before_results")
        folders.write_results(folder, result.iter_verdicts(), result.to_json())
        reach("evaluation.results_written")
        return result


def _check_labels(rows: Sequence[Row], labels: Mapping[str, str]) -> None:
    found = sorted({name for row in rows for name in row.labels if name})
    for name in labels.values():
        if name not in found:
            raise DataError(
                f"No row has a label called {name!r}; found: {', '.join(found) or 'none'}.{nearest(name, found)}",
                "Use one of these names.",
            )


def _one_of(judges: Any, scorers: Any) -> Any:
    if judges is not None and scorers is not None:
        raise UsageError("judges and scorers are two names for one thing.", "Pass one of them.")
    return judges if judges is not None else scorers


def _id(config: Config, run_id: str | None, name: str | None) -> str:
    if run_id is not None:
        return folders.check_id(run_id)
    knowable = config.agent is None and all(one.digest is not None for one in config.judges)
    title = name or "-".join(one.name for one in config.judges)
    return folders.make_id(title, config.identity if knowable else None, uuid4().hex)


def _entry(scorer: Scorer, home: Path) -> JudgeEntry:
    value_type = scorer.value_type.to_json() if scorer.value_type is not None else None
    source = (scorer.source_type, _source_id(scorer, home))
    return JudgeEntry(scorer.name, source, scorer.digest, scorer.model, value_type)


def _source_id(scorer: Scorer, home: Path) -> str:
    """`name/3` for a registered version, else `name@<hash>`: what judged can be told from its assessments."""
    if scorer.digest is None:
        return scorer.name
    if (home / STORE).is_file():
        from judge_opt.registry.registry import Registry

        for version in reversed(Registry(home / STORE).versions("judge", scorer.name)):
            if version.content_hash == scorer.digest and not version.deleted:
                return f"{scorer.name}/{version.version}"
    return f"{scorer.name}@{scorer.digest[:12]}"


class _Kept:
    """A store that is closed again where it was opened here."""

    def __init__(self, store: Store | None, borrowed: bool) -> None:
        self.store = store
        self._borrowed = borrowed

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *_: object) -> None:
        if self.store is not None and not self._borrowed:
            self.store.close()


def _store(store: "Store | str | Path | Literal[False] | None", home: Path) -> Store | None:
    if store is False:
        return None
    if isinstance(store, Store):
        return store
    return Store(home / STORE if store is None else store)


def _traces_go_to(store: Store | None) -> Any:
    """The agent's traces belong where the verdicts of them are."""
    return use_store(store) if store is not None else nullcontext()


def _session(
    outer: Session | None, home: Path, run_id: str, budget: "Budget | None", concurrency: int
) -> Any:
    """The current session; one of this run's own where it has a budget, or another home, of its own."""
    if outer is not None and budget is None:
        return nullcontext(outer)
    return Session(
        home,
        run_id,
        budget,
        concurrency=concurrency,
        retry=outer.retry if outer is not None else None,
        events=outer.events if outer is not None else None,
    )
