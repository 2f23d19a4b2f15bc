"""How well one judgement of one row fits what the experts said, in [0, 1], and what a change gains.

Where the endpoint gives the probabilities of the labels, a row says far more than "right" or "wrong": two forms
of a judge are told apart on a third of the rows. A nominal label is scored by its log probability, clipped,
so that one row on which the judge is sure and wrong does not outweigh all others; an ordered one by the ranked
probability score (Epstein, 1969), which knows how far off it is. Both are taken against the raters'
distribution. Without probabilities, and for numbers, it is the metric's own score of the row.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from judge_opt.align.objective import Metric
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample

CLIP = 0.02
"""Least probability that counts: below it, wrong is wrong."""


def fit(row: LabelledExample, judged: Scored, value_type: ValueType, metric: Metric) -> float:
    """In [0, 1]; 1 where nothing could be better."""
    odds = judged.probabilities
    if not value_type.is_choice or odds is None:
        return metric.row(row, judged, value_type)
    labels, votes = value_type.choices(), row.soft
    if value_type.scale == "nominal":
        return sum(
            share * (1.0 - math.log(max(odds.get(label, 0.0), CLIP)) / math.log(CLIP))
            for label, share in votes.items()
        )
    said = accumulate(odds.get(label, 0.0) for label in labels[:-1])
    meant = accumulate(votes.get(label, 0.0) for label in labels[:-1])
    return 1.0 - sum((a - b) ** 2 for a, b in zip(said, meant, strict=True)) / (len(labels) - 1)


def gain(
    row: LabelledExample, before: Judgement, after: Judgement, value_type: ValueType, metric: Metric
) -> float | None:
    """How much better `after` fits, in [-1, 1]; None where either is no verdict: a failure is no evidence."""
    if not isinstance(before, Scored) or not isinstance(after, Scored):
        return None
    if before.probabilities is None or after.probabilities is None:
        return metric.row(row, after, value_type) - metric.row(row, before, value_type)
    return fit(row, after, value_type, metric) - fit(row, before, value_type, metric)


def same_value(row: LabelledExample, judged: Judgement, value_type: ValueType) -> bool:
    """True where the judge says what most experts say."""
    return (
        isinstance(judged, Scored)
        and row.gold is not None
        and value_type.text_of(judged.value) == value_type.text_of(row.gold)
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; the error is infinite below three values."""
    n = len(values)
    if n == 0:
        return 0.0, math.inf
    mean = math.fsum(values) / n
    if n < 3:
        return mean, math.inf
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
