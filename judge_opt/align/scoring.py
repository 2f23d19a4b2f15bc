"""Candidates against each other, on rows that all of them judged: a failing row changes nobody's score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judge_opt.align.objective import Metric
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample

MIN_COVERAGE = 0.9
"""A candidate that judges a smaller share than this of what the untouched judge judges is out: the others would
be compared on the few rows that it left."""
DRAWS = 400
"""Resamples of the no-harm test."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Attributes:
    score: by the metric, on `rows` rows; None where there is none.
    coverage: share of the rows given that were judged.
    """

    score: float | None
    rows: int
    coverage: float


@dataclass(frozen=True, slots=True)
class NoHarm:
    """Attributes:
    keep: the change is better than no change, surely enough.
    before, after: scores on the rows that both judged, `rows` of them.
    low: lower bound of the gain at the confidence that was asked for.
    why: the decision in words.
    better: share of resamples in which the change is better.
    """

    keep: bool
    before: float | None
    after: float | None
    rows: int
    low: float | None
    why: str
    better: float = 0.0


def measure(
    metric: Metric, rows: Sequence[LabelledExample], judged: Sequence[Judgement], value_type: ValueType
) -> Measured:
    """One candidate alone, on what it judged."""
    kept = [(row, j) for row, j in zip(rows, judged, strict=True) if isinstance(j, Scored)]
    if not kept:
        return Measured(None, 0, 0.0)
    score = metric.pooled([row for row, _ in kept], [j for _, j in kept], value_type)
    return Measured(score, len(kept), len(kept) / len(rows))


def compare(
    metric: Metric,
    rows: Sequence[LabelledExample],
    candidates: Mapping[str, Sequence[Judgement]],
    value_type: ValueType,
    floor: float = MIN_COVERAGE,
) -> dict[str, Measured]:
    """Every candidate on the rows that all of them judged.

    Args:
        candidates: name to judgements, one a row; the untouched judge first.
        floor: of coverage, as a share of the untouched judge's.

    Returns:
        by name, in order. One below the floor has no score, and does not shrink the others' rows.
    """
    covered = {name: sum(isinstance(j, Scored) for j in said) for name, said in candidates.items()}
    first = next(iter(covered.values()), 0)
    able = [name for name, n in covered.items() if n and n >= floor * first]
    common = [i for i in range(len(rows)) if all(isinstance(candidates[name][i], Scored) for name in able)]
    table: dict[str, Measured] = {}
    for name, said in candidates.items():
        share = covered[name] / len(rows) if rows else 0.0
        if name not in able or not common:
            table[name] = Measured(None, 0, share)
            continue
        scored = [j for i in common if isinstance(j := said[i], Scored)]
        score = metric.pooled([rows[i] for i in common], scored, value_type)
        table[name] = Measured(score, len(common), share)
    return table


def best_of(table: Mapping[str, Measured], margin: float = 0.0) -> str:
    """The first candidate within `margin` of the best score: give the cheap ones first. The first of all where
    none has a score."""
    scores = {name: found.score for name, found in table.items() if found.score is not None}
    if not scores:
        return next(iter(table))
    top = max(scores.values())
    return next(name for name, score in scores.items() if score >= top - margin)


def no_harm(
    metric: Metric,
    rows: Sequence[LabelledExample],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    value_type: ValueType,
    *,
    seed: int = 0,
    sure: float = 0.8,
    floor: float = MIN_COVERAGE,
) -> NoHarm:
    """Is a change better than none, on rows that it did not learn from?

    Args:
        rows: held out from what made `after`, or cross-fitted; whole groups are resampled.
        before, after: judgements without and with the change, one a row.
        sure: share of resamples in which it must be better. With few rows a stricter one keeps nothing.

    Returns:
        the decision; a draw is no reason to change.
    """
    table = compare(metric, rows, {"before": before, "after": after}, value_type, floor)
    old, new = table["before"], table["after"]
    if old.score is None or new.score is None:
        why = f"with it {new.coverage:.0%} of {len(rows)} rows are judged, without it {old.coverage:.0%}"
        return NoHarm(False, old.score, new.score, 0, None, why)
    both = [
        (row, b, a)
        for row, b, a in zip(rows, before, after, strict=True)
        if isinstance(b, Scored) and isinstance(a, Scored)
    ]
    gains = _gains(
        metric, [one[0] for one in both], [one[1] for one in both], [one[2] for one in both], value_type, seed
    )
    low = float(np.quantile(gains, 1 - sure))
    better = float(np.mean([gain > 1e-9 for gain in gains]))
    keep = new.score > old.score and better >= sure
    why = f"{metric.name} {old.score:.3f} without, {new.score:.3f} with; better in {better:.0%} of resamples"
    return NoHarm(keep, old.score, new.score, len(both), low, why, better)


def _gains(
    metric: Metric,
    rows: Sequence[LabelledExample],
    before: Sequence[Scored],
    after: Sequence[Scored],
    value_type: ValueType,
    seed: int,
) -> list[float]:
    """The gain in `DRAWS` resamples of whole groups."""
    by_group: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        by_group.setdefault(row.group, []).append(place)
    names = sorted(by_group)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(names), size=len(names)) for _ in range(DRAWS)]
    if metric.sums is not None and metric.finish is not None:
        counts = np.zeros((DRAWS, len(rows)))
        for draw, some in enumerate(drawn):
            times = np.bincount(some, minlength=len(names))
            for at, name in enumerate(names):
                counts[draw, by_group[name]] = times[at]
        sides = [counts @ metric.sums(rows, side, value_type) for side in (before, after)]
        return [
            metric.finish(new, value_type) - metric.finish(old, value_type)
            for old, new in zip(sides[0], sides[1], strict=True)
        ]
    gains = []
    for some in drawn:
        places = [i for g in some for i in by_group[names[g]]]
        chosen = [rows[i] for i in places]
        with_it = metric.pooled(chosen, [after[i] for i in places], value_type)
        gains.append(with_it - metric.pooled(chosen, [before[i] for i in places], value_type))
    return gains
