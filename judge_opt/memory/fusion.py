"""Answer fusion: the judge's distribution pooled with what the labelled examples say.

A log-linear pool: log p(label) = bias(label) + sum of w_s log p_s(label), normalized, with weights that
are not negative, fitted by penalized maximum likelihood on predictions that were made with each row's
group held out. It costs no call of a model. (Log-linear pools: Genest and Zidek, Statistical Science 1986.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.memory.predictors import group_folds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FLOOR = 1e-3
"""No source may rule a label out: its probabilities are mixed with this much of the uniform."""
PRIOR = {"judge": 0.6, "classifier": 0.6, "neighbours": 0.2}
"""Weights of the sources before labels are looked at."""
PULL, BIAS_PULL = 10.0, 2.0
"""How strongly weights and biases are held to where they start: halves of inverse variances."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """Attributes:
    weights: source name to weight (sources: "judge", "neighbours", "classifier").
    bias: one a label.
    """

    weights: Mapping[str, float]
    bias: tuple[float, ...]

    def of(self, sources: Mapping[str, Floats]) -> Floats:
        """Pooled distributions.

        Args:
            sources: one array a source, each of shape (n, n_labels); all those in `weights` are needed.
        """
        logits = np.asarray(self.bias) + sum(
            weight * log_odds(sources[name]) for name, weight in self.weights.items()
        )
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        pooled: Floats = odds / odds.sum(axis=1, keepdims=True)
        return pooled

    def to_json(self) -> dict[str, Any]:
        return {"weights": dict(self.weights), "bias": list(self.bias)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Fusion":
        return cls(dict(data["weights"]), tuple(data["bias"]))


def log_odds(odds: Floats) -> Floats:
    """Log probabilities of distributions, mixed with `FLOOR` of the uniform; shape as given."""
    logged: Floats = np.log((1 - FLOOR) * odds + FLOOR / odds.shape[1])
    return logged


def fit_fusion(sources: Mapping[str, Floats], labels: Ints) -> Fusion:
    """Penalized maximum likelihood. The penalty draws the weights to `PRIOR` and the biases to 0, so that few
    labels mean the prior's average: weights fitted freely on fifty labels predict worse than it.

    Args:
        sources: held-out distributions, each of shape (n, n_labels).
        labels: positions of the true labels, shape (n,).
    """
    from scipy.optimize import minimize

    names = sorted(sources)
    logs = np.stack([log_odds(sources[name]) for name in names])  # (s, n, l)
    n_labels, rows = logs.shape[2], np.arange(len(labels))
    # The judge alone is only calibrated: there is nothing to share the weight with.
    start = np.asarray([PRIOR.get(name, 0.3) for name in names]) if len(names) > 1 else np.ones(1)
    penalty = np.asarray([PULL] * len(names) + [BIAS_PULL] * n_labels)

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, bias = point[: len(names)], point[len(names) :]
        logits = np.tensordot(weights, logs, axes=1) + bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        odds /= odds.sum(axis=1, keepdims=True)
        error = odds.copy()
        error[rows, labels] -= 1.0
        slope = np.concatenate([np.einsum("snl,nl->s", logs, error), error.sum(axis=0)])
        pull = np.concatenate([weights - start, bias])
        value = -np.log(odds[rows, labels] + 1e-300).sum() + float(penalty @ pull**2)
        return float(value), slope + 2 * penalty * pull

    first = np.concatenate([start, np.zeros(n_labels)])
    bounds = [(0.0, None)] * len(names) + [(None, None)] * n_labels
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds)
    point = np.round(found.x, 6)
    weights = {name: float(w) for name, w in zip(names, point, strict=False)}
    return Fusion(weights, tuple(float(b) for b in point[len(names) :]))


def held_out_fusion(sources: Mapping[str, Floats], labels: Ints, groups: Sequence[str], seed: int) -> Floats:
    """What fusion predicts for rows whose group it was not fitted on, shape (n, n_labels)."""
    folds = group_folds(groups, 5, seed)
    held = np.zeros_like(next(iter(sources.values())))
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        fitted = fit_fusion({name: odds[~inside] for name, odds in sources.items()}, labels[~inside])
        held[inside] = fitted.of({name: odds[inside] for name, odds in sources.items()})
    return held
