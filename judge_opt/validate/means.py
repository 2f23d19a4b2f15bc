"""The mean of one number a row, over groups: its interval, and a test of "it is 0".

What audits, repeats and slices have in common: each row gives a number (a change of verdict, a disagreement),
and rows of one group are alike.
"""

from typing import Any

import numpy as np

from judge_opt.validate.figures import Figure
from judge_opt.validate.intervals import blocks, cluster_interval, clustered_proportion, proportion_interval
from judge_opt.validate.pairs import FloatArray, IntArray

_ENUMERATE = 13
_TIE = 1e-10


def mean_figure(
    x: FloatArray, group: IntArray, *, n_boot: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Figure:
    """The mean of `x` [n] with its interval; without a value, and with the reason, for no rows.

    Shares take `proportion_interval` where rows are independent and `clustered_proportion` where not; other
    numbers a BCa bootstrap over groups.
    """
    n = len(x)
    if n == 0:
        return Figure(value=None, reason="There is no row.")
    groups = len(np.unique(group))
    value = float(x.mean())
    base: dict[str, Any] = {
        "value": 0.0 if abs(value) < 1e-12 else value,
        "confidence": confidence,
        "n": n,
        "n_groups": groups,
    }
    share = bool(np.isin(x, (0.0, 1.0)).all())
    if n_boot == 0:
        return Figure(**base, reason="No interval was asked for.")
    if share and groups == n:
        found = proportion_interval(int(x.sum()), n, confidence)
    elif share:
        codes = np.unique(group, return_inverse=True)[1].astype(np.int64)
        found = clustered_proportion(x, codes, confidence)
    else:
        codes = np.unique(group, return_inverse=True)[1].astype(np.int64)
        found = cluster_interval(
            lambda w: (w @ x) / w.sum(axis=1), codes, n_boot=n_boot, seed=seed, confidence=confidence
        )
    return Figure(
        **base, low=found.low, high=found.high, method=found.method, resamples=found.resamples,
        degenerate=found.degenerate, reason=found.reason,
    )  # fmt: skip


def sign_flip_test(x: FloatArray, group: IntArray, *, n_flips: int = 9999, seed: int = 0) -> float | None:
    """Two-sided p-value of "the numbers are as often above 0 as below", flipping the signs of whole groups.

    Fisher's randomization test for paired differences (Good 2005, chapter 3): exact where the two forms that
    were compared are interchangeable. None for no rows; 1 where all numbers are 0.
    """
    if len(x) == 0:
        return None
    sums = np.bincount(np.unique(group, return_inverse=True)[1], weights=x)
    sums = np.sort(sums[sums != 0])
    if len(sums) == 0:
        return 1.0
    observed = abs(sums.sum()) - _TIE
    if len(sums) <= _ENUMERATE:
        bits = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))[None, :]
        return float((abs((1 - 2 * (bits & 1)) @ sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    extreme = 0
    for block in blocks(np.zeros((n_flips, 1), dtype=np.int64), len(sums)):
        signs = 1 - 2 * rng.integers(0, 2, size=(len(block), len(sums)))
        extreme += int((abs(signs @ sums) >= observed).sum())
    return (1 + extreme) / (1 + n_flips)
