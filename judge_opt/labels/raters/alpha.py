"""Krippendorff's alpha: agreement of any number of raters, with missing labels, on any scale.

Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). The figure comes from the package
`krippendorff`; `alpha_of_weights` computes the same for thousands of weightings of the items at once, which a
bootstrap needs, and the tests hold the two to each other.
"""

from collections.abc import Callable

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.labels.raters.ratings import FloatArray, Level, Ratings, Statistic, need_ratings

MOST_VALUES = 60
"""Distinct labels up to which `alpha_of_weights` keeps a table of pairs for each item."""


def krippendorff_alpha(ratings: Ratings, level: Level | None = None) -> Statistic:
    """1 - observed disagreement / expected disagreement: 1 is full agreement, 0 what chance gives.

    Items with one label count for nothing, as in the original. Not defined for no item with two labels,
    and where one label is all that occurs (chance agreement is then full as well).

    Args:
        level: the scale of measurement; that of the value type by default. For "ordinal" the distance of
            two labels depends on how many labels lie between them; "ratio" needs numbers that are not
            negative.

    Raises:
        UsageError: the labels have no order and `level` needs one, or "ratio" meets a negative number.
    """
    level = _checked(ratings, level)
    if reason := ratings.undefined() or ratings.one_label():
        return Statistic(None, reason)
    import krippendorff

    domain = np.arange(len(ratings.labels), dtype=np.float64)
    if level in ("interval", "ratio"):
        domain = np.array(ratings.numbers, dtype=np.float64)
    value = krippendorff.alpha(
        value_counts=ratings.counts, value_domain=domain, level_of_measurement=level, dtype=np.float64
    )
    return ratings.statistic(value)


def alpha_of_weights(
    ratings: Ratings, level: Level | None = None
) -> Callable[[FloatArray], FloatArray] | None:
    """Alpha as a function of item weights [B, N] to values [B]; NaN where it is not defined.

    None for more than `MOST_VALUES` distinct labels: their tables of pairs would not fit.
    """
    level = _checked(ratings, level)
    counts = ratings.counts.astype(np.float64)
    used = np.flatnonzero(counts.sum(axis=0))
    if len(used) > MOST_VALUES:
        return None
    counts = counts[:, used]
    size = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= counts[:, :, None] * np.eye(len(used))
    pairs /= np.where(size > 1, size - 1.0, 1.0)[:, None, None]
    flat = pairs.reshape(len(pairs), len(used) ** 2)
    fixed = None if level == "ordinal" else _distance(ratings, used, level)

    def alpha(weights: FloatArray) -> FloatArray:
        coincidences = (weights @ flat).reshape(len(weights), len(used), len(used))
        margin = coincidences.sum(axis=2)
        total = margin.sum(axis=1)
        distance = _ordinal_distance(margin) if fixed is None else fixed[None]
        observed = (coincidences * distance).sum(axis=(1, 2))
        chance = margin[:, :, None] * margin[:, None, :]
        expected = (chance * distance).sum(axis=(1, 2))
        ok = expected > 0
        out: FloatArray = np.where(ok, 1.0 - (total - 1.0) * observed / np.where(ok, expected, 1.0), np.nan)
        return out

    return alpha


def _checked(ratings: Ratings, level: Level | None) -> Level:
    need_ratings(ratings)
    level = level or ratings.level
    if level != "nominal" and ratings.numbers is None:
        raise UsageError(
            f"level={level!r} needs an order between the labels.", "Declare them with ordered(...)."
        )
    if level == "ratio" and min(ratings.numbers or (0.0,)) < 0:
        raise UsageError('level="ratio" needs numbers that are not negative.', 'Use level="interval".')
    return level


def _distance(
    ratings: Ratings, used: "np.ndarray[tuple[int], np.dtype[np.int64]]", level: Level
) -> FloatArray:
    """Squared distance of each two labels [K, K]."""
    if level == "nominal":
        return 1.0 - np.eye(len(used))
    x = np.array(ratings.numbers, dtype=np.float64)[used]
    gap = x[:, None] - x[None, :]
    if level == "ratio":
        both = x[:, None] + x[None, :]
        gap = np.divide(gap, both, out=np.zeros_like(gap), where=both > 0)
    out: FloatArray = gap**2
    return out


def _ordinal_distance(margin: FloatArray) -> FloatArray:
    """Squared number of labels from the middle of one to the middle of the other [B, K, K]."""
    middle = np.cumsum(margin, axis=1) - margin / 2.0
    out: FloatArray = (middle[:, :, None] - middle[:, None, :]) ** 2
    return out
