"""Where each rater leans, held against the others on the same items: bias, agreement, confusion."""

from dataclasses import dataclass

import numpy as np

from judge_opt.labels.raters.ratings import MISSING, FloatArray, Ratings


@dataclass(frozen=True, slots=True)
class RaterLean:
    """One rater beside the others. Every other rater of an item counts the same.

    Attributes:
        n_labels: items that the rater labelled.
        n_shared: those of them that somebody else labelled too; all that follows is about them.
        rows: positions of the shared items.
        agreement: share of the others who gave the rater's label, for each shared item.
        difference: the rater's number minus the mean of the others', for each shared item; None where
            labels have no order. For ordinal labels in steps of the scale, for bool as 1 and 0.
        shares: how often the rater gave each label, as shares of `n_labels`.
        confusion: [K, K]; row: what another rater said, column: what this one said; items count 1, split
            evenly among the others.
    """

    rater: str
    n_labels: int
    n_shared: int
    rows: tuple[int, ...]
    agreement: tuple[float, ...]
    difference: tuple[float, ...] | None
    shares: tuple[float, ...]
    confusion: FloatArray


def rater_leans(ratings: Ratings) -> list[RaterLean]:
    """Each rater, sorted by name."""
    counts = ratings.counts.astype(np.float64)
    size = counts.sum(axis=1)
    numbers = None if ratings.numbers is None else np.array(ratings.numbers, dtype=np.float64)
    out = []
    for rater, row in zip(ratings.raters, ratings.codes, strict=True):
        said = np.flatnonzero(row != MISSING)
        shared = said[size[said] >= 2]
        own = row[shared]
        others = counts[shared]  # a copy: the rater's own vote is taken out of it
        others[np.arange(len(shared)), own] -= 1.0
        others /= np.where(size[shared] > 1, size[shared] - 1.0, 1.0)[:, None]
        confusion = np.zeros((len(ratings.labels), len(ratings.labels)))
        for code in np.unique(own):
            confusion[:, code] = others[own == code].sum(axis=0)
        out.append(
            RaterLean(
                rater=rater,
                n_labels=len(said),
                n_shared=len(shared),
                rows=tuple(int(i) for i in shared),
                agreement=tuple(float(x) for x in others[np.arange(len(shared)), own]),
                difference=None
                if numbers is None
                else tuple(float(x) for x in numbers[own] - others @ numbers),
                shares=tuple(
                    float(x)
                    for x in np.bincount(row[said], minlength=len(ratings.labels)) / max(1, len(said))
                ),
                confusion=confusion,
            )
        )
    return out
