"""Intervals that respect groups: rows of one conversation, prompt or article are not independent.

The bootstrap draws whole groups (Field & Welsh 2007; Cameron, Gelbach & Miller 2008). scipy.stats.bootstrap
draws rows, which is too narrow as soon as groups hold more than one row, so it is written here: group counts
from a multinomial are row weights, and a statistic of row weights computes thousands of resamples at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from judge_opt.validate.clustered import sum_variance
from judge_opt.validate.metrics import MetricName, Statistic
from judge_opt.validate.pairs import FloatArray, IntArray, Pairs

IntervalMethod = Literal[
    "exact", "wilson", "wilson_groups", "wilson_clustered", "percentile", "bca", "normal"
]

_BLOCK = 4_000_000
"""Row weights held at once: 32 MB."""

_MOST_DEGENERATE = 0.5

EXACT_BELOW = 30
"""With fewer independent rows a proportion takes the exact interval: never below its confidence, wider."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Two ends, or neither and the reason.

    Attributes:
        method: `exact` (Clopper and Pearson, few independent rows), `wilson` (independent rows),
            `wilson_groups` (Wilson with as many rows as groups), `wilson_clustered` (Wilson with the
            effective number of rows), `percentile`, `bca`,
            `normal` (many groups, see `evaluation.statistics`); None where there is no interval.
        resamples: resamples drawn; 0 for Wilson.
        degenerate: resamples on which the statistic was not defined; they were left out.
    """

    low: float | None = None
    high: float | None = None
    method: IntervalMethod | None = None
    resamples: int = 0
    degenerate: int = 0
    reason: str | None = None


def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A proportion of `n` independent rows: Clopper and Pearson (1934) below `EXACT_BELOW`, else Wilson."""
    if not 0 < n < EXACT_BELOW:
        return wilson_interval(successes, n, confidence)
    ends = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Interval(float(ends.low), float(ends.high), "exact")


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927) of a proportion of `n` independent rows; none where n is 0."""
    if n == 0:
        return Interval(reason="No row was scored.")
    ends = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(float(ends.low), float(ends.high), "wilson")


def clustered_proportion(hits: FloatArray, group: IntArray, confidence: float = 0.95) -> Interval:
    """A share of rows that come in groups: Wilson's interval with the effective number of rows, and Student's t
    with G - 1 degrees of freedom in place of the normal.

    The effective number is p (1 - p) by the variance over groups, at most the number of rows (Franco, Little,
    Louis & Slud 2019, J. Survey Statistics and Methodology 7, 334-364, where it did best among the intervals of
    clustered proportions). Where all rows are alike it is the number of groups. It was picked over BCa by
    simulation: see benchmarks/intervals.

    Args:
        hits: 0 or 1 for each row [n]; group: codes [n] of two groups or more.
    """
    n, groups = len(hits), len(np.unique(group))
    if groups < 2:
        return Interval(reason="All rows are in one group, so the spread between groups cannot be seen.")
    p = float(hits.mean())
    effective = float(groups)
    if 0.0 < p < 1.0:
        variance = sum_variance((hits - p) / n, group)
        effective = min(float(n), p * (1.0 - p) / variance) if variance > 0 else float(n)
    z = (
        float(stats.t.ppf((1.0 + confidence) / 2.0, groups - 1))
        if 0.0 < p < 1.0
        else float(stats.norm.ppf((1.0 + confidence) / 2.0))
    )
    centre = (p + z**2 / (2.0 * effective)) / (1.0 + z**2 / effective)
    spread = p * (1.0 - p) / effective + z**2 / (4.0 * effective**2)
    half = float(z * np.sqrt(spread) / (1.0 + z**2 / effective))
    return Interval(max(0.0, centre - half), min(1.0, centre + half), "wilson_clustered")


def perfect_interval(metric: MetricName, pairs: Pairs, confidence: float = 0.95) -> Interval:
    """The interval where every verdict was right, and every resample says 1.

    Agreement is bounded below by Wilson's interval with as many rows as there are groups, which is what
    remains if rows of a group are copies of each other. A chance-corrected statistic has its lower end
    where agreement has fallen to that bound and the chance agreement stayed: 1 - (1 - bound) / (1 - chance).
    """
    bound = wilson_interval(pairs.n_groups, pairs.n_groups, confidence).low
    assert bound is not None
    if metric in ("agreement", "balanced_accuracy"):
        return Interval(bound, 1.0, "wilson_groups")
    shares = np.bincount(pairs.gold) / pairs.n
    return Interval(1.0 - (1.0 - bound) / (1.0 - float((shares**2).sum())), 1.0, "wilson_groups")


def by_rows(statistic: Callable[[IntArray], float], n: int) -> Statistic:
    """Any statistic of row positions (repeats allowed) as a statistic of integer row weights.

    One Python call a resample: for statistics without a vectorized form. NaN means not defined.
    """
    rows = np.arange(n)

    def of_weights(w: FloatArray) -> FloatArray:
        drawn = (np.repeat(rows, row.astype(np.int64)) for row in w)
        return np.array([statistic(index) if len(index) else np.nan for index in drawn], dtype=np.float64)

    return of_weights


def resample(statistic: Statistic, group: IntArray, n_boot: int, seed: int) -> FloatArray:
    """The statistic on `n_boot` draws of whole groups with replacement.

    Args:
        group: group codes [n], 0 to G - 1.
        seed: the same seed gives the same draws.

    Returns:
        Values [n_boot], NaN where the statistic is not defined on a draw.
    """
    n_groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_groups, np.full(n_groups, 1.0 / n_groups), size=n_boot)
    return np.concatenate(
        [statistic(block[:, group].astype(np.float64)) for block in blocks(counts, len(group))]
    )


def blocks(rows: IntArray, width: int) -> Iterator[IntArray]:
    """`rows` in slices of which each, at `width` numbers a row, fits the memory that we allow."""
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _leave_one_group_out(statistic: Statistic, group: IntArray) -> FloatArray:
    codes = np.arange(int(group.max()) + 1)
    return np.concatenate(
        [
            statistic((group[None, :] != block[:, None]).astype(np.float64))
            for block in blocks(codes, len(group))
        ]
    )


def cluster_interval(
    statistic: Statistic,
    group: IntArray,
    *,
    method: Literal["percentile", "bca"] = "bca",
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Bootstrap interval over groups.

    BCa (Efron 1987; DiCiccio & Efron 1996, section 2) takes its acceleration from leaving out one group at
    a time; where that is not defined for some group the percentile interval is given, and `method` says so.
    The levels are expanded for few groups (Hesterberg 2015, The American Statistician 69, 371-386, section
    4.2): a resample of G groups spreads by sqrt((G - 1) / G) too little, and quantiles of the normal stand where
    Student's with G - 1 belong. With 15 groups the outer levels of a 95 % interval become .013 and .987; from
    a few hundred on nothing changes. benchmarks/intervals shows what it does to coverage.

    Args:
        statistic: of row weights; see `by_rows` for any other.
        group: group codes [n], 0 to G - 1.
        n_boot: resamples, at least 1.

    Returns:
        No interval, with the reason, for fewer than two groups, where most resamples are degenerate, and
        where all resamples give one value: a width of zero would claim certainty.
    """
    if len(group) == 0:
        return Interval(reason="No row was scored.")
    if int(group.max()) == 0:
        return Interval(reason="All rows are in one group, so the spread between groups cannot be seen.")
    draws = resample(statistic, group, n_boot, seed)
    good = draws[np.isfinite(draws)]
    degenerate = len(draws) - len(good)
    drawn = Interval(resamples=n_boot, degenerate=degenerate)
    if degenerate > _MOST_DEGENERATE * n_boot:
        why = f"The statistic is not defined on {degenerate} of {n_boot} resamples: too few rows or labels."
        return replace(drawn, reason=why)
    value = float(statistic(np.ones((1, len(group))))[0])
    if np.ptp(good) <= 1e-12 * max(1.0, abs(value)):
        return replace(drawn, reason="Every resample gave one value, so the spread cannot be seen.")
    reach = expanded_reach(confidence, int(group.max()) + 1)
    levels = stats.norm.cdf(np.array([-reach, reach]))
    used: IntervalMethod = "percentile"
    if method == "bca":
        adjusted = _bca_levels(good, value, _leave_one_group_out(statistic, group), reach)
        if adjusted is not None:
            levels, used = adjusted, "bca"
    low, high = np.quantile(good, levels)
    return replace(drawn, low=float(low), high=float(high), method=used)


def expanded_reach(confidence: float, n_groups: int) -> float:
    """How many standard errors an interval at `confidence` reaches to each side, where the errors come from
    resampling `n_groups` groups."""
    widened = float((n_groups / (n_groups - 1)) ** 0.5)
    return float(stats.t.ppf((1.0 + confidence) / 2.0, n_groups - 1)) * widened


def _bca_levels(draws: FloatArray, value: float, left_out: FloatArray, reach: float) -> FloatArray | None:
    """The quantiles that correct bias and skew; None where they are not defined."""
    tolerance = 1e-12 * max(1.0, abs(value))
    below = np.mean(draws < value - tolerance) + np.mean(np.abs(draws - value) <= tolerance) / 2.0
    spread = left_out.mean() - left_out
    scale = float((spread**2).sum())
    if not np.isfinite(scale) or scale <= 0 or not 0.0 < below < 1.0:
        return None
    acceleration = float((spread**3).sum()) / (6.0 * scale**1.5)
    shift = stats.norm.ppf(below)
    z = shift + np.array([-reach, reach])
    if np.any(1.0 - acceleration * z <= 0):
        return None
    out: FloatArray = stats.norm.cdf(shift + z / (1.0 - acceleration * z))
    return out
