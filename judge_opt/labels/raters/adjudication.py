"""One label for each item from the raters' votes, and how sure it is.

- `majority`: most votes. A tie is no label.
- `weighted`: votes weighted by how far each rater agrees with the others beyond chance.
- `dawid_skene`: the most probable label under estimated error rates (see `dawid_skene`).
- `mean`: for numbers, the mean of the votes.

A contested item has no value: nobody breaks a tie by lot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Value
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.raters.error_rates import dawid_skene
from judge_opt.labels.raters.lean import rater_leans
from judge_opt.labels.raters.ratings import FloatArray, Ratings

Method = Literal["majority", "weighted", "dawid_skene", "mean"]

PRIOR_ITEMS = 10.0
"""A rater's agreement is drawn to that of all raters as if by this many items: two lucky items are no proof."""

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Adjudicated:
    """What one item's votes come to.

    Attributes:
        value: in the value type; None where the item is contested.
        share: of `value` among the (weighted) votes, or its probability, in [0, 1]; of the leading label
            where the item is contested; None for `mean`.
        soft: label text to share, declared order, summing to 1; the distribution behind `share`.
    """

    id: str
    value: Value | None
    share: float | None
    soft: Mapping[str, float]

    @property
    def contested(self) -> bool:
        return self.value is None


def adjudicate(
    examples: Sequence[LabelledExample],
    value_type: ValueType | Any,
    method: Method = "majority",
    *,
    smoothing: float = 0.5,
) -> list[Adjudicated]:
    """One label for each example, in their order.

    Args:
        smoothing: for `dawid_skene`: pseudo-labels for each error rate. With 0, as in the paper, a rater
            who by chance never made an error counts as one who never can.

    Raises:
        DataError: a vote is not of the value type.
        UsageError: no such method, or one that does not fit the value type: free text and JSON have none,
            numbers without a list of choices only `mean` and `majority`.
    """
    allowed = ValueType.of(value_type)
    if method not in get_args(Method):
        raise UsageError(
            f"There is no method {method!r}.{nearest(method, get_args(Method))}",
            f"Use one of: {', '.join(get_args(Method))}.",
        )
    ratings = Ratings.of(examples, allowed)
    if method == "mean":
        return _means(ratings, allowed)
    if not allowed.is_choice and method != "majority":
        raise UsageError(
            f"method={method!r} needs labels that can be listed, not {allowed.describe()}.",
            'Use "mean", or "majority" for the same number said twice.',
        )
    if not examples:
        return []
    if method == "dawid_skene":
        if not (ratings.votes_of_item > 0).all():
            raise UsageError("An example without votes cannot be adjudicated.", "Leave it out.")
        weights = dawid_skene(ratings, smoothing=smoothing).probabilities
    else:
        weight = np.ones(ratings.n_raters) if method == "majority" else rater_weights(ratings)
        weights = np.zeros((ratings.n_items, len(ratings.labels)))
        for rater, row in enumerate(ratings.codes):
            said = np.flatnonzero(row >= 0)
            weights[said, row[said]] += weight[rater]
    return [_one(item, row, ratings, allowed) for item, row in zip(ratings.items, weights, strict=True)]


def rater_weights(ratings: Ratings) -> FloatArray:
    """A weight for each rater [R], mean 1: agreement with the others of the same items beyond what lot would
    give, drawn to the mean of all by `PRIOR_ITEMS` items; 0 for a rater who agrees less than by lot.

    All equal where nobody shares an item, or nobody agrees more than by lot.
    """
    leans = rater_leans(ratings)
    everything = [share for lean in leans for share in lean.agreement]
    equal: FloatArray = np.ones(ratings.n_raters)
    if not everything:
        return equal
    mean = float(np.mean(everything))
    said = ratings.counts.sum(axis=0)
    chance = float(((said / said.sum()) ** 2).sum())
    drawn = [
        (sum(lean.agreement) + PRIOR_ITEMS * mean) / (lean.n_shared + PRIOR_ITEMS) - chance for lean in leans
    ]
    weights: FloatArray = np.maximum(np.array(drawn), 0.0)
    return weights / weights.mean() if weights.any() else equal


def soft_labels(example: LabelledExample, value_type: ValueType | Any) -> dict[str, float]:
    """The distribution of an example's votes over all allowed labels, in declared order; labels that nobody
    gave have 0. `LabelledExample.soft` has the labels that were given only, and needs no value type."""
    allowed = ValueType.of(value_type)
    return {label: example.soft.get(label, 0.0) for label in allowed.choices() or example.soft}


def _one(item: str, weights: FloatArray, ratings: Ratings, allowed: ValueType) -> Adjudicated:
    total = weights.sum()
    if total <= 0:  # every rater of the item has weight 0
        return Adjudicated(item, None, None, {})
    shares = weights / total
    best = int(np.argmax(shares))
    contested = int((shares > shares[best] - _SAME).sum()) > 1
    value = None if contested else allowed.check_label(ratings.labels[best], f"Item {item!r}")
    soft = {label: float(share) for label, share in zip(ratings.labels, shares, strict=True)}
    return Adjudicated(item, value, float(shares[best]), soft)


def _means(ratings: Ratings, allowed: ValueType) -> list[Adjudicated]:
    if allowed.kind not in ("int", "float") or ratings.numbers is None:
        raise UsageError('method="mean" needs numbers.', 'Use "majority", "weighted" or "dawid_skene".')
    numbers = np.array(ratings.numbers, dtype=np.float64)
    out = []
    for item, row in zip(ratings.items, ratings.counts, strict=True):
        n = int(row.sum())
        value = float(row @ numbers / n) if n else None
        soft = {label: float(count / n) for label, count in zip(ratings.labels, row, strict=True) if count}
        out.append(Adjudicated(item, value, None, soft))
    return out
