"""How many labels the reference needs to reach what another arm reaches with a given number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from judge_opt.testing.bench.analysis import Line, by_cell, kappa_of
from judge_opt.testing.bench.config import BenchConfig

Floats = npt.NDArray[np.float64]
_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Labels that the reference needs for an arm's mean kappa.

    Attributes:
        labels: how many labels the arm had; `kappa`: its mean with them.
        needed: labels with which the reference's mean reaches `kappa`, interpolated on the logarithm of the number
            of labels; the smallest number that was run where that is enough already, infinity where the largest is
            not enough.
        low, high: 95 % of bootstrap resamples of the worlds.
    """

    family: str
    arm: str
    labels: int
    kappa: float
    needed: float
    low: float
    high: float


def efficiencies(lines: Sequence[Line], config: BenchConfig, labels: int) -> list[Efficiency]:
    """One for each family and arm that was run with `labels` labels, beside the reference."""
    cells = by_cell(lines)
    sizes = sorted({size.labels for size in config.sizes})
    found = []
    for family in config.families:
        mine = {
            n: cells[family, n, config.reference] for n in sizes if (family, n, config.reference) in cells
        }
        for arm in (one.name for one in config.arms if one.name != config.reference):
            theirs = cells.get((family, labels, arm))
            if not theirs or not mine:
                continue
            worlds = sorted(theirs)
            kappas = np.asarray([kappa_of(theirs[w]) for w in worlds])
            curves = np.asarray(
                [[kappa_of(mine[n][w]) if w in mine[n] else np.nan for w in worlds] for n in mine]
            )
            rng = np.random.default_rng(0)
            drawn = rng.integers(0, len(worlds), (_RESAMPLES, len(worlds)))
            some = [_needed(list(mine), _means(curves[:, d]), float(kappas[d].mean())) for d in drawn]
            low, high = np.quantile(some, (0.025, 0.975), method="nearest")
            goal = float(kappas.mean())
            needed = _needed(list(mine), _means(curves), goal)
            found.append(
                Efficiency(
                    family, arm, labels, round(goal, 6), round(needed, 2), round(low, 2), round(high, 2)
                )
            )
    return found


def _means(curves: Floats) -> Floats:
    """Of each row, over the worlds that were run; NaN where none was."""
    counts = (~np.isnan(curves)).sum(axis=1)
    sums = np.nansum(curves, axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _needed(sizes: Sequence[int], means: Floats, goal: float) -> float:
    points = [(n, mean) for n, mean in zip(sizes, means, strict=True) if not np.isnan(mean)]
    before: tuple[int, float] | None = None
    for n, mean in points:
        if mean >= goal:
            if before is None:
                return float(n)
            share = (goal - before[1]) / (mean - before[1])
            return float(np.exp(np.log(before[0]) + share * (np.log(n) - np.log(before[0]))))
        before = (n, float(mean))
    return float("inf")
