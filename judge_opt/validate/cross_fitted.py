"""Baselines where no rows were set aside to learn from: learned on some groups, applied to the others.

Each row is predicted by a model that saw no row of its group (five folds of whole groups), so the figures may be
read like a judge's. `length_rule` is for preferences: the longer, or the shorter, output wins.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from sklearn.model_selection import GroupKFold

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.baselines import _constant, _linear, calibrate
from judge_opt.validate.pairs import FloatArray

CrossFitted = Literal["constant", "output_length", "text_classifier", "calibrated_judge"]
_FOLDS = 5
_Fit = Callable[[list[int], list[int]], Sequence[Judgement]]


def constant(gold: Sequence[Value], groups: Sequence[str], value_type: ValueType) -> list[Judgement]:
    """The most frequent label of the other folds (the mean for float)."""
    return _fitted(
        gold,
        groups,
        lambda learn, left: [Scored(_constant([gold[i] for i in learn], value_type))] * len(left),
    )


def output_length(
    gold: Sequence[Value], groups: Sequence[str], lengths: Sequence[float], value_type: ValueType
) -> list[Judgement]:
    """From the length alone. For a preference `lengths` is the first output's less the second's, and the rule
    is that the longer or the shorter wins; for others it is a logistic regression on the logarithm."""
    if value_type.kind == "pairwise":
        return _fitted(gold, groups, lambda learn, left: _length_rule(gold, lengths, value_type, learn, left))
    x = np.log1p(np.asarray(lengths, dtype=np.float64)).reshape(-1, 1)
    x = (x - x.mean()) / (x.std() or 1.0)
    return _regressed(x, gold, groups, value_type)


def text_classifier(
    gold: Sequence[Value], groups: Sequence[str], vectors: FloatArray, value_type: ValueType
) -> list[Judgement]:
    """A linear classifier (ridge for float) on embeddings [n, d], scaled to unit length."""
    x = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return _regressed(x / np.where(norms > 0, norms, 1.0), gold, groups, value_type)


def calibrated_judge(
    gold: Sequence[Value], groups: Sequence[str], judged: Sequence[Judgement], value_type: ValueType
) -> list[Judgement]:
    """What the judge's verdicts (and probabilities, where it gives them) say after a map is learned from
    labels: see `baselines.fit_baselines`. Unscored rows stay unscored."""

    def fit(learn: list[int], left: list[int]) -> Sequence[Judgement]:
        if not any(isinstance(judged[i], Scored) for i in learn):
            return [Unscored("missing_input", "the judge scored nothing to learn from")] * len(left)
        return calibrate(
            [gold[i] for i in learn], [judged[i] for i in learn], [judged[i] for i in left], value_type
        )

    return _fitted(gold, groups, fit)


def _regressed(
    x: FloatArray, gold: Sequence[Value], groups: Sequence[str], value_type: ValueType
) -> list[Judgement]:
    fit = _linear(1.0, value_type)
    return _fitted(gold, groups, lambda learn, left: fit(x[learn], [gold[i] for i in learn], x[left]))


def _fitted(gold: Sequence[Value], groups: Sequence[str], fit: _Fit) -> list[Judgement]:
    folds = min(_FOLDS, len(set(groups)))
    out: list[Judgement] = [Unscored("missing_input", "there are no other groups to learn from")] * len(gold)
    if folds < 2:
        return out
    # Groups in order of name: the rows' order decides nothing.
    order = sorted(range(len(gold)), key=lambda i: (groups[i], i))
    split = GroupKFold(n_splits=folds).split(order, groups=[groups[i] for i in order])
    for learn, left in split:
        rows, held = [order[i] for i in learn], [order[i] for i in left]
        for i, judgement in zip(held, fit(rows, held), strict=True):
            out[i] = judgement
    return out


def _length_rule(
    gold: Sequence[Value], lengths: Sequence[float], value_type: ValueType, learn: list[int], left: list[int]
) -> list[Judgement]:
    one, other = value_type.labels[:2]
    longer = sum(
        (lengths[i] > 0) == (gold[i] == one) for i in learn if lengths[i] and gold[i] in (one, other)
    )
    told = sum(1 for i in learn if lengths[i] and gold[i] in (one, other))
    first, second = (one, other) if 2 * longer >= told else (other, one)
    tie: Value = value_type.labels[2] if len(value_type.labels) == 3 else one
    return [Scored(first if lengths[i] > 0 else second if lengths[i] < 0 else tie) for i in left]
