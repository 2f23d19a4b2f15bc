"""Coverage of the corrected estimates over the grid of class mixes, judges and numbers of labels."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.intervals.cells import Cell
from judge_opt.validate.prediction_powered import beta_interval, ppi_mean, rogan_gladen

RUNS = 4000
LOW, HIGH = 0.93, 0.97
SAME_STREAM = ("beta", "ppi", "labels_alone_wilson", "labels_alone_jeffreys")
JUDGED = 5000
DRAWS = 2000
PREVALENCE = (0.5, 0.65, 0.8, 0.9, 0.95)
SKILL = (0.6, 0.8, 0.95)
LABELS = (30, 50, 100, 300)


def cells() -> list[Cell]:
    """The grid: each cell is simulated on its own, from a seed of its own, so that a run can go on anywhere."""
    grid = product(PREVALENCE, SKILL, SKILL, LABELS)
    return [
        Cell(f"{p}-{se}-{sp}-{n}", partial(cell, k, p, se, sp, n)) for k, (p, se, sp, n) in enumerate(grid)
    ]


def cell(index: int, prevalence: float, sens: float, spec: float, n: int) -> list[dict[str, Any]]:
    """For the Beta, PPI++ and the labels alone the n labels are drawn by lot from the 5,000 judged rows. For
    Rogan-Gladen they come from another stream in which half of the rows pass, which is what it is for."""
    rng = np.random.default_rng([0, index])
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
    k = y.sum(1).astype(int)
    wilson = [stats.binomtest(int(i), n).proportion_ci(method="wilson") for i in range(n + 1)]
    low, high = (np.array([getattr(w, end) for w in wilson])[k] for end in ("low", "high"))
    jeffreys = stats.beta.ppf([[0.025], [0.975]], k + 0.5, n - k + 0.5)
    yc, fc = draw(rng, 0.5, sens, spec, n)
    counts = ((yc * fc).sum(1), yc.sum(1), ((1 - yc) * (1 - fc)).sum(1), (1 - yc).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        rogan = rogan_gladen(others, np.full(RUNS, float(JUDGED - n)), *counts)
    found = {
        "part": "rates",
        "prevalence": prevalence,
        "sensitivity": sens,
        "specificity": spec,
        "labels": n,
        **covered("beta", beta.low, beta.high, prevalence),
        **covered("ppi", value - reach, value + reach, prevalence),
        **covered("labels_alone_wilson", low, high, prevalence),
        **covered("labels_alone_jeffreys", *jeffreys, prevalence),
        **covered("rogan_gladen", rogan.low, rogan.high, prevalence),
        "judge_alone_bias": round(says_pass - prevalence, 4),
    }
    return [{**found, "recommended": recommended(found)}]


def recommended(row: dict[str, Any]) -> str | None:
    """The narrowest method with labels from the same stream whose coverage is in the band; None for a corner."""
    inside = [name for name in SAME_STREAM if LOW <= row[f"{name}_coverage"] <= HIGH]
    return min(inside, key=lambda name: row[f"{name}_width"]) if inside else None


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
