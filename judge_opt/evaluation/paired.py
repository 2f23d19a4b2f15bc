"""Tests of two runs on the same rows. Each p-value is two-sided: of "the runs do not differ"."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.sparse.csgraph import connected_components

from judge_opt.evaluation.statistics import group_sums
from judge_opt.validate.compare import mcnemar
from judge_opt.validate.intervals import blocks
from judge_opt.validate.pairs import FloatArray, IntArray

_ENUMERATE = 13
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Test:
    """A p-value in (0, 1], or None and the reason.

    Attributes:
        name: of the test, for people.
    """

    name: str
    p_value: float | None
    reason: str | None = None


def mcnemar_test(a: FloatArray, b: FloatArray) -> Test:
    """Exact McNemar (binomial on the rows that differ) for 0/1 [n]; rows are taken as independent."""
    gained, lost = int(((b == 1) & (a == 0)).sum()), int(((b == 0) & (a == 1)).sum())
    p_value = mcnemar(gained, lost)
    return _same("exact McNemar") if p_value is None else Test("exact McNemar", p_value)


def wilcoxon_test(a: FloatArray, b: FloatArray) -> Test:
    """Wilcoxon's signed-rank test for numbers or ranks [n]; rows without a difference are left out (Wilcoxon
    1945), rows are taken as independent."""
    difference = b - a
    difference = difference[difference != 0]
    if not len(difference):
        return _same("Wilcoxon signed-rank")
    return Test("Wilcoxon signed-rank", float(stats.wilcoxon(difference).pvalue))


def homogeneity_test(a: IntArray, b: IntArray, n_labels: int) -> Test:
    """Bhapkar's test (1966) that two distributions over labels are equal, for paired codes [n]; rows are
    taken as independent. Where its matrix cannot be inverted, that of Stuart (1955) and Maxwell (1970)."""
    from statsmodels.stats.contingency_tables import SquareTable

    table = np.zeros((n_labels, n_labels))
    np.add.at(table, (a, b), 1.0)
    off = table - np.diag(np.diag(table))
    moved = (off.sum(axis=0) + off.sum(axis=1)) > 0
    if not moved.any():
        return _same("Bhapkar")
    part = table[np.ix_(moved, moved)]
    if connected_components(part > 0, directed=False)[0] > 1:
        return Test("Bhapkar", None, "The labels that changed places fall into separate sets.")
    # Rows that agree on a label which no other row leaves or enters say nothing of a difference; but they
    # are rows: they belong into n, on the diagonal of a label that is kept.
    part[0, 0] += table.sum() - part.sum()
    for method, name in (("bhapkar", "Bhapkar"), ("stuart_maxwell", "Stuart-Maxwell")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a matrix that cannot be inverted gives NaN, which is looked at
            found = SquareTable(part, shift_zeros=False).homogeneity(method=method)
        statistic = float(found.statistic)
        if np.isfinite(statistic) and statistic >= 0:
            return Test(name, float(stats.chi2.sf(statistic, found.df)))
    return Test("Bhapkar", None, "The table of changes is too small for the test.")


def swap_test(difference: FloatArray, group: IntArray, *, n_swaps: int, seed: int) -> Test:
    """Fisher's randomization test by groups: if the runs do not differ, which of them gave which verdicts is
    a coin toss in each group. It is exact, however rows are correlated within groups.

    The statistic is the squared length of the summed difference.

    Args:
        difference: per row, b minus a [n], or one column a label [n, k].
        n_swaps: random swaps where there are more than 13 groups that differ; all of them else.
    """
    sums = group_sums(difference.reshape(len(difference), -1), group)
    sums = sums[(np.abs(sums) > _TIE).any(axis=1)]
    if not len(sums):
        return _same("swaps of groups")
    observed = float((sums.sum(axis=0) ** 2).sum())
    if len(sums) <= _ENUMERATE:
        bits = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))[None, :]
        flips: IntArray = (bits & 1).astype(np.int64)
        ahead = 0
        name = "all swaps of groups"
    else:
        flips = np.random.default_rng(seed).integers(0, 2, size=(n_swaps, len(sums)))
        ahead = 1  # the observed order is one of all swaps, and not of these
        name = "random swaps of groups"
    extreme = 0
    for block in blocks(flips, len(sums)):
        totals = (1.0 - 2.0 * block) @ sums
        extreme += int(((totals**2).sum(axis=1) >= observed - _TIE * max(1.0, observed)).sum())
    return Test(name, (ahead + extreme) / (ahead + len(flips)))


def _same(name: str) -> Test:
    return Test(name, 1.0, "No row differs.")
