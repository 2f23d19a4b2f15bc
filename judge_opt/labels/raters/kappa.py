"""Kappas, and plain agreement: two raters at a time, and all of them at once."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from judge_opt.core.errors import NotFound, UsageError
from judge_opt.core.text import nearest
from judge_opt.labels.raters.ratings import MISSING, FloatArray, Ratings, Statistic, need_ratings

Weights = Literal["linear", "quadratic"] | Sequence[Sequence[float]]


def cohen_kappa(ratings: Ratings, one: str, other: str, weights: Weights | None = None) -> Statistic:
    """Agreement of two raters beyond chance, on the items that both labelled.

    Cohen 1960, from scikit-learn; with weights, Cohen 1968. scikit-learn's weights take numbers that are
    not evenly spaced for ranks, so the weighted form is computed here. Not defined where one of the two gave
    one label only: the formula is then 0, whatever the other one says.

    Args:
        weights: how bad a disagreement is: the distance of the two labels on their scale ("linear"), its
            square ("quadratic"), or a table of disagreement weights [K, K] in the order of the labels.

    Raises:
        NotFound: no rater of that name.
        UsageError: weights by distance, and labels without an order; or a table of another shape.
    """
    need_ratings(ratings)
    distance = None if weights is None else _distance(ratings, weights)
    a, b = (ratings.codes[_index(ratings, rater)] for rater in (one, other))
    both = (a != MISSING) & (b != MISSING)
    n = int(both.sum())
    if n == 0:
        return Statistic(None, f"{one!r} and {other!r} labelled no item in common.")
    a, b = a[both], b[both]
    for rater, said in ((one, a), (other, b)):
        if len(np.unique(said)) == 1:
            reason = (
                f"{rater!r} gave one label only, {ratings.labels[said[0]]!r}, to the items that {one!r} and "
                f"{other!r} share: agreement beyond chance cannot show."
            )
            return Statistic(None, reason, n, 2, 2 * n)
    if distance is None:
        from sklearn.metrics import cohen_kappa_score

        return Statistic(float(cohen_kappa_score(a, b)), None, n, 2, 2 * n)
    expected = distance[a[:, None], b[None, :]].mean()
    return Statistic(float(1.0 - distance[a, b].mean() / expected), None, n, 2, 2 * n)


def _distance(ratings: Ratings, weights: Weights) -> FloatArray:
    """Disagreement weights [K, K]."""
    if isinstance(weights, str):
        if ratings.numbers is None:
            raise UsageError(
                f"weights={weights!r} needs an order between the labels.", "Declare them with ordered(...)."
            )
        x = np.array(ratings.numbers, dtype=np.float64)
        out: FloatArray = np.abs(x[:, None] - x[None, :]) ** (1 if weights == "linear" else 2)
        return out
    table = np.array(weights, dtype=np.float64)
    k = len(ratings.labels)
    if table.shape != (k, k) or (table < 0).any() or np.diag(table).any() or not table.any():
        raise UsageError(
            f"The table of weights must be {k} by {k}, not negative, 0 on the diagonal and not all 0.",
            f"Order: {', '.join(ratings.labels)[:200]}.",
        )
    return table


def fleiss_kappa(ratings: Ratings) -> Statistic:
    """Agreement of many raters beyond chance, labels without order (Fleiss 1971); from statsmodels.

    It needs the same number of labels on each item: items with the most frequent number (two or more) are
    taken, and `n_items` says how many they are. Krippendorff's alpha takes all.
    """
    need_ratings(ratings)
    if reason := ratings.undefined():
        return Statistic(None, reason)
    sizes = ratings.votes_of_item
    shared = sizes[sizes >= 2]
    most = int(np.bincount(shared).argmax())
    chosen = sizes == most
    table = ratings.counts[chosen]
    n = int(chosen.sum())
    used = table.sum(axis=0) > 0
    if used.sum() == 1:
        reason = f"Every label is {ratings.labels[int(np.argmax(used))]!r}: chance agreement is full."
        return Statistic(None, reason, n, most, n * most)
    from statsmodels.stats.inter_rater import fleiss_kappa as of_table

    raters = int((ratings.codes[:, chosen] != MISSING).any(axis=1).sum())
    return Statistic(float(of_table(table[:, used])), None, n, raters, n * most)


def fleiss_of_weights(ratings: Ratings) -> Callable[[FloatArray], FloatArray]:
    """`fleiss_kappa` as a function of item weights [B, N] to values [B]; NaN where it is not defined."""
    sizes = ratings.votes_of_item
    shared = sizes[sizes >= 2]
    most = int(np.bincount(shared).argmax()) if len(shared) else 2
    share, _ = _shares(ratings)
    chosen = (sizes == most).astype(np.float64)
    counts = ratings.counts * chosen[:, None]

    def kappa(weights: FloatArray) -> FloatArray:
        total = weights @ chosen
        safe = np.where(total > 0, total, 1.0)
        chance = (((weights @ counts) / (safe * most)[:, None]) ** 2).sum(axis=1)
        agreed = weights @ (share * chosen) / safe
        ok = (total > 0) & (chance < 1.0 - 1e-12)
        out: FloatArray = np.where(ok, (agreed - chance) / np.where(ok, 1.0 - chance, 1.0), np.nan)
        return out

    return kappa


def pairwise_agreement(ratings: Ratings) -> Statistic:
    """The share of agreeing pairs of raters, averaged over items: the chance that two raters of an item,
    drawn by lot, gave it the same label."""
    if reason := ratings.undefined():
        return Statistic(None, reason)
    share, shared = _shares(ratings)
    return ratings.statistic(float(share[shared].mean()))


def agreement_of_weights(ratings: Ratings) -> Callable[[FloatArray], FloatArray]:
    """`pairwise_agreement` as a function of item weights [B, N] to values [B]; NaN for no shared item."""
    share, shared = _shares(ratings)

    def agreement(weights: FloatArray) -> FloatArray:
        total = weights @ shared.astype(np.float64)
        out: FloatArray = np.where(
            total > 0, (weights @ (share * shared)) / np.where(total > 0, total, 1.0), np.nan
        )
        return out

    return agreement


def _shares(ratings: Ratings) -> tuple[FloatArray, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    counts = ratings.counts.astype(np.float64)
    size = counts.sum(axis=1)
    shared = size >= 2
    pairs = np.where(shared, size * (size - 1.0), 1.0)
    share: FloatArray = (counts * (counts - 1.0)).sum(axis=1) / pairs
    return share, shared


def _index(ratings: Ratings, rater: str) -> int:
    if rater not in ratings.raters:
        raise NotFound(
            f"There is no rater {rater!r} among the labels.{nearest(rater, ratings.raters)}",
            f"Raters: {', '.join(ratings.raters)[:300]}.",
        )
    return ratings.raters.index(rater)
