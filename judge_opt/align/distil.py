"""DistilToSmall: a cheap judge learns from a strong one on rows that nobody labelled, then from people.

    strong = GEPA().align(judge_of_a_large_model, train).judge
    DistilToSmall(strong, unlabelled).align(judge_of_a_small_model, train)

The strong judge is calibrated on the human labels and judges the unlabelled rows; its probabilities become
votes, so that a row of which it is not sure counts for both sides, and rows of which it knows nothing are left
out. The small judge is aligned to these, then calibrated on the human labels, which the first step has not seen
and which therefore decide whether the result is returned at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.align.calibrate import calibrated
from judge_opt.align.contract import AlignmentResult, Callback, CandidateResult, Component, estimate_calls
from judge_opt.align.lineage import judge_hash, settings_of
from judge_opt.align.named import make_optimizer
from judge_opt.align.objective import Metric, metric_for
from judge_opt.align.running import Alignment, alignment
from judge_opt.align.scoring import no_harm
from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.budget import Budget

VOTES = 10
"""Votes that a pseudo-label is spread over by its probabilities."""


@dataclass(frozen=True)
class DistilToSmall:
    """See the module's text.

    Attributes:
        strong: the judge to learn from; of the same values as the one that is aligned.
        unlabelled: items, as of `Judge.judge_item`: field name to value. Those that are among the labelled rows
            are left out.
        optimizer: aligns the small judge to the pseudo-labels; its name, or an optimizer; None: MemAlign().
        min_confidence: pseudo-labels below it are left out.
        sure: see `scoring.no_harm`.
        concurrency: calls in flight.
    """

    strong: Judge
    unlabelled: Sequence[Any]
    optimizer: Any = None
    min_confidence: float = 0.6
    sure: float = 0.8
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "distil"

    @property
    def inner(self) -> Any:
        """The optimizer that aligns the small judge to the pseudo-labels."""
        given = "memalign" if self.optimizer is None else self.optimizer
        return make_optimizer(given) if isinstance(given, str) else given

    def settings(self) -> dict[str, Any]:
        """What names the work: the strong judge and the unlabelled items by their hashes."""
        return {
            "strong": judge_hash(self.strong),
            "unlabelled": content_hash([dict(item) for item in self.unlabelled]),
            "optimizer": {"name": self.inner.name, "settings": settings_of(self.inner)},
            "min_confidence": self.min_confidence,
            "sure": self.sure,
        }

    def estimate(self, n_train: int) -> tuple[int, int]:
        """The strong judge on all rows, the inner optimizer, the small judge twice on the human labels."""
        n = len(self.unlabelled)
        low, high = estimate_calls(self.inner, n)
        return n_train + n, 2 * (n_train + n) + max(high, low) + 4 * n_train

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
        """Align the small `judge`. The human labels of `train` calibrate both judges and decide.

        Raises:
            DataError: the judges' values differ; too few pseudo-labels are sure enough.
            JudgeOptError: as `running.alignment` and the inner optimizer.
        """
        if judge.value_type != self.strong.value_type:
            raise DataError(
                f"{self.strong.name!r} says {self.strong.value_type.describe()}, {judge.name!r} says "
                f"{judge.value_type.describe()}.",
                "Give judges of the same values.",
            )
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            rows = run.rows()
            plain = run.untouched(judge, rows, "judge the labelled rows", self.concurrency)
            taught = run.untouched(self.strong, rows, "the strong judge's labelled rows", self.concurrency)
            metric = metric_for(judge.value_type, rows)
            pseudo, teacher = self.pseudo(run, rows, taught, metric)
            step = self.inner.align(judge, pseudo, seed=seed, callbacks=callbacks)
            raw = plain
            if step.changed:
                raw = run.judge(step.judge, rows, "judge the labelled rows again", self.concurrency)
            tried = calibrated(rows, raw, judge.value_type, metric, seed=seed, sure=self.sure)
            found, after = step.judge, raw
            if tried.calibration is not None:
                found, after = step.judge.with_calibration(tried.calibration), list(tried.held)
            gate = no_harm(metric, rows, plain, after, judge.value_type, seed=seed, sure=self.sure)
            table = {"untouched": plain, "strong": taught, "distilled": raw, "distilled, calibrated": after}
            for name, said in table.items():
                _tried(run, metric, name, rows, said, judge)
            chosen = "distilled, calibrated" if tried.calibration is not None else "distilled"
            if not gate.keep:
                found, chosen = judge, "untouched"
            component = Component(
                "distillation", gate.keep, metric.name, gate.after, gate.before, gate.rows, gate.why
            )
            return run.result(
                found,
                chosen,
                components=(component, *step.components),
                guidelines=step.guidelines,
                history=(*teacher, *step.history),
                coverage=sum(isinstance(j, Scored) for j in plain) / len(rows),
                warnings=step.warnings,
                metric=metric.name,
            )

    def pseudo(
        self,
        run: Alignment,
        rows: Sequence[LabelledExample],
        taught: Sequence[Judgement],
        metric: Metric,
    ) -> tuple[list[LabelledExample], tuple[tuple[str, str, float], ...]]:
        """The unlabelled rows with the strong judge's votes, and what it agrees with people.

        Raises:
            DataError: fewer than ten are sure enough.
        """
        value_type = self.strong.value_type
        tried = calibrated(rows, taught, value_type, metric, seed=run.seed, sure=self.sure)
        labelled = {content_hash(dict(row.fields)) for row in [*run.train, *run.valid]}
        items = {content_hash(dict(item)): dict(item) for item in self.unlabelled}
        items = {key: items[key] for key in sorted(items) if key not in labelled}
        said = self.strong.batch(
            list(items.values()),
            concurrency=self.concurrency,
            progress=run.tell("the strong judge's unlabelled rows"),
        )
        made = []
        for (key, item), feedback in zip(items.items(), said, strict=True):
            judged = feedback.result
            if tried.calibration is not None:
                judged = tried.calibration.apply(judged, value_type)
            votes = _votes(judged, self.strong, self.min_confidence)
            if votes:
                made.append(LabelledExample(f"pseudo-{key[:16]}", f"pseudo-{key[:16]}", item, votes))
        if len(made) < len(items):
            run.warn(f"{len(items) - len(made)} of {len(items)} unlabelled rows got no pseudo-label")
        if len(made) < 10:
            raise DataError(
                f"Only {len(made)} of {len(items)} unlabelled rows got a sure enough pseudo-label.",
                "Give more rows, or a lower min_confidence.",
            )
        return made, (("strong judge", metric.name, tried.scores.get(tried.form, 0.0)),)


def _votes(judged: Judgement, strong: Judge, least: float) -> tuple[Vote, ...]:
    """A judgement as votes; none where it is none, or not sure enough. Without probabilities it has one."""
    if not isinstance(judged, Scored) or (judged.confidence is not None and judged.confidence < least):
        return ()
    if judged.probabilities is None:
        return (Vote(strong.name, judged.value, judged.rationale),)
    value_type = strong.value_type
    votes: list[Vote] = []
    own = value_type.text_of(judged.value)
    for label in sorted(judged.probabilities, key=lambda one: (one != own, one)):
        why = judged.rationale if label == own else None
        for _ in range(round(VOTES * judged.probabilities[label])):
            votes.append(Vote(f"{strong.name} {len(votes):02}", value_type.read(label), why))
    return tuple(votes)


def _tried(
    run: Alignment,
    metric: Metric,
    name: str,
    rows: Sequence[LabelledExample],
    said: Sequence[Judgement],
    judge: Judge,
) -> None:
    kept = [(row, j) for row, j in zip(rows, said, strict=True) if isinstance(j, Scored)]
    score = metric.pooled([r for r, _ in kept], [j for _, j in kept], judge.value_type) if kept else None
    run.tried(CandidateResult(name, score, len(kept), len(kept) / len(rows)))
