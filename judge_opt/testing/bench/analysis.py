"""What a grid's lines say: means, paired differences, ranks. Worlds are the units; arms are paired by world."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.testing.bench.config import BenchConfig
from judge_opt.validate.compare import holm

Floats = npt.NDArray[np.float64]
Line = dict[str, Any]

HARM = 0.05
"""Kappa by which an aligned judge has to be worse than the untouched one to count as harmed."""
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Summary:
    """One arm in one family at one size.

    Attributes:
        kappa, tenth, worst: mean, tenth percentile and least of the worlds' kappas; a world in which
            alignment failed counts with the kappa of the judge that came back, one in which fewer than half of
            the rows got a verdict with 0.
        kappa_all: mean where a row without a verdict counts as wrong by as much as it can be.
        changed: worlds in which the judge came back changed; None where the arm does not say.
        harmed: worlds worse than the arm's baseline by more than `HARM`; None without a baseline.
        calls, tokens: means for alignment, embedding apart.
    """

    family: str
    labels: int
    arm: str
    worlds: int
    kappa: float
    tenth: float
    worst: float
    kappa_all: float
    coverage: float
    failed: int
    changed: int | None
    harmed: int | None
    calls: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The reference's kappa less another arm's, over the worlds that both ran.

    Attributes:
        low, high: paired percentile bootstrap over worlds, 95 %.
        p: two-sided, by flipping signs of the worlds' differences at random, corrected by Holm's method over
            the arms of one family and size.
        settled: whether the interval leaves zero out and p is below 0.05.
    """

    family: str
    labels: int
    arm: str
    worlds: int
    mean: float
    low: float
    high: float
    p: float
    settled: bool


def summaries(lines: Sequence[Line], config: BenchConfig) -> list[Summary]:
    """One for each family, size and arm, in the grid's order."""
    cells = by_cell(lines)
    baselines = {arm.name: arm.baseline for arm in config.arms}
    found = []
    for (family, labels, arm), worlds in cells.items():
        kappas = np.asarray([kappa_of(line) for line in worlds.values()])
        base = cells.get((family, labels, baselines[arm] or ""), {})
        both = [world for world in worlds if world in base]
        harmed = sum(kappa_of(worlds[w]) < kappa_of(base[w]) - HARM for w in both) if baselines[arm] else None

        told = [line["changed"] for line in worlds.values()]

        def mean(name: str, some: dict[int, Line] = worlds) -> float:
            return round(float(np.mean([line[name] for line in some.values()])), 6)

        found.append(
            Summary(
                family,
                labels,
                arm,
                len(worlds),
                round(float(kappas.mean()), 6),
                round(float(np.quantile(kappas, 0.1)), 6),
                round(float(kappas.min()), 6),
                mean("kappa_all"),
                mean("coverage"),
                sum(bool(line["error"]) for line in worlds.values()),
                None if None in told else sum(told),
                harmed,
                mean("align_calls"),
                mean("align_tokens"),
            )
        )
    return found


def differences(lines: Sequence[Line], config: BenchConfig) -> list[Difference]:
    """The reference against each other arm."""
    cells = by_cell(lines)
    found: list[Difference] = []
    for family, labels in dict.fromkeys((family, labels) for family, labels, _ in cells):
        mine = cells.get((family, labels, config.reference), {})
        made = []
        for arm in (one.name for one in config.arms if one.name != config.reference):
            other = cells.get((family, labels, arm), {})
            both = [world for world in mine if world in other]
            if len(both) > 1:
                made.append((arm, np.asarray([kappa_of(mine[w]) - kappa_of(other[w]) for w in both])))
        corrected = holm([_flipped(gaps) for _, gaps in made])
        for (arm, gaps), p in zip(made, corrected, strict=True):
            low, high = _interval(gaps)
            found.append(
                Difference(
                    family,
                    labels,
                    arm,
                    len(gaps),
                    round(float(gaps.mean()), 6),
                    low,
                    high,
                    round(p, 6),
                    (low > 0 or high < 0) and p < 0.05,
                )
            )
    return found


def ranks(lines: Sequence[Line], labels: int) -> tuple[dict[str, float], float, int]:
    """Mean ranks of the arms over all worlds in which every arm ran (1 is best; ties share), the critical
    difference at 5 % (Nemenyi; Demsar, JMLR 2006), and the number of worlds."""
    from scipy.stats import rankdata, studentized_range

    by_world: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for line in lines:
        if line["labels"] == labels:
            by_world[line["family"], line["world"]][line["arm"]] = kappa_of(line)
    arms = list(dict.fromkeys(line["arm"] for line in lines if line["labels"] == labels))
    whole = [[row[arm] for arm in arms] for row in by_world.values() if len(row) == len(arms)]
    if len(whole) < 2 or len(arms) < 2:
        return {}, float("nan"), len(whole)
    table = np.asarray([rankdata([-value for value in row]) for row in whole])
    k, n = len(arms), len(whole)
    quantile = float(studentized_range.ppf(0.95, k, np.inf)) / np.sqrt(2.0)
    critical = float(quantile * np.sqrt(k * (k + 1) / (6.0 * n)))
    return dict(zip(arms, table.mean(axis=0).round(6).tolist(), strict=True)), critical, n


def by_cell(lines: Sequence[Line]) -> dict[tuple[str, int, str], dict[int, Line]]:
    """(family, labels, arm) to world to line."""
    cells: dict[tuple[str, int, str], dict[int, Line]] = defaultdict(dict)
    for line in lines:
        cells[line["family"], line["labels"], line["arm"]][line["world"]] = line
    return cells


def kappa_of(line: Line) -> float:
    """Of a cell; 0 where too few rows got a verdict."""
    return 0.0 if line["kappa"] is None else float(line["kappa"])


def _interval(gaps: Floats) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    means = gaps[rng.integers(0, len(gaps), (_RESAMPLES, len(gaps)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(low), 6), round(float(high), 6)


def _flipped(gaps: Floats) -> float:
    rng = np.random.default_rng(0)
    signs = rng.choice((-1.0, 1.0), (_RESAMPLES, len(gaps)))
    far = np.abs((signs * gaps).mean(axis=1)) >= abs(gaps.mean()) - 1e-12
    return float((1 + far.sum()) / (1 + _RESAMPLES))
