"""How each form of calibration is fitted. Every fit is drawn to no change, so that few labels change little.

Softmax and Dirichlet calibration: Guo et al., ICML 2017; Kull et al., NeurIPS 2019. Cuts with rater
severities: a proportional-odds model (McCullagh 1980) whose severities have a normal prior; the amount of
shrinking, n / (n + 3), is that of the LLM-Rubric recipe (Hashemi et al., ACL 2024).
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from judge_opt.core.results import NOT_APPLICABLE, Scored
from judge_opt.core.values import ValueType
from judge_opt.judges.calibration import Calibration, plain_odds, score_of
from judge_opt.labels.examples import LabelledExample

Floats = npt.NDArray[np.float64]
Fit = Callable[[Sequence[LabelledExample], Sequence[Scored], ValueType], Calibration | None]
PRIOR = 3.0
"""Labels that a rater's severity must outweigh."""


def fits_for(value_type: ValueType, judged: Sequence[Scored]) -> dict[str, Fit]:
    """Name to fit, the simplest first: those that can do something with these verdicts."""
    sure = any(j.probabilities is not None for j in judged)
    if not value_type.is_choice:
        return {"shift": fit_shift, "linear": fit_linear, "isotonic": fit_isotonic}
    found: dict[str, Fit] = {"confusion": fit_confusion}
    if sure:
        found["bias"] = fit_bias
        if len(value_type.choices()) > 2:
            found["dirichlet"] = fit_dirichlet
    if (
        not value_type.optional
        and value_type.kind != "pairwise"
        and (value_type.scale != "nominal" or (sure and len(value_type.choices()) == 2))
    ):
        found |= {"cuts": fit_cuts, "isotonic": fit_isotonic}
    return found


def shares_of(rows: Sequence[LabelledExample], value_type: ValueType) -> Floats:
    """The raters' distribution of each row, shape (n, labels)."""
    labels = value_type.choices()
    return np.asarray([[row.soft.get(label, 0.0) for label in labels] for row in rows], dtype=np.float64)


def fit_confusion(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration:
    """What the experts say where the judge says i: counts, with two labels' worth of prior, half of it on the
    judge's own label and half on how often each label is."""
    labels, q = value_type.choices(), shares_of(rows, value_type)
    said = np.asarray([labels.index(value_type.text_of(j.value)) for j in judged])
    base = (q.sum(axis=0) + 1.0) / (len(rows) + len(labels))
    table = np.stack([q[said == i].sum(axis=0) for i in range(len(labels))])
    table = table + 2.0 * (0.5 * np.eye(len(labels)) + 0.5 * base)
    table = table / table.sum(axis=1, keepdims=True)
    return Calibration("confusion", {"table": _rounded(table)}, rows=len(rows))


def fit_bias(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> Calibration:
    """One temperature, and one bias a label: thresholds."""
    return _fit_logits(rows, judged, value_type, full=False)


def fit_dirichlet(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration:
    """A whole matrix, drawn to the identity."""
    return _fit_logits(rows, judged, value_type, full=True)


def _fit_logits(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType, *, full: bool
) -> Calibration:
    logs = np.log(np.stack([plain_odds(j, value_type) for j in judged]))
    q = shares_of(rows, value_type)
    n = q.shape[1]
    start = np.concatenate([np.eye(n).ravel() if full else np.ones(1), np.zeros(n)])

    def loss(point: Floats) -> tuple[float, Floats]:
        slope, bias = point[:-n], point[-n:]
        logits = (logs @ slope.reshape(n, n).T if full else slope[0] * logs) + bias
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        odds /= odds.sum(axis=1, keepdims=True)
        error = odds * q.sum(axis=1, keepdims=True) - q
        down = (error.T @ logs).ravel() if full else np.asarray([float((error * logs).sum())])
        pull = point - start
        value = -float((q * np.log(odds + 1e-300)).sum()) + float(pull @ pull)
        return value, np.concatenate([down, error.sum(axis=0)]) + 2 * pull

    bounds = [(None, None)] * (n * n) if full else [(0.0, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, *[(None, None)] * n]).x
    slope = found[:-n].reshape(n, n) if full else found[0] * np.eye(n)
    bias = found[-n:] - found[-n:].mean()
    return Calibration("logits", {"slope": _rounded(slope), "bias": _rounded(bias)}, rows=len(rows))


def fit_cuts(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration | None:
    """Cuts on the judge's score, from every rater's own label, each rater with a severity of their own."""
    labels = value_type.choices()
    at, place, who, weight = [], [], [], []
    names = sorted({vote.rater for row in rows for vote in row.votes})
    for row, j in zip(rows, judged, strict=True):
        score = score_of(j, value_type)
        if score is None:
            continue
        for vote in row.votes:
            at.append(score)
            place.append(labels.index(value_type.text_of(vote.value)))
            who.append(names.index(vote.rater))
            weight.append(1.0)
    if not at:
        return None
    x, y, r = np.asarray(at), np.asarray(place), np.asarray(who)
    n, several = len(labels), len(names) > 1
    counts = np.bincount(y, minlength=n) + 0.5
    levels = np.cumsum(counts)[:-1] / counts.sum()
    first = np.log(levels / (1 - levels))
    gaps = np.log(np.maximum(np.diff(first), 1e-2))
    middle, spread = float(x.mean()), float(x.std()) or 1.0
    z = (x - middle) / spread
    start = np.concatenate([[1.0], [first[0]], gaps, np.zeros(len(names))])

    def loss(point: Floats) -> tuple[float, Floats]:
        slope, low, gap, severe = point[0], point[1], point[2:n], point[n:]
        cuts = low + np.concatenate([[0.0], np.cumsum(np.exp(gap))])
        line = slope * z + (severe[r] if several else 0.0)
        upper = np.where(y < n - 1, cuts[np.minimum(y, n - 2)] - line, np.inf)
        lower = np.where(y > 0, cuts[np.maximum(y - 1, 0)] - line, -np.inf)
        above, below = _logistic(upper), _logistic(lower)
        p = np.maximum(above - below, 1e-12)
        d_above, d_below = above * (1 - above) / p, below * (1 - below) / p
        d_line = d_above - d_below  # of minus the log likelihood
        d_cuts = np.zeros(n - 1)
        np.add.at(d_cuts, np.minimum(y, n - 2), np.where(y < n - 1, -d_above, 0.0))
        np.add.at(d_cuts, np.maximum(y - 1, 0), np.where(y > 0, d_below, 0.0))
        slopes = np.concatenate([[float((d_line * z).sum())], [d_cuts.sum()]])
        steps = np.exp(gap) * np.asarray([d_cuts[k + 1 :].sum() for k in range(n - 2)])
        of_raters = np.bincount(r, d_line, minlength=len(names)) if several else np.zeros(len(names))
        value = -float(np.log(p).sum()) + PRIOR / 6.6 * float(severe @ severe)
        value += 0.5 * (slope - 1.0) ** 2 + 0.01 * low**2
        down = np.concatenate([slopes, steps, of_raters])
        down[0] += slope - 1.0
        down[1] += 0.02 * low
        down[n:] += PRIOR / 3.3 * severe
        return value, down

    bounds = [(0.0, None), (None, None), *[(-8.0, 3.0)] * (n - 2), *[(None, None)] * len(names)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slope = found[0] / spread
    cuts = found[1] + np.concatenate([[0.0], np.cumsum(np.exp(found[2:n]))]) + slope * middle
    severe = dict(zip(names, np.round(found[n:], 6).tolist(), strict=True)) if several else {}
    numbers = {"slope": round(float(slope), 6), "cuts": _rounded(cuts)}
    return Calibration("cuts", numbers, raters=severe, rows=len(rows))


def fit_isotonic(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration | None:
    """The experts' mean value as a function of the score that never falls."""
    from sklearn.isotonic import IsotonicRegression

    x, y, raters = _numbers(rows, judged, value_type)
    if len(set(x.tolist())) < 2:
        return None
    model = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    numbers = {"x": _rounded(model.X_thresholds_), "y": _rounded(model.y_thresholds_)}
    severe = _severities(raters, y - np.interp(x, model.X_thresholds_, model.y_thresholds_))
    return Calibration("isotonic", numbers, raters=severe, rows=len(rows))


def fit_shift(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration | None:
    """How much milder or stricter the judge is, taken off."""
    x, y, raters = _numbers(rows, judged, value_type)
    if not len(x):
        return None
    off = float((y - x).sum() / (len(x) + PRIOR))
    numbers = {"slope": 1.0, "bias": round(off, 6)}
    return Calibration("linear", numbers, raters=_severities(raters, y - x - off), rows=len(rows))


def fit_linear(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> Calibration | None:
    """Shift and stretch; the stretch is drawn to 1 and never negative."""
    x, y, raters = _numbers(rows, judged, value_type)
    if len(x) < 2 or x.std() == 0:
        return fit_shift(rows, judged, value_type)
    z, target = x - x.mean(), y - y.mean()
    pull = PRIOR * float(x.var())
    slope = max(0.0, float((z @ target + pull) / (z @ z + pull)))
    bias = float(y.mean() - slope * x.mean())
    numbers = {"slope": round(slope, 6), "bias": round(bias, 6)}
    return Calibration("linear", numbers, raters=_severities(raters, y - slope * x - bias), rows=len(rows))


def _numbers(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> tuple[Floats, Floats, list[str]]:
    """(score, vote's number, rater) of every vote that has a place on the scale."""
    labels = value_type.choices()
    xs, ys, raters = [], [], []
    for row, j in zip(rows, judged, strict=True):
        at = score_of(j, value_type)
        for vote in row.votes:
            if at is None or vote.value == NOT_APPLICABLE:
                continue
            to = labels.index(value_type.text_of(vote.value)) if labels else value_type.number_of(vote.value)
            if to is not None:
                xs.append(at)
                ys.append(float(to))
                raters.append(vote.rater)
    return np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64), raters


def _severities(raters: Sequence[str], rest: Floats) -> dict[str, float]:
    """Each rater's mean residual, shrunk: the sum over (n + 3)."""
    names = sorted(set(raters))
    if len(names) < 2:
        return {}
    own = np.asarray(raters)
    return {name: round(float(rest[own == name].sum() / ((own == name).sum() + PRIOR)), 6) for name in names}


def _logistic(x: Floats) -> Floats:
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found


def _rounded(values: Floats) -> list[float]:
    found: list[float] = np.round(values, 6).tolist()
    return found
