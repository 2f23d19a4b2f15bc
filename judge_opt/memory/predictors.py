"""What the labelled examples alone say of an item: a vote of its neighbours, and a linear classifier.

Neither asks a language model. Both return a distribution over the labels, so that it can be fused with
the judge's own (see `fusion.py`), and both are fitted with a whole group held out at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.memory.vectors import Vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NeighbourVote:
    """Similarity-weighted vote of the `k` nearest examples: weight exp(sharpness * similarity), added to
    `prior` votes that are spread as the labels are.

    Attributes:
        base: label shares among the examples, shape (n_labels,).
    """

    k: int
    sharpness: float
    prior: float
    base: tuple[float, ...]

    def of(self, similarities: Floats, labels: Ints) -> Floats:
        """Distribution for one item, from its neighbours (nearest first), shape (n_labels,)."""
        near, votes = similarities[: self.k], labels[: self.k]
        weights = np.exp(self.sharpness * (near - near.max())) if near.size else near
        counts = self.prior * np.asarray(self.base)
        np.add.at(counts, votes, weights)
        shares: Floats = counts / counts.sum()
        return shares


def fit_vote(
    vectors: Vectors, labels: Ints, groups: Sequence[str], n_labels: int
) -> tuple[NeighbourVote, Floats]:
    """Choose the vote's settings by leave-one-group-out log loss.

    Returns:
        the vote, and its out-of-group distributions for the examples themselves, shape (n, n_labels).
    """
    base = (np.bincount(labels, minlength=n_labels) + 0.5) / (len(labels) + 0.5 * n_labels)
    names = np.asarray(groups)
    similar = np.round(vectors @ vectors.T, 5).astype(np.float64)
    similar[names[:, None] == names[None, :]] = -np.inf
    order = np.argsort(-similar, axis=1, kind="stable")
    best: tuple[float, NeighbourVote, Floats] | None = None
    for k in (1, 3, 5, 9, 15):
        for sharpness in (5.0, 15.0):
            for prior in (0.3, 1.0):
                vote = NeighbourVote(k, sharpness, prior, tuple(float(b) for b in base))
                held = np.stack(
                    [vote.of(*_finite(similar[i, order[i]], labels[order[i]])) for i in range(len(labels))]
                )
                loss = float(-np.log(held[np.arange(len(labels)), labels]).mean())
                if best is None or loss < best[0] - 1e-9:
                    best = (loss, vote, held)
    assert best is not None
    return best[1], best[2]


def _finite(similar: Floats, labels: Ints) -> tuple[Floats, Ints]:
    keep = np.isfinite(similar)
    return similar[keep], labels[keep]


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Multinomial logistic regression on the vectors.

    Attributes:
        weights: shape (n_labels, d), float32. A label without an example has a row of zeros.
        bias: shape (n_labels,); very low for a label without an example.
    """

    weights: npt.NDArray[np.float32]
    bias: Floats

    def of(self, vectors: Vectors) -> Floats:
        """Distributions, shape (n, n_labels)."""
        logits = vectors.astype(np.float64) @ self.weights.T.astype(np.float64) + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        shares: Floats = odds / odds.sum(axis=1, keepdims=True)
        return shares


def fit_head(
    vectors: Vectors, labels: Ints, groups: Sequence[str], n_labels: int, seed: int
) -> tuple[LinearHead, Floats] | None:
    """Fit with the penalty that has the least log loss in 5-fold cross-validation over whole groups.

    Returns:
        the classifier and its out-of-fold distributions, shape (n, n_labels); None with fewer than two
        labels or five groups, where there is nothing to fit or to check it on.
    """
    if len(set(labels.tolist())) < 2 or len(set(groups)) < 5:
        return None
    folds = group_folds(groups, 5, seed)
    best: tuple[float, float, Floats] | None = None
    for penalty in (0.3, 1.0, 3.0, 10.0, 30.0):
        held = np.zeros((len(labels), n_labels))
        for fold in range(5):
            inside = folds == fold
            if len(set(labels[~inside].tolist())) < 2:
                return None
            held[inside] = _train(vectors[~inside], labels[~inside], n_labels, penalty).of(vectors[inside])
        held = 0.98 * held + 0.02 / n_labels
        loss = float(-np.log(held[np.arange(len(labels)), labels]).mean())
        if best is None or loss < best[0] - 1e-9:
            best = (loss, penalty, held)
    assert best is not None
    return _train(vectors, labels, n_labels, best[1]), best[2]


def _train(vectors: Vectors, labels: Ints, n_labels: int, penalty: float) -> LinearHead:
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=penalty, max_iter=2000).fit(vectors, labels)
    weights = np.zeros((n_labels, vectors.shape[1]), dtype=np.float32)
    bias = np.full(n_labels, -12.0)
    if len(model.classes_) == 2:
        weights[model.classes_[1]], bias[model.classes_] = model.coef_[0], 0.0
        bias[model.classes_[1]] = model.intercept_[0]
    else:
        weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return LinearHead(weights, bias)


def group_folds(groups: Sequence[str], n: int, seed: int) -> Ints:
    """A fold number in [0, n) for each row, the same for all rows of a group, sizes as even as groups
    allow. Depends on the group names and the seed only."""
    counts: dict[str, int] = {}
    for group in groups:
        counts[group] = counts.get(group, 0) + 1
    names = sorted(counts)
    np.random.default_rng(seed).shuffle(names)
    names.sort(key=lambda name: -counts[name])
    sizes, where = [0] * n, {}
    for name in names:
        where[name] = min(range(n), key=lambda f: (sizes[f], f))
        sizes[where[name]] += counts[name]
    return np.asarray([where[group] for group in groups], dtype=np.int64)
