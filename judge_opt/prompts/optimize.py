"""`optimize_prompts`: rewrite an agent's prompts by what judges say of its outputs, and tell what came of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from judge_opt.align.contract import Callback
from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.evaluation.scorers import Scorer, make_scorers
from judge_opt.llm.budget import Budget
from judge_opt.llm.uri import ModelURI
from judge_opt.prompts.baselines import one_shot, random_search
from judge_opt.prompts.board import Board
from judge_opt.prompts.evolving import Evolution
from judge_opt.prompts.guard import guard_of, scorers_of
from judge_opt.prompts.job import Job, working
from judge_opt.prompts.objectives import Objective, aims_of
from judge_opt.prompts.reflecting import Rewriter
from judge_opt.prompts.result import PromptResult
from judge_opt.prompts.rows import Rows
from judge_opt.prompts.targets import target_of
from judge_opt.registry.judges import code_version

Method = Literal["gepa", "one shot", "random"]
_METHODS: dict[str, Callable[[Evolution], None]] = {
    "gepa": Evolution.run,
    "one shot": one_shot,
    "random": random_search,
}


def optimize_prompts(
    target: Any = None,
    train: Any = None,
    valid: Any = None,
    judges: Any = None,
    *,
    test: Any = None,
    guard: Any = None,
    prompt_uris: Sequence[str] | None = None,
    objectives: Mapping[str, Objective | float] | None = None,
    budget: Budget | None = None,
    max_calls: int | None = None,
    reflection_lm: str | None = None,
    reflection_base_url: str | None = None,
    method: Method = "gepa",
    seed: int = 0,
    proposals: int = 40,
    patience: int = 10,
    minibatch: int | None = None,
    max_chars: int = 4000,
    repeats: int | None = None,
    concurrency: int = 8,
    callbacks: Sequence[Callback] = (),
    predict_fn: Any = None,
    train_data: Any = None,
    scorers: Any = None,
) -> PromptResult:
    """Rewrite the prompts of an agent, so that judges like its outputs better; and say how sure that is.

    Args:
        target: a function, sync or async, that takes its prompts from `load_prompt`; a `dspy.Module`; or the address
            of an agent, see `agents.http_agent`. A prompt alone: `prompted_agent("prompts:/...", model)`.
        train: rows with `inputs` (and `expectations`, where a judge wants them) to learn from; see `evaluate`.
        valid: rows to choose by; None: half of the train rows, by group.
        judges: judges or functions; a row's score is the weighted mean of what they say.
        test: rows for the comparison of seed and best, run when the choice is made; None: `valid`, which is
            too kind, and said so.
        guard: a judge, or several, that is not optimized against; or a `Guard`. Without one no gain is confirmed.
        prompt_uris: the prompts to rewrite; None: all that the function loads.
        objectives: judge's name to its weight or its `Objective`.
        budget: the hard stop. What it leaves for the last comparison is kept back.
        max_calls: model calls to plan with; None: the budget's, or about 200 runs and 6 for each row.
        reflection_lm: URI of the model that rewrites; None: the first judge's. `reflection_base_url` is where it is
            served; None: where the judge is, if it is of the same provider.
        method: "gepa"; or one of the cheap ways that it has to beat, see `baselines`: "one shot", "random".
        proposals: new prompts at most. patience: proposals in a row without a better one, after which it ends.
        minibatch: rows of one reflection; None: a quarter of the train rows, from 4 to 8.
        max_chars: of a prompt; twice its length is always allowed.
        repeats: times that each output is judged; None: once, or 3 times where the judges are seen to waver: some
            outputs are judged again first.
        concurrency: rows at a time.
        predict_fn, train_data, scorers: MLflow's names of target, train and judges.

    Returns:
        the best prompts with the evidence; the seed where nothing was better. Nothing is registered.

    Raises:
        UsageError, DataError: the arguments do not fit together; no call was bought.
        LeakageError: a group, or an input, stands in two of train, valid and test.
        JudgeOptError: the agent fails on every row, or loads no prompt.
        ModelError: no row could be judged, or a model cannot be asked at all.
        BudgetExceeded: not even the seed could be measured.
        Interrupted: Ctrl-C came; the best so far is in its `so_far`. Run the same again to go on.
    """
    target = target if target is not None else predict_fn
    train = train if train is not None else train_data
    judges = judges if judges is not None else scorers
    if method not in _METHODS:
        raise UsageError(f"No method is called {method!r}.", f"Use one of: {', '.join(_METHODS)}.")
    if train is None:
        raise UsageError("There are no rows to learn from.", "Pass train=[...].")
    subject = target_of(target, prompt_uris)
    judging = make_scorers(judges)
    watch = guard_of(guard)
    watching, watch_aims = scorers_of(watch, judging)
    aims = aims_of(judging, objectives)
    for one in (*judging, *watching):
        if one.reads_trace and one.source_type != "CODE":
            raise UsageError(
                f"The judge {one.name!r} looks at traces, which are not recorded here.",
                "Use judges of inputs, outputs and expectations.",
            )
    rows = Rows.read(train, valid, test, seed)
    subject.check(rows.train[0])
    uri, base_url = _reflection(judging, reflection_lm, reflection_base_url)
    settings = {
        "proposals": proposals,
        "patience": patience,
        "minibatch": minibatch,
        "max_chars": max_chars,
        "repeats": repeats,
        "method": method,
        "max_calls": max_calls,
        "reflection_lm": uri,
        "objectives": {name: str(one) for name, one in (objectives or {}).items()},
    }
    lineage = {
        "optimizer": "optimize_prompts",
        "settings": settings,
        "seed": seed,
        "data_hash": rows.digest,
        "judges": {one.name: one.digest or "a function" for one in judging},
        "guards": {one.name: one.digest or "a function" for one in watching},
        "code": code_version(),
    }
    name = f"prompts-{content_hash([lineage, subject.digest])[:12]}"
    with working(name, budget, seed, callbacks) as work:
        board = Board(work, subject, judging, aims, concurrency)
        job = Job(work, board, subject, rows, watch, lineage)
        job.begin(repeats)
        total = next((n for n in (max_calls, budget.calls if budget else None) if n is not None), None)
        if max_calls is not None and budget is not None and budget.calls is not None:
            total = min(max_calls, budget.calls)
        cost = board.cost
        if total is None:
            total = int(cost * (200 + 6 * (len(rows.train) + len(rows.valid)) + 2 * len(rows.test)))
        kept_back = 2 * len(rows.compared) * len(watching) + (2 * cost * len(rows.test))
        evolution = Evolution(
            board,
            Rewriter(work, subject, aims, uri, base_url, max_chars),
            rows.train,
            rows.valid,
            minibatch=min(len(rows.train), minibatch or max(4, min(8, len(rows.train) // 4))),
            proposals=proposals,
            patience=patience,
            limit=int(total - kept_back),
            seed=seed,
            keep=lambda: job.keep(),
        )
        if not evolution.room:
            work.warn(
                f"{total} calls leave no room for a proposal: one wants about {int(kept_back + evolution.wanted)}, "
                "and a search several"
            )
        job.search(evolution, _METHODS[method])
        return job.finish(watching, watch_aims, evolution.stopped)


def _reflection(scorers: Sequence[Scorer], uri: str | None, base_url: str | None) -> tuple[str, str | None]:
    """The reflection model, and where it is served."""
    judge = next((getattr(one, "subject", None) for one in scorers if one.model), None)
    if uri is None:
        if judge is None:
            raise UsageError(
                "No model is named that could rewrite a prompt.", 'Pass reflection_lm="openai:/...".'
            )
        uri = str(judge.model)
    ModelURI.parse(uri)
    if base_url is None and judge is not None and getattr(judge, "endpoint_of", None) is not None:
        base_url = judge.endpoint_of(uri)
    return uri, base_url
