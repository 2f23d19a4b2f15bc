"""Means, shares and quantiles of verdicts, with intervals that respect groups.

Rows are put into the order of their names first, so that the order in which they were given changes nothing,
not even the last bit of a sum. A figure that is not defined is None with a reason, never 0 and never NaN.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from judge_opt.validate.figures import Figure
from judge_opt.validate.intervals import Interval, cluster_interval, wilson_interval
from judge_opt.validate.pairs import FloatArray, IntArray

MOST_DRAWN = 5000
"""With more groups than these the mean of groups is as good as normal, and resampling them costs minutes."""


def share(hits: FloatArray, group: IntArray, *, n_boot: int, seed: int, confidence: float) -> Figure:
    """The share of rows that are 1.

    Wilson's interval where every group is one row; where rows of groups go together, the bootstrap over
    groups. Where all rows say the same, Wilson's with as many rows as groups: what remains if the rows of a
    group are copies of each other.
    """
    n, n_groups = len(hits), _groups(group)
    if n == 0:
        return Figure(value=None, reason="No row was scored.")
    value = float(hits.mean())
    if n_groups == n:
        return _figure(value, wilson_interval(int(hits.sum()), n, confidence), n, n_groups, confidence)
    if value in (0.0, 1.0):
        bound = wilson_interval(int(value) * n_groups, n_groups, confidence)
        same = Interval(bound.low, bound.high, "wilson_groups")
        return _figure(value, same, n, n_groups, confidence)
    return mean(hits, group, n_boot=n_boot, seed=seed, confidence=confidence)


def mean(numbers: FloatArray, group: IntArray, *, n_boot: int, seed: int, confidence: float) -> Figure:
    """The mean with a BCa bootstrap over groups; for more than `MOST_DRAWN` groups with the normal interval
    of a ratio of group sums (Cochran 1977, section 9.7), which it then equals."""
    n, n_groups = len(numbers), _groups(group)
    if n == 0:
        return Figure(value=None, reason="No row was scored.")
    value = float(numbers.mean())
    if n_boot == 0:
        return Figure(value=value, n=n, n_groups=n_groups, reason="No interval was asked for.")
    if n_groups > MOST_DRAWN:
        interval = _normal(numbers, group, value, confidence)
    else:
        interval = cluster_interval(
            lambda w: (w @ numbers) / w.sum(axis=1), group, n_boot=n_boot, seed=seed, confidence=confidence
        )
    return _figure(value, interval, n, n_groups, confidence)


def quantile(
    numbers: FloatArray, group: IntArray, level: float, *, n_boot: int, seed: int, confidence: float
) -> Figure:
    """A quantile: the smallest value that at least `level` of the rows do not exceed (so always one that
    was given). With a percentile bootstrap over groups for the median of at most `MOST_DRAWN` groups."""
    n, n_groups = len(numbers), _groups(group)
    if n == 0:
        return Figure(value=None, reason="No row was scored.")
    of_weights = _quantile(numbers, level)
    value = float(of_weights(np.ones((1, n)))[0])
    if n_boot == 0 or level != 0.5 or n_groups > MOST_DRAWN:
        why = "No interval was asked for." if n_boot == 0 else "No interval is made for this quantile."
        return Figure(value=value, n=n, n_groups=n_groups, reason=why)
    interval = cluster_interval(
        of_weights, group, method="percentile", n_boot=n_boot, seed=seed, confidence=confidence
    )
    return _figure(value, interval, n, n_groups, confidence)


def group_codes(groups: Sequence[str]) -> IntArray:
    """Group names as codes 0 to G - 1, in the order of the names."""
    place = {name: k for k, name in enumerate(sorted(set(groups)))}
    return np.array([place[name] for name in groups], dtype=np.int64)


def group_sums(numbers: FloatArray, group: IntArray) -> FloatArray:
    """The sum of each group: [G], or [G, k] for numbers [n, k]."""
    out = np.zeros((_groups(group), *numbers.shape[1:]))
    np.add.at(out, group, numbers)
    return out


def _quantile(numbers: FloatArray, level: float) -> Callable[[FloatArray], FloatArray]:
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]

    def of_weights(w: FloatArray) -> FloatArray:
        below = np.cumsum(w[:, order], axis=1)
        at = (below >= level * below[:, -1:] - 1e-9).argmax(axis=1)
        out: FloatArray = ordered[at]
        return out

    return of_weights


def _normal(numbers: FloatArray, group: IntArray, value: float, confidence: float) -> Interval:
    n_groups = _groups(group)
    residual = group_sums(numbers - value, group)
    spread = float(np.sqrt(n_groups / (n_groups - 1) * (residual**2).sum())) / len(numbers)
    if spread == 0.0:
        return Interval(reason="All rows have one value, so the spread cannot be seen.")
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * spread
    return Interval(value - half, value + half, "normal")


def _groups(group: IntArray) -> int:
    return int(group.max()) + 1 if len(group) else 0


def _figure(value: float, interval: Interval, n: int, n_groups: int, confidence: float) -> Figure:
    return Figure(
        value=value,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        method=interval.method,
        n=n,
        n_groups=n_groups,
        resamples=interval.resamples,
        degenerate=interval.degenerate,
        reason=interval.reason,
    )
