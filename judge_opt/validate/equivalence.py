"""As good as, but for a margin: non-inferiority, equivalence, and several candidates at once.

    found = margin_test(gold, before, after, groups, BOOL, margin=0.05)
    found.non_inferior        # a cheaper judge that loses less than 5 points of agreement may take over

A difference that is not significant is no proof that two judges are alike; it may be that rows were few. Here
the burden of proof is turned round: the margin is declared before, and the data must show that the loss is
smaller.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field
from scipy import stats

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.compare import Comparison, compare_judges, holm, shared
from judge_opt.validate.figures import Strict, point
from judge_opt.validate.intervals import blocks
from judge_opt.validate.metrics import HIGHER_IS_BETTER, MetricName, Statistic, statistic, undefined_reason
from judge_opt.validate.pairs import FloatArray, IntArray


class MarginTest(Strict):
    """The new judge against the old one, with a margin.

    Attributes:
        difference: the new judge's metric less the old one's, on the rows that both scored.
        low, high: the two-sided interval at 1 - 2 alpha: all of it above -margin is non-inferiority, all of
            it within the margin equivalence.
        p_non_inferior: one-sided, of "the new judge is worse by the margin or more".
        p_equivalent: the larger of the two one-sided p-values (TOST).
        non_inferior, equivalent: the p-value is at most alpha; None where it could not be tested.
        reason: why it could not; None where it could.
    """

    metric: MetricName
    margin: float
    alpha: float
    n_pairs: int
    n_groups: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_non_inferior: float | None = None
    p_equivalent: float | None = None
    non_inferior: bool | None = None
    equivalent: bool | None = None
    reason: str | None = None


class Candidates(Strict):
    """Several judges against one baseline.

    Attributes:
        comparisons: each candidate's, by name.
        adjusted: Holm's p-value by name: at most alpha for any candidate no better than the baseline only
            with chance alpha, however many there are. None where a candidate could not be compared.
        best: the candidate with the greatest difference among those whose adjusted p-value is at most
            alpha; None where there is none.
    """

    alpha: float
    comparisons: dict[str, Comparison] = Field(default_factory=dict)
    adjusted: dict[str, float | None] = Field(default_factory=dict)
    best: str | None = None


def margin_test(
    gold: Sequence[Value],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    margin: float,
    metric: MetricName = "agreement",
    alpha: float = 0.05,
) -> MarginTest:
    """Test whether `after` is at most `margin` worse than `before`, and whether they are alike to `margin`.

    Two one-sided tests (Schuirmann 1987). The spread is that of leaving out one group at a time (jackknife),
    with Student's t at G - 1 degrees of freedom: where every group is one row and the metric is agreement this
    is the paired t-test. A percentile bootstrap of groups holds its level about as well (benchmarks/intervals:
    at level .05 and 12 groups, 3.9 % here and 4.8 % there); the jackknife draws nothing and is much cheaper.
    Where the judges never differ the t-test has no spread; for agreement the exact bound (1 - margin)^G takes
    its place.

    Args:
        gold, before, after, groups: one entry for each row, in one order.
        margin: what may be lost, in the metric's unit, in (0, 1): declared before the labels are looked at.
        metric: one where higher is better.

    Raises:
        DataError: the columns differ in length, a value is not of the value type, or lower is better.
        UsageError: the margin or alpha is out of range.
    """
    if metric not in HIGHER_IS_BETTER:
        raise DataError(f"Judges cannot be compared on {metric}: more is not better.", "Take another metric.")
    if not 0.0 < margin < 1.0 or not 0.0 < alpha < 0.5:
        raise UsageError(
            f"margin={margin}, alpha={alpha}: out of range.", "Take a margin in (0, 1) and alpha in (0, 0.5)."
        )
    old, new, _ = shared(gold, before, after, groups, value_type)
    base = MarginTest(metric=metric, margin=margin, alpha=alpha, n_pairs=old.n, n_groups=old.n_groups)
    reason = undefined_reason(metric, old, value_type) or undefined_reason(metric, new, value_type)
    if reason is None and old.n_groups < 2:
        reason = "All rows are in one group, so the spread between groups cannot be seen."
    if reason:
        return base.model_copy(update={"reason": reason})
    of_old, of_new = statistic(metric, old), statistic(metric, new)

    def gap(w: FloatArray) -> FloatArray:
        return of_new(w) - of_old(w)

    difference = point(gap, old.n)
    base = base.model_copy(update={"difference": difference})
    error = jackknife_error(gap, old.group)
    if error is None:
        why = "Without one of the groups the metric is not defined, so the spread cannot be seen."
        return base.model_copy(update={"reason": why})
    dof = old.n_groups - 1
    if error > 1e-12:
        lower = float(stats.t.sf((difference + margin) / error, dof))
        upper = float(stats.t.cdf((difference - margin) / error, dof))
        reach = float(stats.t.ppf(1.0 - alpha, dof)) * error
        base = base.model_copy(update={"low": difference - reach, "high": difference + reach})
    elif metric == "agreement" and difference == 0.0:
        lower = upper = (1.0 - margin) ** old.n_groups
        reach = 1.0 - alpha ** (1.0 / old.n_groups)  # the margin at which the bound is alpha
        base = base.model_copy(update={"low": -reach, "high": reach})
    else:
        why = "The difference is the same whichever group is left out, so the spread cannot be seen."
        return base.model_copy(update={"reason": why})
    both = max(lower, upper)
    return base.model_copy(
        update={
            "p_non_inferior": lower,
            "p_equivalent": both,
            "non_inferior": lower <= alpha,
            "equivalent": both <= alpha,
        }
    )


def jackknife_error(function: Statistic, group: IntArray) -> float | None:
    """The standard error of a statistic of row weights by leaving out one group at a time (Efron & Stein
    1981); None where it is not defined without some group. Two groups or more."""
    codes = np.arange(int(group.max()) + 1)
    left_out = np.concatenate(
        [
            function((group[None, :] != block[:, None]).astype(np.float64))
            for block in blocks(codes, len(group))
        ]
    )
    if not np.isfinite(left_out).all():
        return None
    g = len(codes)
    return float(((g - 1) / g * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5)


def compare_candidates(
    gold: Sequence[Value],
    baseline: Sequence[Judgement],
    candidates: Mapping[str, Sequence[Judgement]],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    metric: MetricName | None = None,
    alpha: float = 0.05,
    n_boot: int = 2000,
    n_swaps: int = 9999,
    seed: int = 0,
) -> Candidates:
    """Each candidate against the baseline by `compare_judges`, p-values corrected by Holm (1979).

    Args:
        candidates: name to judgements, in the order of the rows.

    Raises:
        DataError: as of `compare_judges`.
        UsageError: there is no candidate.
    """
    if not candidates:
        raise UsageError("There is no candidate to compare.", "Give at least one.")
    found = {
        name: compare_judges(
            gold, baseline, judged, groups, value_type,
            metric=metric, n_boot=n_boot, n_swaps=n_swaps, seed=seed,
        )
        for name, judged in candidates.items()
    }  # fmt: skip
    # A candidate that cannot be compared was still tried: it counts in the correction as p = 1.
    p_values = {name: one.p_value for name, one in found.items()}
    holms = holm([1.0 if p is None else p for p in p_values.values()])
    adjusted = {name: None if p_values[name] is None else a for name, a in zip(found, holms, strict=True)}
    passed = {
        name: found[name].difference.value or 0.0
        for name, a in adjusted.items()
        if a is not None and a <= alpha
    }
    best = max(passed, key=lambda name: passed[name]) if passed else None
    return Candidates(alpha=alpha, comparisons=found, adjusted=adjusted, best=best)
