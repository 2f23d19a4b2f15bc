"""Agreement statistics as functions of row weights, many resamples at once.

`statistic(metric, pairs)` returns a function from weights [B, n] to values [B]. A row of ones gives the
figure itself; group counts give bootstrap resamples; a zeroed group gives the jackknife. One
implementation serves them all, and the tests hold it to scikit-learn, scipy and statsmodels.

Inside this package NaN marks "not defined on this resample"; it never leaves it (see figures.py).
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.values import ValueType
from judge_opt.validate.pairs import FloatArray, IntArray, Pairs

MetricName = Literal[
    "agreement",
    "balanced_accuracy",
    "kappa",
    "kappa_linear",
    "kappa_quadratic",
    "mcc",
    "ccc",
    "mae",
    "bias",
    "spearman",
    "kendall",
]

Statistic = Callable[[FloatArray], FloatArray]
"""Row weights [B, n], not negative, to values [B]; NaN where the statistic is not defined."""

TITLES: dict[MetricName, str] = {  # as they stand inside a sentence
    "agreement": "agreement",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "Cohen's kappa",
    "kappa_linear": "linear-weighted kappa",
    "kappa_quadratic": "quadratic-weighted kappa",
    "mcc": "Matthews correlation",
    "ccc": "Lin's concordance",
    "mae": "mean absolute error",
    "bias": "bias (judge minus human)",
    "spearman": "Spearman's rho",
    "kendall": "Kendall's tau-b",
}

HIGHER_IS_BETTER: frozenset[MetricName] = frozenset(TITLES) - {"mae", "bias"}

_NEEDS_VARIED_VERDICTS: frozenset[MetricName] = frozenset({"mcc", "spearman", "kendall"})
_NEEDS_VARIED_LABELS = _NEEDS_VARIED_VERDICTS | {
    "balanced_accuracy", "kappa", "kappa_linear", "kappa_quadratic", "ccc",
}  # fmt: skip


def heading(metric: MetricName) -> str:
    """The metric's name at the start of a sentence or a table row."""
    return TITLES[metric][0].upper() + TITLES[metric][1:]


def metrics_for(value_type: ValueType) -> tuple[MetricName, ...]:
    """The statistics that apply to a value type, the most telling first. For ordinal labels the numeric
    ones (`mae`, `bias`) count steps of the scale."""
    if value_type.scale == "nominal":
        return ("agreement", "kappa", "balanced_accuracy", "mcc")
    if value_type.kind == "float":
        return ("ccc", "mae", "bias", "spearman", "kendall")
    return (
        "agreement", "kappa_quadratic", "kappa_linear", "kappa", "balanced_accuracy", "mcc",
        "mae", "bias", "spearman", "kendall",
    )  # fmt: skip


def primary_metric(value_type: ValueType) -> MetricName:
    """The chance-corrected statistic that the gate compares: Cohen's kappa for bool and nominal,
    quadratic-weighted kappa for ordinal and int, Lin's concordance for float. A constant judge has 0 on
    each of them.

    Raises:
        UsageError: the value type is free text.
    """
    if value_type.scale == "free":
        raise UsageError(
            f"{value_type.kind.capitalize()} verdicts without a scale have no agreement statistic.",
            "Use a value type whose values can be compared.",
        )
    if value_type.scale == "nominal":
        return "kappa"
    return "ccc" if value_type.kind == "float" else "kappa_quadratic"


def undefined_reason(metric: MetricName, pairs: Pairs, value_type: ValueType) -> str | None:
    """Why `metric` is not defined on these rows, in one sentence; None where it is."""
    if metric not in metrics_for(value_type):
        return f"{heading(metric)} does not apply to {value_type.kind} values."
    if pairs.n == 0:
        return "No row was scored."
    if metric in _NEEDS_VARIED_LABELS and np.all(pairs.gold == pairs.gold[0]):
        what = (
            "There is one scored row" if pairs.n == 1 else f"All {pairs.n} scored rows have one human label"
        )
        return f"{what}: nothing but plain agreement can be measured."
    if metric in _NEEDS_VARIED_VERDICTS and np.all(pairs.judged == pairs.judged[0]):
        return "The judge gave one verdict on every row, so a correlation is not defined."
    return None


def statistic(metric: MetricName, pairs: Pairs) -> Statistic:
    """`metric` on these rows as a function of row weights.

    Cohen 1960 and 1968 (kappa, weighted kappa), Gorodkin 2004 (multi-class Matthews correlation), Lin 1989
    (concordance, with variances over n, so that it equals quadratic kappa on the same numbers).

    Raises:
        UsageError: the metric needs numbers and the labels are nominal.
    """
    if metric in ("agreement", "kappa", "balanced_accuracy", "mcc"):
        return _categorical(metric, pairs)
    if pairs.gold_number is None or pairs.judged_number is None:
        raise UsageError(
            f"{heading(metric)} needs an order between labels.", "Declare them with ordered(...)."
        )
    gold, judged = pairs.gold_number, pairs.judged_number
    if metric in ("ccc", "kappa_quadratic"):
        return lambda w: _concordance(w, gold, judged)
    if metric == "kappa_linear":
        return lambda w: _linear_kappa(w, gold, judged)
    if metric == "mae":
        return lambda w: _mean(w, np.abs(judged - gold))
    if metric == "bias":
        return lambda w: _mean(w, judged - gold)
    if metric == "spearman":
        return lambda w: _spearman(w, gold, judged)
    signs = _signs(gold), _signs(judged)
    return lambda w: _tau_b(w, *signs)


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top / bottom, NaN where bottom is not positive."""
    ok = bottom > 0
    out: FloatArray = np.where(ok, top, np.nan) / np.where(ok, bottom, 1.0)
    return out


def _mean(w: FloatArray, x: FloatArray) -> FloatArray:
    return _ratio(w @ x, w.sum(axis=1))


def _one_hot(codes: IntArray, k: int) -> FloatArray:
    out: FloatArray = np.eye(k, dtype=np.float64)[codes]
    return out


def _categorical(metric: MetricName, pairs: Pairs) -> Statistic:
    hit = (pairs.gold == pairs.judged).astype(np.float64)
    if metric == "agreement":
        return lambda w: _mean(w, hit)
    gold, judged = _one_hot(pairs.gold, pairs.n_codes), _one_hot(pairs.judged, pairs.n_codes)

    def kappa(w: FloatArray) -> FloatArray:
        total = w.sum(axis=1)
        support, said = w @ gold, w @ judged
        chance = (support * said).sum(axis=1)
        # With one human label the formula always gives 0, however good the judge: that is no finding.
        varied = (support > 0).sum(axis=1) > 1
        return _ratio(np.where(varied, total * (w @ hit) - chance, np.nan), total**2 - chance)

    def balanced(w: FloatArray) -> FloatArray:
        support, right = w @ gold, w @ (gold * hit[:, None])
        present = support > 0
        recall = np.where(present, right / np.where(present, support, 1.0), 0.0)
        classes = present.sum(axis=1).astype(np.float64)
        return _ratio(np.where(classes > 1, recall.sum(axis=1), np.nan), classes)

    def mcc(w: FloatArray) -> FloatArray:
        total, support, said = w.sum(axis=1), w @ gold, w @ judged
        top = total * (w @ hit) - (support * said).sum(axis=1)
        spread = (total**2 - (support**2).sum(axis=1)) * (total**2 - (said**2).sum(axis=1))
        return _ratio(top, np.sqrt(np.maximum(spread, 0.0)))

    return {"kappa": kappa, "balanced_accuracy": balanced, "mcc": mcc}[metric]


def _concordance(w: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """1 - mean squared difference / its expectation under independence."""
    x, y = x - x.mean(), y - x.mean()  # one shift for both: it changes nothing but the rounding
    total = w.sum(axis=1)
    mean_x, mean_y = _ratio(w @ x, total), _ratio(w @ y, total)
    var_x = _ratio(w @ x**2, total) - mean_x**2
    var_y = _ratio(w @ y**2, total) - mean_y**2
    observed = _ratio(w @ (x - y) ** 2, total)
    varied = var_x > 1e-12 * max(1.0, float((x**2).max(initial=0.0)))
    return 1.0 - _ratio(np.where(varied, observed, np.nan), var_x + var_y + (mean_x - mean_y) ** 2)


def _linear_kappa(w: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    levels = np.unique(np.concatenate([x, y]))
    k = len(levels)
    gold, judged = _one_hot(np.searchsorted(levels, x), k), _one_hot(np.searchsorted(levels, y), k)
    distance = np.abs(levels[:, None] - levels[None, :])
    support = w @ gold
    expected = ((support @ distance) * (w @ judged)).sum(axis=1)
    varied = (support > 0).sum(axis=1) > 1
    observed = w.sum(axis=1) * (w @ np.abs(x - y))
    return 1.0 - _ratio(np.where(varied, observed, np.nan), expected)


def _spearman(w: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    rank_x, rank_y = _weighted_ranks(w, x), _weighted_ranks(w, y)
    total = w.sum(axis=1, keepdims=True)
    dx = rank_x - (w * rank_x).sum(axis=1, keepdims=True) / total
    dy = rank_y - (w * rank_y).sum(axis=1, keepdims=True) / total
    spread = (w * dx**2).sum(axis=1) * (w * dy**2).sum(axis=1)
    return _ratio((w * dx * dy).sum(axis=1), np.sqrt(np.where(spread > 1e-9, spread, 0.0)))


def _weighted_ranks(w: FloatArray, x: FloatArray) -> FloatArray:
    """Mid-ranks [B, n] in the sample that holds row i w_i times."""
    levels, code = np.unique(x, return_inverse=True)
    mass = w @ _one_hot(code.astype(np.int64), len(levels))
    ranks: FloatArray = (np.cumsum(mass, axis=1) - mass + (mass + 1.0) / 2.0)[:, code]
    return ranks


def _signs(x: FloatArray) -> FloatArray:
    out: FloatArray = np.sign(x[:, None] - x[None, :])
    return out


def _tau_b(w: FloatArray, sx: FloatArray, sy: FloatArray) -> FloatArray:
    def pairs_sum(signs: FloatArray) -> FloatArray:
        out: FloatArray = ((w @ signs) * w).sum(axis=1)
        return out

    return _ratio(pairs_sum(sx * sy), np.sqrt(pairs_sum(sx**2) * pairs_sum(sy**2)))
