"""Calibrate: what the judge's verdicts are worth, learned from labels at one call each.

    better = Calibrate().align(judge, train).judge

Nothing about the prompt changes. The verdict (or its label probabilities) is mapped to what the experts say
where the judge says this: a confusion map, thresholds, a Dirichlet map, cuts on an ordered scale, an isotonic
curve, a shift. Which form, if any, is chosen by cross-validation inside of each fold of another
cross-validation, so that the choice itself is tested on rows that it did not see; where that shows no gain,
the judge is returned as it was (calibration is known to harm judges that are already aligned).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from judge_opt.align.calibration_fits import fits_for, shares_of
from judge_opt.align.contract import AlignmentResult, Callback, CandidateResult, Component
from judge_opt.align.objective import Metric, metric_for
from judge_opt.align.running import alignment
from judge_opt.align.scoring import NoHarm, no_harm
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.judges.calibration import Calibration
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.memory.predictors import group_folds

OUTER, INNER = 5, 4
"""Folds around the choice of a form, and within it; at least as many groups are needed."""
MARGIN = 0.005
"""By how much a later form must be better than one before it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What cross-validation said of calibration.

    Attributes:
        calibration: fitted on all rows; None where it does not help.
        form: its name.
        proposed: what would be returned without the gate.
        gate: with against without, on rows that neither the form nor its numbers were learned from.
        scores: form to its cross-validated score, "untouched" first.
        held: each row's judgement by a calibration that did not see its group.
    """

    calibration: Calibration | None
    form: str
    proposed: Calibration | None
    gate: NoHarm
    scores: dict[str, float]
    held: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Calibrate:
    """See the module's text.

    Attributes:
        metric: "auto", or one of `objective.METRICS`.
        forms: "auto", or those to try: confusion, bias, dirichlet, cuts, isotonic, shift, linear.
        raters: "pooled" predicts the panel; "each" keeps the raters' severities on the judge too, for
            `judge.calibration.apply(judged, value_type, rater="ann")`.
        sure: share of group resamples in which calibration must help for the gate to let it through.
        concurrency: calls in flight.
    """

    metric: str = "auto"
    forms: tuple[str, ...] | Literal["auto"] = "auto"
    raters: Literal["pooled", "each"] = "pooled"
    sure: float = 0.8
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "calibrate"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """One call a label, and a repair where a reply cannot be read."""
        return n_train, 2 * n_train

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
        """Learn from `train`. The gate asks rows of `train` whose group was held out, so `valid` is not needed
        and not judged.

        Raises:
            DataError, ModelError, BudgetExceeded: see `running.alignment` and `Alignment.untouched`.
        """
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            rows = run.rows()
            plain = judge.with_calibration(None)
            raw = run.untouched(plain, rows, "judge the labelled rows", self.concurrency)
            value_type = judge.value_type
            sure = all(j.probabilities is not None for j in raw if isinstance(j, Scored))
            metric = metric_for(value_type, rows, self.metric, probabilities=sure)
            before = raw
            if (old := judge.calibration) is not None:
                before = [old.apply(j, value_type) for j in raw]
            tried = calibrated(
                rows, raw, value_type, metric, seed=seed, forms=self.forms, sure=self.sure, before=before
            )
            found = tried.calibration
            if found is not None and self.raters == "pooled":
                found = replace(found, raters={})
            scored = sum(isinstance(j, Scored) for j in raw)
            cover = scored / len(rows)
            for form, score in tried.scores.items():
                calls = run.spent.asked if form == "untouched" else 0
                what = found.describe(value_type) if found is not None and form == tried.form else ""
                run.tried(CandidateResult(form, score, scored, cover, calls, what))
            gate = tried.gate
            component = Component(
                "calibration", found is not None, metric.name, gate.after, gate.before, gate.rows, gate.why
            )
            return run.result(
                judge if found is None else plain.with_calibration(found),
                tried.form if found is not None else "untouched",
                components=(component,),
                history=tuple((form, metric.name, score) for form, score in tried.scores.items()),
                coverage=cover,
                metric=metric.name,
            )


def calibrated(
    rows: Sequence[LabelledExample],
    judged: Sequence[Judgement],
    value_type: ValueType,
    metric: Metric,
    *,
    seed: int = 0,
    forms: Sequence[str] | Literal["auto"] = "auto",
    sure: float = 0.8,
    before: Sequence[Judgement] | None = None,
) -> Tried:
    """Fit, choose and gate on verdicts that are there already; asks nobody.

    Args:
        rows, judged: one judgement a row, without any calibration; failures are left out.
        before: what stands against it: the judge as it is; default `judged`.

    Raises:
        UsageError: see `objective.metric_for`.
    """
    against = judged if before is None else before
    kept = [i for i, j in enumerate(judged) if isinstance(j, Scored)]
    said = [j for j in judged if isinstance(j, Scored)]
    labelled = [rows[i] for i in kept]
    stands = [against[i] for i in kept]
    plain = _score(metric, labelled, stands, value_type)
    groups = [row.group for row in labelled]
    if len(set(groups)) < OUTER:
        why = f"{len(set(groups))} groups of judged rows are too few to test it on"
        nothing = NoHarm(False, plain, None, len(kept), None, why)
        return Tried(None, "untouched", None, nothing, {"untouched": plain}, tuple(against))
    wanted = _Choice(value_type, metric, forms)
    folds = group_folds(groups, OUTER, seed)
    held: list[Judgement] = list(stands)
    for fold in range(OUTER):
        inside = [i for i in range(len(said)) if folds[i] != fold]
        _, best, _ = wanted.among(
            [labelled[i] for i in inside], [said[i] for i in inside], [stands[i] for i in inside], seed
        )
        if best is not None:
            for i in np.flatnonzero(folds == fold).tolist():
                held[i] = best.apply(said[i], value_type)
    gate = no_harm(metric, labelled, stands, held, value_type, seed=seed, sure=sure)
    form, final, scores = wanted.among(labelled, said, stands, seed)
    whole = list(against)
    for at, i in enumerate(kept):
        whole[i] = held[at]
    if not gate.keep or final is None:
        return Tried(None, "untouched", final, gate, scores, tuple(whole))
    return Tried(final, form, final, gate, scores, tuple(whole))


@dataclass(frozen=True, slots=True)
class _Choice:
    """Between forms, by cross-validation over whole groups."""

    value_type: ValueType
    metric: Metric
    forms: Sequence[str] | Literal["auto"]

    def among(
        self,
        rows: Sequence[LabelledExample],
        said: Sequence[Scored],
        stands: Sequence[Judgement],
        seed: int,
    ) -> tuple[str, Calibration | None, dict[str, float]]:
        """(name, the calibration fitted on all of `rows`, every form's score); None for the untouched."""
        fits = fits_for(self.value_type, said)
        if self.forms != "auto":
            fits = {name: fit for name, fit in fits.items() if name in self.forms}
        folds = group_folds([row.group for row in rows], INNER, seed + 1)
        held: dict[str, list[Judgement]] = {"untouched": list(stands)}
        for fold in range(INNER):
            inside = [i for i in range(len(said)) if folds[i] != fold]
            outside = np.flatnonzero(folds == fold).tolist()
            some, verdicts = [rows[i] for i in inside], [said[i] for i in inside]
            for name, fit in fits.items():
                for variant, made in self.variants(name, fit(some, verdicts, self.value_type), some).items():
                    own = held.setdefault(variant, list(stands))
                    for i in outside:
                        own[i] = made.apply(said[i], self.value_type)
        scores = {name: _score(self.metric, rows, own, self.value_type) for name, own in held.items()}
        top = max(scores.values())
        best = next(name for name, score in scores.items() if score >= top - MARGIN)
        if best == "untouched":
            return best, None, scores
        form = best.partition(",")[0]
        final = self.variants(form, fits[form](rows, said, self.value_type), rows)
        return best, final.get(best), scores

    def variants(
        self, name: str, made: Calibration | None, rows: Sequence[LabelledExample]
    ) -> dict[str, Calibration]:
        """As fitted, and with a rare label's probability raised as if all labels were equally common."""
        if made is None:
            return {}
        if made.form not in ("confusion", "logits", "cuts"):
            return {name: made}
        base = shares_of(rows, self.value_type).mean(axis=0) + 0.5 / len(rows)
        weights = tuple(np.round(base.mean() / base, 6).tolist())
        return {name: made, f"{name}, labels weighed alike": replace(made, weights=weights)}


def _score(
    metric: Metric, rows: Sequence[LabelledExample], judged: Sequence[Judgement], value_type: ValueType
) -> float:
    return metric.pooled(list(rows), [j for j in judged if isinstance(j, Scored)], value_type)
