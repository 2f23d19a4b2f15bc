"""How well values agree with the experts', as a number to climb: corrected for chance.

Cohen's kappa for labels, with quadratic weights where they are ordered (Cohen, 1968); Lin's concordance
(1989) for numbers. Optimizers choose by it on rows that a candidate did not learn from; what is reported
in the end comes from `judge_opt.validate`, with intervals.
"""

from collections.abc import Sequence

import numpy as np

from judge_opt.core.results import Value
from judge_opt.core.values import ValueType


def metric_name(value_type: ValueType) -> str:
    """ "kappa", "quadratic kappa" or "concordance"."""
    if value_type.scale == "nominal":
        return "kappa"
    return "quadratic kappa" if value_type.is_choice else "concordance"


def agreement(gold: Sequence[Value], found: Sequence[Value], value_type: ValueType) -> float:
    """In [-1, 1]; 0.0 where chance explains everything, such as one class only, or no rows at all."""
    if not gold:
        return 0.0
    if not value_type.is_choice:
        a = np.asarray([value_type.number_of(v) for v in gold], dtype=float)
        b = np.asarray([value_type.number_of(v) for v in found], dtype=float)
        spread = a.var() + b.var() + (a.mean() - b.mean()) ** 2
        return float(2 * ((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0
    labels = value_type.choices()
    n = len(labels)
    table = np.zeros((n, n))
    for g, f in zip(gold, found, strict=True):
        table[labels.index(value_type.text_of(g)), labels.index(value_type.text_of(f))] += 1
    table /= table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    rank = np.arange(n)
    distance = (rank[:, None] - rank[None, :]) ** 2.0
    weights = distance if metric_name(value_type) == "quadratic kappa" else (distance > 0).astype(float)
    chance = float((weights * expected).sum())
    return 1.0 - float((weights * table).sum()) / chance if chance > 0 else 0.0
