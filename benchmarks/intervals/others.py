"""Coverage and error rates beyond the grid of rates: means, clusters, selective judging, margins, promotion."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.intervals.cells import Cell, Row
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import BOOL
from judge_opt.validate.compare import shared, swap_test
from judge_opt.validate.corrected import corrected_mean, corrected_rate
from judge_opt.validate.drift_windows import TimeRows, drift
from judge_opt.validate.equivalence import margin_test
from judge_opt.validate.figures import figure
from judge_opt.validate.intervals import resample
from judge_opt.validate.metrics import statistic
from judge_opt.validate.pairs import encode
from judge_opt.validate.prediction_powered import ppi_mean
from judge_opt.validate.selective import accept_threshold
from judge_opt.validate.watch import floor_from, watch_agreement

RUNS = 1000
SHAPES = {
    "even": (0.2, 0.2, 0.2, 0.2, 0.2),
    "high": (0.02, 0.05, 0.13, 0.35, 0.45),
    "edge": (0.02, 0.02, 0.02, 0.04, 0.9),
}


def means(seed: int = 1) -> Iterator[dict[str, Any]]:
    """PPI++ of a mean on a scale of 1 to 5; the judge gives the label, or with chance `noise` any other."""
    rng = np.random.default_rng(seed)
    for shape, shares in SHAPES.items():
        truth = float(np.dot(shares, np.arange(1, 6)))
        for noise in (0.2, 0.6):
            said = (1 - noise) * np.array(shares) + noise / 5
            mean = float(np.dot(said, np.arange(1, 6)))
            var = float(np.dot(said, np.arange(1, 6) ** 2)) - mean**2
            for n in (30, 100, 300):
                y = rng.choice(np.arange(1.0, 6.0), (RUNS, n), p=shares)
                f = np.where(rng.random((RUNS, n)) < noise, rng.integers(1, 6, (RUNS, n)), y)
                others = rng.multinomial(5000 - n, said, RUNS) @ np.arange(1.0, 6.0) / (5000 - n)
                value, error, lam = ppi_mean(y, f, others, np.full(RUNS, var), 5000 - n)
                reach = stats.t.ppf(0.975, n - 1) * error
                alone = stats.t.ppf(0.975, n - 1) * y.std(1, ddof=1) / n**0.5
                yield {
                    "part": "means",
                    "shape": shape,
                    "noise": noise,
                    "labels": n,
                    "coverage": round(float((abs(value - truth) <= reach).mean()), 4),
                    "labels_alone_coverage": round(float((abs(y.mean(1) - truth) <= alone).mean()), 4),
                    "width": round(float(2 * reach.mean()), 4),
                    "labels_alone_width": round(float(2 * alone.mean()), 4),
                    "lambda": round(float(lam.mean()), 3),
                }


def clusters() -> list[Cell]:
    """Groups of 4 rows with a shared difficulty: the intervals of agreement and kappa, and corrected estimates."""
    return [
        *(Cell(f"interval-{groups}", partial(intervals, groups)) for groups in (10, 15, 40)),
        Cell("corrected-rows-25", partial(corrected, 25)),
    ]


def intervals(groups: int) -> list[Row]:
    rng = np.random.default_rng([2, groups])
    pairs = encode(*as_rows(*grouped(np.random.default_rng(2), 100_000)), BOOL)
    names = ("agreement", "kappa")
    truth = {name: float(statistic(name, pairs)(np.ones((1, pairs.n)))[0]) for name in names}
    held, has, naive = dict.fromkeys(names, 0), dict.fromkeys(names, 0), 0
    for run in range(RUNS):
        pairs = encode(*as_rows(*grouped(rng, groups)), BOOL)
        for name in names:
            found = figure(name, pairs, BOOL, n_boot=600, seed=run)
            has[name] += found.low is not None
            held[name] += found.low is not None and found.low <= truth[name] <= found.high
        ends = stats.binomtest(int((pairs.gold == pairs.judged).sum()), pairs.n).proportion_ci(
            method="wilson"
        )
        naive += ends.low <= truth["agreement"] <= ends.high
    base = {"part": "clusters", "groups": groups, "rows": 4 * groups}
    return [
        *(
            {**base, "what": f"interval of {name}", "coverage": round(held[name] / has[name], 4),
             "defined": has[name] / RUNS}
            for name in names
        ),
        {**base, "what": "Wilson over rows, agreement (for comparison)", "coverage": naive / RUNS},
    ]  # fmt: skip


def corrected(groups: int) -> list[Row]:
    rng = np.random.default_rng([2, 1, groups])
    rate = float(grouped(np.random.default_rng(2), 100_000)[0].mean())
    held = {"corrected_rate": 0, "corrected_mean": 0}
    for run in range(RUNS):
        y, f, g = grouped(rng, 250)
        gold, judged, names = as_rows(y, f, g)
        few = [label if i < 4 * groups else None for i, label in enumerate(gold)]
        a = corrected_rate(few, judged, names, BOOL, draws=2000, seed=run)
        b = corrected_mean(few, judged, names, BOOL)
        held["corrected_rate"] += a.low <= rate <= a.high
        held["corrected_mean"] += b.low is not None and b.low <= rate <= b.high
    base = {"part": "clusters", "groups": groups, "rows": 4 * groups}
    return [{**base, "what": name, "coverage": count / RUNS} for name, count in held.items()]


def grouped(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels that lean with the group (70 % pass in all), and verdicts that are right more often in some groups."""
    g = np.repeat(np.arange(groups), 4)
    lean, ease = rng.normal(0, 0.7, groups)[g], rng.normal(0, 0.7, groups)[g]
    y = rng.normal(size=len(g)) + lean < stats.norm.ppf(0.7) * 1.49**0.5
    right = rng.normal(size=len(g)) + ease < stats.norm.ppf(0.85) * 1.49**0.5
    return y, np.where(right, y, ~y), g


def as_rows(y: np.ndarray, f: np.ndarray, g: np.ndarray) -> tuple[list[bool], list[Judgement], list[str]]:
    return y.tolist(), [Scored(v) for v in f.tolist()], [str(x) for x in g.tolist()]


def selective(seed: int = 3) -> Iterator[dict[str, Any]]:
    """The share of calibration sets whose threshold is too loose, where the truth is known. The confidence is
    honest, or says too much, or stands in eleven steps, or is worth nothing."""
    rng = np.random.default_rng(seed)
    kinds = {
        "honest": (0.5, 0.5, 0),
        "boastful": (0.6, 0.3, 0),
        "in steps": (0.5, 0.5, 10),
        "worthless": (0.85, 0.0, 0),
    }
    for kind, (base, slope, steps) in kinds.items():
        for target in (0.8, 0.9):
            for n in (100, 300):
                wrong = found = 0
                share = 0.0
                for _ in range(RUNS):
                    sure = rng.random(n)
                    if steps:
                        sure = np.round(sure * steps) / steps
                    right = rng.random(n) < base + slope * sure
                    judged = [Scored(bool(r), confidence=float(c)) for c, r in zip(sure, right, strict=True)]
                    rule = accept_threshold([True] * n, judged, target=target)
                    if rule.threshold is not None:
                        found += 1
                        share += rule.coverage
                        wrong += agreement_above(rule.threshold, base, slope, steps) < target
                yield {
                    "part": "selective",
                    "confidence": kind,
                    "target": target,
                    "labels": n,
                    "delta": 0.1,
                    "too_loose": wrong / RUNS,
                    "certified": found / RUNS,
                    "accepted_where_certified": round(share / found, 4) if found else None,
                }


def agreement_above(threshold: float, base: float, slope: float, steps: int) -> float:
    """The true agreement of the rows that are at least so sure."""
    if not steps:
        return base + slope * (1 + threshold) / 2
    at = np.arange(steps + 1) / steps
    weight = np.where((at == 0) | (at == 1), 0.5, 1.0) * (at >= threshold - 1e-9)
    return float(base + slope * (weight * at).sum() / weight.sum())


def margins(seed: int = 4) -> Iterator[dict[str, Any]]:
    """A judge that is exactly the margin worse: how often is it certified as not inferior? The level is .05."""
    rng = np.random.default_rng(seed)
    for groups in (12, 40):
        ours = bootstrap = 0
        names = [str(i // 4) for i in range(4 * groups)]
        for run in range(RUNS):
            lean = 0.2 * rng.uniform(-1, 1, groups)[np.arange(4 * groups) // 4]
            a, b = rng.random(4 * groups) < 0.75 + lean, rng.random(4 * groups) < 0.65 + lean
            gold, old, new = [True] * (4 * groups), [Scored(bool(x)) for x in a], [Scored(bool(x)) for x in b]
            ours += bool(margin_test(gold, old, new, names, BOOL, margin=0.1).non_inferior)
            gap, group = b.astype(float) - a, np.arange(4 * groups) // 4
            draws = resample(lambda w, gap=gap: (w @ gap) / w.sum(1), group, 1000, run)
            bootstrap += float((draws <= -0.1).mean()) <= 0.05
        yield {
            "part": "margins", "groups": groups, "rows": 4 * groups, "level": 0.05,
            "certified_t_on_jackknife": ours / RUNS, "certified_percentile_bootstrap": bootstrap / RUNS,
        }  # fmt: skip


def promotion(seed: int = 5) -> Iterator[dict[str, Any]]:
    """Two judges that are equally good, independent given the label: how often does the paired test reject?"""
    rng = np.random.default_rng(seed)
    for groups, size in ((12, 4), (60, 1), (60, 4)):
        rejected = 0
        n = groups * size
        names = [str(i // size) for i in range(n)]
        for run in range(RUNS):
            y = rng.random(n) < 0.6
            judged = [[Scored(bool(v)) for v in np.where(rng.random(n) < 0.8, y, ~y)] for _ in range(2)]
            old, new, _ = shared(y.tolist(), *judged, names, BOOL)
            rejected += swap_test("kappa", old, new, n_swaps=499, seed=run)[0] <= 0.05
        yield {"part": "promotion", "groups": groups, "rows": n, "level": 0.05, "rejected": rejected / RUNS}


def alarms(seed: int = 6) -> Iterator[dict[str, Any]]:
    """False alarms of a judge that does not change, and how soon a change is found. Alpha is .05."""
    rng = np.random.default_rng(seed)

    def rows(n: int, skill: float) -> TimeRows:
        y = rng.random(n) < 0.6
        said = np.where(rng.random(n) < skill, y, ~y)
        return TimeRows(
            [Scored(bool(v)) for v in said], [str(i // 2) for i in range(n)], [bool(v) for v in y],
            rng.normal(size=(n, 2)),
        )  # fmt: skip

    runs = RUNS // 5
    for kind, late in (("unchanged", 0.85), ("from .85 to .65 in the last two of three windows", 0.65)):
        alarmed = 0
        for run in range(runs):
            windows = {f"w{k}": rows(60, 0.85 if k < 1 else late) for k in range(3)}
            found = drift(rows(120, 0.85), windows, BOOL, seed=100 * run, n_boot=0)
            alarmed += bool(found.alarms)
        yield {"part": "alarms", "what": "windows", "case": kind, "runs": runs, "alarmed": alarmed / runs}
    for kind, slack, late in (
        ("at the floor for 2,000 labels", 0.0, 0.8), ("floor from 100 reference labels", 0.0, 0.85),
        ("from .85 to .65, floor .8", 0.0, 0.65),
    ):  # fmt: skip
        alarmed, first = 0, []
        for _ in range(RUNS):
            floor = 0.8
            if kind.startswith("floor"):
                floor = floor_from(int(rng.binomial(100, 0.85)), 100, alpha=0.05, slack=slack)
            found_at = watch_agreement((rng.random(2000) < late).astype(float), floor).alarm
            alarmed += found_at is not None
            first += [found_at] if found_at is not None else []
        yield {
            "part": "alarms", "what": "watch", "case": kind, "runs": RUNS, "alarmed": alarmed / RUNS,
            "median_labels_to_alarm": float(np.median(first)) if first else None,
        }  # fmt: skip
