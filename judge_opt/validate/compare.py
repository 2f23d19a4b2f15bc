"""Two judges on exactly the rows that both scored.

The test swaps the two judges' verdicts in whole groups. If the judges are equally good, which verdict came
from which judge is a coin toss in each group, so the observed difference is one draw of many (Fisher's
randomization test; Good 2005, chapter 3). It is exact for interchangeable judges, however rows are correlated
within groups. It was picked over the bootstrap p-value by simulation: at alpha .05 with 12 groups of 4 rows,
1,000 runs a case, the bootstrap rejected 7 to 8 % and the swap 3 to 6 % in six cases of equally good
judges, interchangeable and not. tests/validate/test_compare.py repeats that.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import Figure, Strict, figure, point, undefined, with_interval
from judge_opt.validate.intervals import blocks, cluster_interval
from judge_opt.validate.metrics import (
    HIGHER_IS_BETTER,
    MetricName,
    Statistic,
    primary_metric,
    statistic,
    undefined_reason,
)
from judge_opt.validate.pairs import FloatArray, IntArray, Pairs, encode, take

_ENUMERATE = 13
"""With at most this many groups that differ, all 2^k swaps are listed and nothing is random."""

_TIE = 1e-10

TestMethod = Literal["all group swaps", "random group swaps"]


class Comparison(Strict):
    """The new judge against the old one, on the rows that both scored.

    Attributes:
        n_pairs, n_groups: rows that both scored, and their groups.
        only_before, only_after, neither: rows that were left out, by who scored them.
        metric: what is compared; see `primary_metric`.
        before, after: the metric of each judge on the shared rows.
        difference: after minus before, with its interval.
        agreement_before, agreement_after, agreement_difference: the same for plain agreement; for float,
            where two numbers hardly ever agree exactly, without a value and with the reason.
        p_value: one-sided, of "the new judge is not better in `metric`"; None where it cannot be tested,
            and then `reason` says why.
        method, swaps: how the p-value was made, and from how many swaps.
        gained, lost: rows where only the new judge, or only the old one, gave the human label.
        mcnemar_p: exact two-sided McNemar on gained and lost. It takes rows as independent, so it is
            shown for comparison with other reports and decides nothing. None where no row is discordant.
    """

    n_pairs: int
    n_groups: int
    only_before: int
    only_after: int
    neither: int
    metric: MetricName
    before: Figure
    after: Figure
    difference: Figure
    agreement_before: Figure
    agreement_after: Figure
    agreement_difference: Figure
    p_value: float | None
    method: TestMethod | None = None
    swaps: int = 0
    gained: int
    lost: int
    mcnemar_p: float | None
    reason: str | None = None


def compare_judges(
    gold: Sequence[Value],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    metric: MetricName | None = None,
    n_boot: int = 2000,
    n_swaps: int = 9999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two judges row by row.

    Args:
        gold, before, after, groups: one entry for each row, in one order.
        metric: defaults to `primary_metric(value_type)`; one where higher is better.
        n_swaps: random swaps where there are too many groups to list them all; the smallest possible
            p-value is 1 / (n_swaps + 1).

    Raises:
        DataError: the columns differ in length, a value is not of the value type, or lower is better in
            `metric`.
    """
    metric = metric or primary_metric(value_type)
    if metric not in HIGHER_IS_BETTER:
        raise DataError(f"Judges cannot be compared on {metric}: more is not better.", "Take another metric.")
    old, new, left_out = shared(gold, before, after, groups, value_type)

    def of(name: MetricName, pairs: Pairs) -> Figure:
        return figure(name, pairs, value_type, n_boot=n_boot, seed=seed, confidence=confidence)

    def gap(name: MetricName) -> Figure:
        reason = undefined_reason(name, old, value_type) or undefined_reason(name, new, value_type)
        if reason:
            return undefined(reason, old)
        difference = _difference(name, old, new)
        value = point(difference, old.n)
        if n_boot == 0:
            return Figure(value=value, n=old.n, n_groups=old.n_groups, reason="No interval was asked for.")
        interval = cluster_interval(difference, old.group, n_boot=n_boot, seed=seed, confidence=confidence)
        return with_interval(value, interval, old, confidence)

    difference = gap(metric)
    p_value, method, swaps = None, None, 0
    if difference.value is not None:
        p_value, method, swaps = swap_test(metric, old, new, n_swaps=n_swaps, seed=seed)
    comparable = value_type.kind != "float"
    right_old, right_new = old.gold == old.judged, new.gold == new.judged
    gained = int((right_new & ~right_old).sum()) if comparable else 0
    lost = int((right_old & ~right_new).sum()) if comparable else 0
    return Comparison(
        n_pairs=old.n,
        n_groups=old.n_groups,
        **left_out,
        metric=metric,
        before=of(metric, old),
        after=of(metric, new),
        difference=difference,
        agreement_before=of("agreement", old),
        agreement_after=of("agreement", new),
        agreement_difference=gap("agreement"),
        p_value=p_value,
        method=method,
        swaps=swaps,
        gained=gained,
        lost=lost,
        mcnemar_p=mcnemar(gained, lost),
        reason=difference.reason if difference.value is None else None,
    )


def shared(
    gold: Sequence[Value],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
) -> tuple[Pairs, Pairs, dict[str, int]]:
    """Both judges' pairs on the same rows, and how many rows were left out and why.

    Raises:
        DataError: the columns differ in length, or a value is not of the value type.
    """
    old, new = encode(gold, before, groups, value_type), encode(gold, after, groups, value_type)
    both, at_old, at_new = np.intersect1d(old.index, new.index, assume_unique=True, return_indices=True)
    left_out = {
        "only_before": old.n - len(both),
        "only_after": new.n - len(both),
        "neither": len(gold) - old.n - new.n + len(both),
    }
    return take(old, at_old), take(new, at_new), left_out


def _difference(metric: MetricName, old: Pairs, new: Pairs) -> Statistic:
    of_old, of_new = statistic(metric, old), statistic(metric, new)
    return lambda w: of_new(w) - of_old(w)


def swap_test(
    metric: MetricName, old: Pairs, new: Pairs, *, n_swaps: int = 9999, seed: int = 0
) -> tuple[float, TestMethod, int]:
    """One-sided p-value of "`new` is not better than `old` in `metric`", by swapping whole groups.

    Swaps on which the metric is not defined count as at least as extreme, against the new judge. Two
    judges that never differ have p = 1.

    Args:
        old, new: two judges on the same rows; the metric is defined on both.

    Returns:
        The p-value in (0, 1], how the swaps were chosen, and how many there were.
    """
    observed = point(_difference(metric, old, new), old.n)
    differs = np.unique(old.group[old.judged != new.judged])
    if len(differs) <= _ENUMERATE:
        bits = np.arange(2 ** len(differs))[:, None] >> np.arange(len(differs))[None, :]
        flips: IntArray = (bits & 1).astype(np.int64)
        method: TestMethod = "all group swaps"
    else:
        flips = np.random.default_rng(seed).integers(0, 2, size=(n_swaps, len(differs)))
        method = "random group swaps"
    place = np.full(old.n_groups, len(differs))
    place[differs] = np.arange(len(differs))
    of_pool = statistic(metric, _pool(old, new))
    extreme = 0
    for block in blocks(flips, 2 * old.n):
        flipped = np.pad(block, ((0, 0), (0, 1)))[:, place[old.group]].astype(np.float64)
        swapped: FloatArray = of_pool(np.hstack([flipped, 1 - flipped])) - of_pool(
            np.hstack([1 - flipped, flipped])
        )
        extreme += int((~(swapped < observed - _TIE)).sum())
    # The observed order is one of the enumerated swaps, but not one of the random ones: hence the 1 + .
    listed = method == "all group swaps"
    return (extreme / len(flips) if listed else (1 + extreme) / (1 + len(flips))), method, len(flips)


def _pool(old: Pairs, new: Pairs) -> Pairs:
    """Both judges' rows stacked, old first: a swap is then a choice of rows, that is, of weights."""

    def stacked(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
        return None if a is None or b is None else np.concatenate([a, b])

    return Pairs(
        index=np.concatenate([old.index, new.index]),
        labels=old.labels,
        gold=np.concatenate([old.gold, new.gold]),
        judged=np.concatenate([old.judged, new.judged]),
        gold_number=stacked(old.gold_number, new.gold_number),
        judged_number=stacked(old.judged_number, new.judged_number),
        group=np.concatenate([old.group, new.group]),
    )


def mcnemar(gained: int, lost: int) -> float | None:
    """Exact two-sided McNemar p-value (binomial on the discordant rows); None without discordant rows."""
    if gained + lost == 0:
        return None
    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (1979), in the order given: reject where at most alpha, and the
    chance of any false rejection is at most alpha, whatever the dependence."""
    m = len(p_values)
    adjusted = [0.0] * m
    running = 0.0
    for rank, k in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (m - rank) * p_values[k]))
        adjusted[k] = running
    return adjusted
