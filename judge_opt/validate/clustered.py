"""Variances that know that rows of one group are alike: sums over groups instead of rows.

The variance of a sum of influences e_i is G / (G - 1) sum over groups of (sum of e_i in the group)^2 (Liang &
Zeger 1986; CR1 of the survey and econometrics literature). Where every group is one row it is the usual
variance with n - 1.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from judge_opt.validate.pairs import FloatArray, IntArray
from judge_opt.validate.prediction_powered import ppi_weight


def sum_variance(influence: FloatArray, group: IntArray) -> float:
    """Of the sum of `influence` [n], which sums to about 0; group codes [n] of any size, two groups or more."""
    sums = group_totals(influence, group)
    groups = len(np.unique(group))
    return float(groups / (groups - 1) * (sums**2).sum())


def group_totals(x: FloatArray, group: IntArray) -> FloatArray:
    """The sum of `x` in each group, by group code."""
    size = int(group.max()) + 1 if len(group) else 0
    return np.bincount(group, weights=x, minlength=size).astype(np.float64)


def clustered_mean(x: FloatArray, group: IntArray) -> tuple[float, float]:
    """The mean of `x` [n] and its standard error over groups."""
    mean = float(x.mean())
    return mean, sum_variance((x - mean) / len(x), group) ** 0.5


def design_effect(influence: FloatArray, group: IntArray, rowwise: float) -> float:
    """The variance over groups by `rowwise`, that over rows (Kish 1965); at least 1, and 1 where every
    group is one row: nothing is gained from groups by luck."""
    if rowwise <= 0 or len(np.unique(group)) == len(group):
        return 1.0
    return max(1.0, sum_variance(influence, group) / rowwise)


def few_groups_effect(groups: int, rows: int) -> float:
    """By how much a variance that was itself seen in few groups has to grow: (t with G - 1 degrees of freedom /
    t with n - 1)^2 at 95 % (Korn & Graubard 1998, Survey Methodology 24, 193-201); 1 where every group is one
    row."""
    if groups >= rows or groups < 2:
        return 1.0
    return float((stats.t.ppf(0.975, groups - 1) / stats.t.ppf(0.975, rows - 1)) ** 2)


def rate_design_effect(
    y: FloatArray,
    stratum: IntArray,
    group: IntArray,
    rows: FloatArray,
    labelled: FloatArray,
    passed: FloatArray,
) -> float:
    """Of the labels within verdicts, weighted as the estimate weights them."""
    weight = rows / rows.sum()
    per_label = weight / np.maximum(labelled, 1.0)
    rate = (passed + 0.5) / (labelled + 1.0)
    rowwise = float((per_label**2 * labelled * rate * (1.0 - rate)).sum())
    return design_effect(
        per_label[stratum] * (y - (passed / np.maximum(labelled, 1.0))[stratum]), group, rowwise
    )


def share_design_effect(
    stratum: IntArray, group: IntArray, rows: FloatArray, labelled: FloatArray, passed: FloatArray
) -> float:
    """Of how often each verdict was given, as far as the estimate depends on it."""
    rate = (passed + 0.5) / (labelled + 1.0)
    influence = ((rate - (rows * rate).sum() / rows.sum()) / rows.sum())[stratum]
    return design_effect(influence, group, float((influence**2).sum())) if len(np.unique(group)) > 1 else 1.0


def label_design_effect(y: FloatArray, group: IntArray) -> float:
    """Of the labels alone."""
    rate = (y.sum() + 0.5) / (len(y) + 1.0)
    return design_effect((y - y.mean()) / len(y), group, float(rate * (1.0 - rate) / len(y)))


def clustered_ppi(
    y: FloatArray, f: FloatArray, has: npt.NDArray[np.bool_], group: IntArray
) -> tuple[float, float]:
    """PPI++ in one stratum: the estimate and its variance over groups."""
    own, own_f = y[has], f[has]
    others = f[~has]
    if len(others) == 0:
        mean, error = clustered_mean(own, group[has])
        return mean, error**2
    lam = float(ppi_weight(own, own_f, others.mean(), others.var(), len(others)))
    rest = own - lam * own_f
    value = float(own.mean() + lam * (others.mean() - own_f.mean()))
    labelled, unlabelled = (rest - rest.mean()) / len(own), lam * (others - others.mean()) / len(others)
    variance = sum_variance(labelled, group[has])
    if len(np.unique(group[~has])) > 1:
        variance += sum_variance(unlabelled, group[~has])
    wide = int(group.max()) + 1
    one, other = (
        np.pad(t, (0, wide - len(t)))
        for t in (group_totals(labelled, group[has]), group_totals(unlabelled, group[~has]))
    )
    return value, max(0.0, variance + 2.0 * float((one * other).sum()))
