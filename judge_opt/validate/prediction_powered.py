"""Estimates from many judge verdicts and few human labels, as formulas on counts and arrays.

Three designs. The labelled rows were drawn by lot from the judged rows (`beta_interval` for rates,
`ppi_mean` for means), or they come from another stream with another mix of classes (`rogan_gladen`).
`corrected.py` puts them on rows and judgements; `benchmarks/intervals` shows where their intervals hold.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from judge_opt.validate.pairs import FloatArray

_PRIOR = 0.5
"""Jeffreys' prior, one half of a success and of a failure: Brown, Cai & DasGupta 2001, section 4."""

_BLOCK = 2_000_000
"""Draws held at once: 16 MB an array."""


class Estimate(NamedTuple):
    """Arrays of one shape, or numbers: the estimate and the ends of its interval."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


def beta_interval(
    passed: FloatArray,
    labelled: FloatArray,
    rows: FloatArray,
    *,
    draws: int = 20_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """The rate of passes, post-stratified by verdict, with a Beta posterior in each stratum.

    The strata's shares are Dirichlet(rows + 1/2), the pass rate within stratum v is Beta(passed_v + 1/2,
    labelled_v - passed_v + 1/2), and the interval holds the middle of the draws of sum_v share_v rate_v
    (post-stratification: Holt & Smith 1979; the same posterior for two strata is what a Bayesian PPI of
    a proportion with a binary prediction comes to). The value is the posterior's mean. Unlike a normal
    interval it knows the edges 0 and 1 and needs no pass and no failure to have been seen.

    Args:
        passed, labelled: labelled rows that passed, and labelled rows, by verdict [..., K]; not negative,
            whole numbers or not (a design effect divides them).
        rows: judged rows by verdict [..., K], the labelled ones among them.
        draws: from the posterior, for each estimate.

    Returns:
        Arrays [...]. A verdict without labels is taken to pass anywhere between never and always.
    """
    a, b, share = passed + _PRIOR, labelled - passed + _PRIOR, rows + _PRIOR
    mean = (share / share.sum(axis=-1, keepdims=True) * (a / (a + b))).sum(axis=-1)
    shape, k = mean.shape, passed.shape[-1]
    flat = [np.broadcast_to(x, (*shape, k)).reshape(-1, k) for x in (a, b, share)]
    rng = np.random.default_rng(seed)
    ends = np.empty((2, len(flat[0])))
    tail = (1.0 - confidence) / 2.0
    step = max(1, _BLOCK // (draws * k))
    for start in range(0, len(flat[0]), step):
        one, other, weight = (x[start : start + step, None, :] for x in flat)
        size = (one.shape[0], draws, k)
        gamma = rng.standard_gamma(weight, size)
        drawn = (gamma * rng.beta(one, other, size)).sum(axis=-1) / gamma.sum(axis=-1)
        ends[:, start : start + step] = np.quantile(drawn, [tail, 1.0 - tail], axis=1)
    return Estimate(mean, ends[0].reshape(shape), ends[1].reshape(shape))


def ppi_weight(
    y: FloatArray, f: FloatArray, others_mean: FloatArray, others_var: FloatArray, n_others: int
) -> FloatArray:
    """PPI++'s lambda in [0, 1] along the last axis; 0 where the predictions do not vary."""
    n = y.shape[-1]
    cov = ((y - y.mean(-1, keepdims=True)) * (f - f.mean(-1, keepdims=True))).mean(-1)
    total = n + n_others
    gap = f.mean(-1) - others_mean
    spread = n * f.var(-1) + n_others * others_var + n * n_others / total * gap**2
    var = spread / (total - 1)
    varied = var > 1e-12
    best = cov / ((1.0 + n / n_others) * np.where(varied, var, 1.0))
    return np.where(varied, np.clip(best, 0.0, 1.0), 0.0)


def ppi_mean(
    y: FloatArray, f: FloatArray, others_mean: FloatArray, others_var: FloatArray, n_others: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """PPI++ of a mean (Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453, sections 2 and 6).

    value = mean(y) + lambda (mean of f on the others - mean of f on the labelled rows), with the lambda that
    makes the variance least. It is never much worse than the labels alone: a judge that says nothing has
    lambda 0. The variance of y - lambda f is divided by n - 1 here, and by n in the authors' package.

    Args:
        y, f: labels and verdicts of the labelled rows [..., n], n at least 2, rows independent.
        others_mean, others_var: of the verdicts on the rows without a label [...].
        n_others: how many those are, at least 1.

    Returns:
        The estimate, its standard error and lambda, each [...].
    """
    n = y.shape[-1]
    lam = ppi_weight(y, f, others_mean, others_var, n_others)
    value = y.mean(-1) + lam * (others_mean - f.mean(-1))
    variance = lam**2 * others_var / n_others + (y - lam[..., None] * f).var(-1, ddof=1) / n
    return value, np.sqrt(variance), lam


def rogan_gladen(
    said: FloatArray,
    rows: FloatArray,
    true_positives: FloatArray,
    positives: FloatArray,
    true_negatives: FloatArray,
    negatives: FloatArray,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """The rate in a stream of another class mix, from the judge's sensitivity and specificity.

    Rogan & Gladen 1978 with the limits of Lang & Reiczigel 2014 (Preventive Veterinary Medicine 113, 13-22),
    which Lee et al. 2025 (arXiv 2511.21140) take over for LLM judges. It is the only one here that is valid
    where the labels come from another mix, and wider than the labels alone where they do not.

    Args:
        said, rows: positive verdicts and verdicts in the stream.
        true_positives, positives: in the calibration rows: positive verdicts on rows labelled positive, and
            such rows; at least 1.
        true_negatives, negatives: the same for negative.

    Returns:
        The estimate cut to [0, 1] and its limits; NaN where the judge is no better than chance
        (sensitivity + specificity not above 1).
    """
    z = stats.norm.ppf((1.0 + confidence) / 2.0)
    p, se, sp = said / rows, true_positives / positives, true_negatives / negatives
    informed = se + sp > 1.0
    value = np.where(informed, np.clip((p + sp - 1.0) / np.where(informed, se + sp - 1.0, 1.0), 0, 1), np.nan)
    n, n_se, n_sp = rows + z**2, positives + 2.0, negatives + 2.0
    p, se, sp = (said + z**2 / 2.0) / n, (true_positives + 1.0) / n_se, (true_negatives + 1.0) / n_sp
    ok = informed & (se + sp > 1.0)
    youden = np.where(ok, se + sp - 1.0, 1.0)
    centre = (p + sp - 1.0) / youden
    part_se, part_sp = se * (1.0 - se) / n_se, sp * (1.0 - sp) / n_sp
    error = np.sqrt(p * (1.0 - p) / n + part_se * centre**2 + part_sp * (1.0 - centre) ** 2) / youden
    shifted = centre + 2.0 * z**2 * (centre * part_se - (1.0 - centre) * part_sp)
    low, high = (np.where(ok, np.clip(shifted + side * z * error, 0.0, 1.0), np.nan) for side in (-1, 1))
    return Estimate(value, low, high)
