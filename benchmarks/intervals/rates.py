"""Coverage of the corrected estimates over the grid of class mixes, judges and numbers of labels."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from judge_opt.validate.prediction_powered import beta_interval, ppi_mean, rogan_gladen

RUNS = 1000
JUDGED = 5000
DRAWS = 2000
PREVALENCE = (0.5, 0.65, 0.8, 0.9, 0.95)
SKILL = (0.6, 0.8, 0.95)
LABELS = (30, 50, 100, 300)


def rates(seed: int = 0) -> Iterator[dict[str, Any]]:
    """One row a cell of the grid.

    For the Beta and PPI++ the n labels are drawn by lot from the 5,000 judged rows. For Rogan-Gladen they
    come from another stream in which half of the rows pass, which is what it is for.
    """
    rng = np.random.default_rng(seed)
    for prevalence, sens, spec, n in product(PREVALENCE, SKILL, SKILL, LABELS):
        y, f = draw(rng, prevalence, sens, spec, n)
        says_pass = prevalence * sens + (1 - prevalence) * (1 - spec)
        others = rng.binomial(JUDGED - n, says_pass, RUNS).astype(float)
        labelled = np.stack([n - f.sum(1), f.sum(1)], 1)
        passed = np.stack([(y * (1 - f)).sum(1), (y * f).sum(1)], 1)
        judged = labelled + np.stack([JUDGED - n - others, others], 1)
        beta = beta_interval(passed, labelled, judged, draws=DRAWS, seed=int(rng.integers(2**31)))
        share = others / (JUDGED - n)
        value, error, _ = ppi_mean(y, f, share, share * (1 - share), JUDGED - n)
        reach = stats.t.ppf(0.975, n - 1) * error
        wilson = [stats.binomtest(int(k), n).proportion_ci(method="wilson") for k in range(n + 1)]
        low, high = (
            np.array([getattr(w, end) for w in wilson])[y.sum(1).astype(int)] for end in ("low", "high")
        )
        yc, fc = draw(rng, 0.5, sens, spec, n)
        counts = ((yc * fc).sum(1), yc.sum(1), ((1 - yc) * (1 - fc)).sum(1), (1 - yc).sum(1))
        with np.errstate(invalid="ignore", divide="ignore"):
            rogan = rogan_gladen(others, np.full(RUNS, float(JUDGED - n)), *counts)
        yield {
            "part": "rates",
            "prevalence": prevalence,
            "sensitivity": sens,
            "specificity": spec,
            "labels": n,
            **covered("beta", beta.low, beta.high, prevalence),
            **covered("ppi", value - reach, value + reach, prevalence),
            **covered("labels_alone_wilson", low, high, prevalence),
            **covered("rogan_gladen", rogan.low, rogan.high, prevalence),
            "judge_alone_bias": round(says_pass - prevalence, 4),
        }


def draw(
    rng: np.random.Generator, prevalence: float, sens: float, spec: float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and verdicts, RUNS samples of n independent rows."""
    y = rng.random((RUNS, n)) < prevalence
    f = np.where(y, rng.random((RUNS, n)) < sens, rng.random((RUNS, n)) >= spec)
    return y.astype(float), f.astype(float)


def covered(name: str, low: np.ndarray, high: np.ndarray, truth: float) -> dict[str, float | None]:
    """Coverage and mean width over the runs that have an interval, and the share that has."""
    has = np.isfinite(low)
    return {
        f"{name}_coverage": round(float(((low <= truth) & (truth <= high))[has].mean()), 4)
        if has.any()
        else None,
        f"{name}_width": round(float((high - low)[has].mean()), 4) if has.any() else None,
        f"{name}_defined": round(float(has.mean()), 4),
    }
