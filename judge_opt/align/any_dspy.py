"""AnyDSPy: an optimizer of DSPy, or one written for it, under this project's contract.

    AnyDSPy("BootstrapFewShot", {"max_bootstrapped_demos": 3}).align(judge, train)
    AnyDSPy(lambda metric: MyTeleprompter(metric=metric, depth=2)).align(judge, train)

What it adds: rows that it chooses by are never shown to the teleprompter; the compiled program, the other
candidates that it kept and the untouched judge are compared on them, and the best is returned, not the last;
seed 0 is a seed; budget, ledger and Ctrl-C hold; an error that ends everything is raised, not logged.
"""

import contextlib
import copy
import inspect
import io
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy
import numpy as np

from judge_opt.align.contract import AlignmentResult, Callback, CandidateResult, Component
from judge_opt.align.dspy_bridge import Ended, Scope, Student, guarded, learned, row_metric
from judge_opt.align.objective import Metric, metric_for
from judge_opt.align.rows import episode_of
from judge_opt.align.running import Alignment, alignment
from judge_opt.align.scoring import best_of, compare, no_harm
from judge_opt.core.errors import BudgetExceeded, UsageError
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.text import nearest
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.memory.predictors import group_folds

KNOWN = (
    "BootstrapFewShot",
    "BootstrapFewShotWithRandomSearch",
    "COPRO",
    "InferRules",
    "KNNFewShot",
    "LabeledFewShot",
    "MIPROv2",
    "SIMBA",
)
RIVALS = 3
"""Further candidates of a program that are compared at most."""


@dataclass(frozen=True)
class AnyDSPy:
    """See the module's text.

    Attributes:
        teleprompter: a name of DSPy's; a class; a function of the metric that makes one; or a made one, whose
            own metric is kept where it has one. KNNFewShot, whose program cannot be stored, becomes a memory
            that shows the nearest examples.
        settings: for its constructor, where it is made here.
        compile: further arguments of its `compile`.
        reflection_lm: URI of the model that writes instructions; None: the judge's own.
        embedder: URI of the embedding model, for KNNFewShot.
        metric: "auto", or one of `objective.METRICS`.
        held_out: share of the groups that are kept to choose by, where no `valid` is given.
        sure: see `scoring.no_harm`.
        concurrency: calls in flight.
    """

    teleprompter: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    compile: Mapping[str, Any] = field(default_factory=dict)
    reflection_lm: str | None = None
    embedder: str = "local:/minilm"
    metric: str = "auto"
    held_out: float = 0.34
    sure: float = 0.8
    concurrency: int = 8

    @property
    def kind(self) -> str:
        """The teleprompter's name."""
        given = self.teleprompter
        if isinstance(given, str):
            return given
        return str(getattr(given, "__name__", type(given).__name__))

    @property
    def name(self) -> str:
        return f"dspy {self.kind}"

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult:
        """Learn from `train`; choose by `valid`, or by groups of `train` that are kept back.

        Raises:
            UsageError: no such teleprompter, or it refuses its settings.
            DataError, ModelError: see `running.alignment` and `Alignment.untouched`.
            BudgetExceeded: before the untouched judge has been measured; later the untouched judge is
                returned, with `stopped="budget"`.
        """
        if isinstance(self.teleprompter, str):
            _class(self.teleprompter)
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            return _Search(self, run, judge).align()


class _Search:
    """One alignment: what its steps share."""

    def __init__(self, settings: AnyDSPy, run: Alignment, judge: Judge) -> None:
        self.settings, self.run, self.judge = settings, run, judge

    def align(self) -> AlignmentResult:
        settings, run, judge = self.settings, self.run, self.judge
        rows = run.rows()
        if run.valid:
            learn, choose = rows, sorted((r for r in run.valid if r.gold is not None), key=lambda r: r.id)
        else:
            folds = group_folds([r.group for r in rows], max(2, round(1 / settings.held_out)), run.seed)
            learn = [r for r, fold in zip(rows, folds, strict=True) if fold != 0]
            choose = [r for r, fold in zip(rows, folds, strict=True) if fold == 0]
        said = run.untouched(judge, [*learn, *choose], "judge the labelled rows", settings.concurrency)
        plain = said[len(learn) :]
        able = [r for r, j in zip(learn, said, strict=False) if isinstance(j, Scored)]
        cover = sum(isinstance(j, Scored) for j in said) / len(said)
        if len(able) < len(learn):
            run.warn(f"{len(learn) - len(able)} rows that the judge could not judge were not learned from")
        sure = all(j.probabilities is not None for j in said if isinstance(j, Scored))
        metric = metric_for(judge.value_type, rows, settings.metric, probabilities=sure)
        asked = run.spent.asked
        found: dict[str, Judge] = {}
        stopped = ""
        try:
            found = self.compiled(able, metric)
            judged: dict[str, Sequence[Judgement]] = {"untouched": plain}
            for name, one in found.items():
                judged[name] = run.judge(one, choose, f"judge with {name}", settings.concurrency)
        except BudgetExceeded as error:
            run.warn(f"stopped before its end: {error.message}")
            found, judged, stopped = {}, {"untouched": plain}, "budget"
        table = compare(metric, choose, judged, judge.value_type)
        best = best_of(table)
        gate = no_harm(
            metric, choose, plain, judged[best], judge.value_type, seed=run.seed, sure=settings.sure
        )
        chosen = best if best != "untouched" and gate.keep else "untouched"
        for name, measured in table.items():
            calls = asked if name == "untouched" else (run.spent.asked - asked) // max(len(found), 1)
            what = "" if name == "untouched" else _what(found[name], judge)
            run.tried(CandidateResult(name, measured.score, measured.rows, measured.coverage, calls, what))
        changed = chosen != "untouched"
        component = Component(
            settings.kind, changed, metric.name, gate.after, gate.before, gate.rows, gate.why
        )
        return run.result(
            found[chosen] if changed else judge,
            chosen,
            components=(component,),
            history=tuple((n, metric.name, m.score) for n, m in table.items() if m.score is not None),
            coverage=cover,
            metric=metric.name,
            stopped=stopped,
        )

    def compiled(self, learn: Sequence[LabelledExample], metric: Metric) -> dict[str, Judge]:
        """Name to judge: the compiled one, and others that the teleprompter kept."""
        settings, run = self.settings, self.run
        if settings.kind == "KNNFewShot":
            return {"nearest examples": self.nearest(learn)}
        scope = Scope(run, learn)
        uri = settings.reflection_lm or self.judge.model
        writer = run.session.lm(
            uri, purpose="reflect", base_url=self.judge.endpoint_of(uri), temperature=0.7, max_tokens=2048
        )
        teleprompter = self.made(row_metric(scope, metric, self.judge), writer)
        shuffled = list(learn)
        random.Random(run.seed).shuffle(shuffled)
        examples = [self.judge.example(row) for row in shuffled]
        context_lm = writer if settings.kind == "InferRules" else self.judge.lm(run.session)
        try:
            with dspy.context(lm=context_lm), _quiet(), _seeded(run.seed):
                program = teleprompter.compile(
                    Student(self.judge.copy(), scope), **self.arguments(teleprompter, examples)
                )
        except Ended as end:
            raise end.error from end
        if scope.ended is not None:
            raise scope.ended
        if run.refused:
            raise BudgetExceeded("The budget was used up within the search.", "Raise it and run again.")
        programs = [program]
        for other in list(getattr(program, "candidate_programs", None) or ())[: 2 * RIVALS]:
            programs.append(other.get("program") if isinstance(other, Mapping) else other[-1])
        found: dict[str, Judge] = {}
        for one in programs:
            judge = learned(one, self.judge)
            if judge is None:
                run.warn(f"{settings.kind} made a program that is no judge with instructions and demos")
                continue
            if len(found) <= RIVALS and not any(
                _same(judge, known) for known in [self.judge, *found.values()]
            ):
                found["compiled" if not found else f"candidate {len(found)}"] = judge
        return found

    def made(self, metric: Callable[..., Any], writer: Any) -> Any:
        """The teleprompter, with our metric unless it has one."""
        given, settings = self.settings.teleprompter, dict(self.settings.settings)
        maker = _class(given) if isinstance(given, str) else given
        if not isinstance(maker, type) and hasattr(maker, "compile"):
            own = copy.deepcopy(maker)
            own.metric = metric if getattr(own, "metric", None) is None else guarded(own.metric)
            return own
        if not isinstance(maker, type):
            return maker(metric)
        takes = inspect.signature(maker).parameters
        free = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
        offered = {
            "metric": metric,
            "seed": self.run.seed + 1,  # 0 is taken for "none was given"
            "prompt_model": writer,
            "task_model": self.judge.lm(self.run.session),
            "num_threads": self.settings.concurrency,
        }
        ours = {k: v for k, v in offered.items() if k in takes or (k == "metric" and free)}
        try:
            return maker(**{**ours, **settings})
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{self.settings.kind} refuses its settings ({error}).", "Correct them."
            ) from error

    def arguments(self, teleprompter: Any, examples: list[Any]) -> dict[str, Any]:
        """For `compile`: rows to learn from, rows to search by, and a seed, where it takes them."""
        takes = inspect.signature(teleprompter.compile).parameters
        out: dict[str, Any] = {}
        if "valset" in takes and len(examples) >= 6:
            cut = max(2, len(examples) * 2 // 5)
            out["trainset"], out["valset"] = examples[cut:], examples[:cut]
        elif "trainset" in takes:
            out["trainset"] = examples
        if "seed" in takes:
            out["seed"] = self.run.seed + 1
        if "minibatch" in takes and len(out.get("valset", examples)) < 70:
            out["minibatch"] = False
        if "program_aware_proposer" in takes:
            out["program_aware_proposer"] = False
        if "eval_kwargs" in takes:
            out["eval_kwargs"] = {"num_threads": self.settings.concurrency, "display_progress": False}
        return {**out, **self.settings.compile}

    def nearest(self, learn: Sequence[LabelledExample]) -> Judge:
        """What KNNFewShot's program does, as a memory that can be stored: the nearest examples are shown."""
        from judge_opt.align.rows import TrainingRow
        from judge_opt.memory.episodic import EpisodicMemory
        from judge_opt.memory.memory import Memory

        uri, judge = self.settings.embedder, self.judge
        embedder = self.run.session.embedder(uri, judge.endpoint_of(uri))
        weights = {variable.name: 1.0 for variable in judge.template.variables}
        rows = []
        for row in learn:
            parts = judge.parts(row.fields)
            if isinstance(parts, Mapping) and row.gold is not None:
                rows.append(TrainingRow(row, dict(parts), row.gold, Scored(row.gold)))
        empty = Memory(
            judge.value_type,
            uri,
            weights,
            EpisodicMemory([], np.zeros((0, 1), np.float32), embedder.name),
            base_url=judge.endpoint_of(uri),
        )
        vectors = empty.item_embedder(embedder).embed([row.parts for row in rows])
        episodes = EpisodicMemory([episode_of(row, judge) for row in rows], vectors, embedder.name)
        shots = int(self.settings.settings.get("k", 3))
        return judge.with_memory(
            Memory(judge.value_type, uri, weights, episodes, shots=shots, base_url=judge.endpoint_of(uri))
        )


def _class(name: str) -> Any:
    found = getattr(dspy, name, None) or getattr(dspy.teleprompt, name, None)
    if not isinstance(found, type) or not hasattr(found, "compile"):
        raise UsageError(
            f"DSPy has no optimizer {name!r}.{nearest(name, KNOWN)}", f"For example {', '.join(KNOWN)}."
        )
    return found


def _same(a: Judge, b: Judge) -> bool:
    return a.instructions == b.instructions and [dict(d) for d in a.predict.demos] == [
        dict(d) for d in b.predict.demos
    ]


def _what(found: Judge, given: Judge) -> str:
    said = []
    if found.instructions != given.instructions:
        said.append(f"instructions: {found.instructions}")
    if found.predict.demos:
        said.append(f"{len(found.predict.demos)} examples")
    if found.memory is not given.memory:
        said.append("the nearest examples are shown")
    return "; ".join(said)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """DSPy's optimizers print and log; our progress says what is going on."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Some draw from the process's generators: they are seeded for them, and put back."""
    state, numbers = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numbers)
