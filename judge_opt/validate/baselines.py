"""What needs no judge: baselines that a judge has to beat before its agreement means anything.

A text-only classifier on the same labelled rows costs nothing to run. Where it matches the judge, the judge
has found nothing that the words do not give away; where output length alone does, raters or judge reward
length.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import point
from judge_opt.validate.metrics import primary_metric, statistic, undefined_reason
from judge_opt.validate.pairs import FloatArray, check_lengths, encode

BaselineName = Literal[
    "constant", "text_classifier", "nearest_neighbour", "five_neighbours", "output_length", "calibrated_judge"
]

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse regularization strengths that are tried."""

_FOLDS = 5

_Fit = Callable[[FloatArray, Sequence[Value], FloatArray], list[Scored]]
"""Train vectors, train labels, test vectors -> judgements of the test rows."""


class _Model(Protocol):
    """What is used of a scikit-learn estimator."""

    def fit(self, x: FloatArray, y: Sequence[float]) -> object: ...
    def predict(self, x: FloatArray) -> FloatArray: ...


class _Classifier(_Model, Protocol):
    def predict_proba(self, x: FloatArray) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """A judge without a language model, on the test rows.

    Attributes:
        judged: one judgement a test row, in order; classifiers give probabilities. Unscored only for
            `calibrated_judge`, where the judge is.
    """

    name: BaselineName
    judged: Sequence[Judgement]


def fit_baselines(
    train_gold: Sequence[Value],
    train_groups: Sequence[str],
    n_test: int,
    value_type: ValueType,
    *,
    train_vectors: FloatArray | None = None,
    test_vectors: FloatArray | None = None,
    train_lengths: Sequence[int] | None = None,
    test_lengths: Sequence[int] | None = None,
    train_judged: Sequence[Judgement] | None = None,
    test_judged: Sequence[Judgement] | None = None,
) -> list[Baseline]:
    """Every baseline for which the inputs are there; learned from the train rows alone.

    `constant` is the most frequent train label (the mean for float). `text_classifier` is a multinomial
    logistic regression (ridge for float) whose strength is picked by grouped cross-validation on train.
    `nearest_neighbour` and `five_neighbours` (votes weighted by closeness) use cosine distance.
    `output_length` is a logistic regression on the logarithm of the length. `calibrated_judge` is a map from what
    the untouched judge says to what people said: a logistic regression (ridge) on its label probabilities, or on
    its verdict where it gives none; rows that it cannot score stay unscored.

    Args:
        train_vectors, test_vectors: embeddings [m, d] and [n, d] of the items.
        train_lengths, test_lengths: characters of the judged output, at least 0.
        train_judged, test_judged: what the untouched judge says of the rows.

    Raises:
        DataError: columns of different lengths, or no train rows.
    """
    check_lengths(
        train_gold=train_gold, train_groups=train_groups, train_vectors=_rows(train_vectors, train_gold)
    )
    check_lengths(
        train_gold=train_gold, train_lengths=train_lengths if train_lengths is not None else train_gold
    )
    if not train_gold:
        return []
    test = range(n_test)
    check_lengths(test_rows=test, test_vectors=_rows(test_vectors, test))
    check_lengths(test_rows=test, test_lengths=test_lengths if test_lengths is not None else test)
    out = [Baseline("constant", [Scored(_constant(train_gold, value_type))] * n_test)]
    if n_test and train_vectors is not None and test_vectors is not None:
        x, z = _unit(train_vectors), _unit(test_vectors)
        out.append(Baseline("text_classifier", _tuned(x, train_gold, train_groups, z, value_type)))
        out.append(Baseline("nearest_neighbour", _neighbours(1, value_type)(x, train_gold, z)))
        out.append(Baseline("five_neighbours", _neighbours(5, value_type)(x, train_gold, z)))
    if n_test and train_lengths is not None and test_lengths is not None:
        x, z = _log_lengths(train_lengths), _log_lengths(test_lengths)
        centre, spread = x.mean(), x.std() or 1.0
        fit = _linear(1.0, value_type)
        out.append(Baseline("output_length", fit((x - centre) / spread, train_gold, (z - centre) / spread)))
    if n_test and train_judged is not None and test_judged is not None:
        check_lengths(train_gold=train_gold, train_judged=train_judged)
        check_lengths(test_rows=test, test_judged=test_judged)
        if any(isinstance(j, Scored) for j in train_judged):
            out.append(
                Baseline("calibrated_judge", calibrate(train_gold, train_judged, test_judged, value_type))
            )
    return out


def judge_features(judged: Sequence[Scored], value_type: ValueType, *, odds: bool) -> FloatArray:
    """What verdicts say, as numbers [n, d]: the logarithms of the label probabilities where `odds`, else which
    label it is; the number itself where values are not listed."""
    labels = value_type.choices()
    if not labels:
        return np.array([[float(j.value)] for j in judged], dtype=np.float64).reshape(-1, 1)
    if odds:
        table = [[(j.probabilities or {}).get(label, 0.0) for label in labels] for j in judged]
        return np.asarray(np.log(np.maximum(np.array(table, dtype=np.float64), 1e-4)), dtype=np.float64)
    table = [[float(value_type.text_of(j.value) == label) for label in labels] for j in judged]
    return np.array(table, dtype=np.float64).reshape(-1, len(labels))


def calibrate(
    gold: Sequence[Value],
    train: Sequence[Judgement],
    test: Sequence[Judgement],
    value_type: ValueType,
) -> list[Judgement]:
    """The judge after a map that is learned from the train rows."""
    pairs = [(j, label) for j, label in zip(train, gold, strict=True) if isinstance(j, Scored)]
    scored = [j for j in test if isinstance(j, Scored)]
    if not scored:
        return list(test)
    odds = all(j.probabilities for j in [*(j for j, _ in pairs), *scored])
    x = judge_features([j for j, _ in pairs], value_type, odds=odds)
    z = judge_features(scored, value_type, odds=odds)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    made = iter(_linear(1.0, value_type)((x - centre) / spread, [y for _, y in pairs], (z - centre) / spread))
    return [next(made) if isinstance(j, Scored) else j for j in test]


def _rows(vectors: FloatArray | None, default: Sequence[object]) -> Sequence[object]:
    return default if vectors is None else range(len(vectors))


def _unit(vectors: FloatArray) -> FloatArray:
    x = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    out: FloatArray = x / np.where(norms > 0, norms, 1.0)
    return out


def _log_lengths(lengths: Sequence[int]) -> FloatArray:
    out: FloatArray = np.log1p(np.asarray(lengths, dtype=np.float64)).reshape(-1, 1)
    return out


def _continuous(value_type: ValueType) -> bool:
    return not value_type.is_choice


def _number(value: float, value_type: ValueType) -> Value:
    """A regression's output as a value of the judge: inside the range, whole for int."""
    low = -np.inf if value_type.low is None else value_type.low
    high = np.inf if value_type.high is None else value_type.high
    bounded = float(np.clip(value, low, high))
    return round(bounded) if value_type.kind == "int" else bounded


def _constant(gold: Sequence[Value], value_type: ValueType) -> Value:
    """The most frequent label, the first in label order on a tie; the mean where values are not listed."""
    if _continuous(value_type):
        return _number(float(np.mean([float(value) for value in gold])), value_type)
    counts = Counter(gold)
    order = value_type.choices()
    return max(counts, key=lambda value: (counts[value], -order.index(value_type.text_of(value))))


def _classes(gold: Sequence[Value], value_type: ValueType) -> list[Value]:
    by_text = {value_type.text_of(value): value for value in gold}
    return [by_text[text] for text in value_type.choices() if text in by_text]


def _classified(
    model: _Classifier, gold: Sequence[Value], x: FloatArray, z: FloatArray, value_type: ValueType
) -> list[Scored]:
    """Fit a scikit-learn classifier and give its verdicts with their probabilities."""
    classes = _classes(gold, value_type)
    texts = [value_type.text_of(value) for value in classes]
    if len(classes) == 1:
        return [Scored(classes[0])] * len(z)
    codes = [texts.index(value_type.text_of(value)) for value in gold]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a weak fit is still a fair baseline
        model.fit(x, codes)
    out = []
    for row in model.predict_proba(z):
        best = int(np.argmax(row))
        probabilities = dict(zip(texts, map(float, row), strict=True))
        out.append(Scored(classes[best], confidence=float(row[best]), probabilities=probabilities))
    return out


def _regressed(
    model: _Model, gold: Sequence[Value], x: FloatArray, z: FloatArray, value_type: ValueType
) -> list[Scored]:
    model.fit(x, [float(value) for value in gold])
    return [Scored(_number(float(value), value_type)) for value in model.predict(z)]


def _linear(strength: float, value_type: ValueType) -> _Fit:
    def fit(x: FloatArray, gold: Sequence[Value], z: FloatArray) -> list[Scored]:
        if _continuous(value_type):
            return _regressed(Ridge(alpha=1.0 / strength), gold, x, z, value_type)
        return _classified(LogisticRegression(C=strength, max_iter=1000), gold, x, z, value_type)

    return fit


def _neighbours(k: int, value_type: ValueType) -> _Fit:
    def fit(x: FloatArray, gold: Sequence[Value], z: FloatArray) -> list[Scored]:
        settings = {"n_neighbors": min(k, len(gold)), "weights": "distance", "metric": "cosine"}
        if _continuous(value_type):
            return _regressed(KNeighborsRegressor(**settings), gold, x, z, value_type)
        return _classified(KNeighborsClassifier(**settings), gold, x, z, value_type)

    return fit


def _tuned(
    x: FloatArray, gold: Sequence[Value], groups: Sequence[str], z: FloatArray, value_type: ValueType
) -> list[Scored]:
    """The linear model with the strength that does best on held-out groups of train; the weaker of equals."""
    folds = min(_FOLDS, len(set(groups)))
    best, best_score = 1.0, -np.inf
    if folds >= 2:
        splits = list(GroupKFold(n_splits=folds).split(x, groups=list(groups)))
        for strength in STRENGTHS:
            held_out: list[Scored | None] = [None] * len(gold)
            for fitted, left in splits:
                judged = _linear(strength, value_type)(x[fitted], [gold[i] for i in fitted], x[left])
                for i, judgement in zip(left, judged, strict=True):
                    held_out[i] = judgement
            judged_all = [judgement for judgement in held_out if judgement is not None]
            pairs = encode(gold, judged_all, groups, value_type)
            metric = primary_metric(value_type)
            if undefined_reason(metric, pairs, value_type):
                break
            score = point(statistic(metric, pairs), pairs.n)
            if score > best_score + 1e-9:
                best, best_score = strength, score
    return _linear(best, value_type)(x, gold, z)
