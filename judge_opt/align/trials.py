"""Does a guideline earn its place? Tried on labelled rows that it was not distilled from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from judge_opt.align.objective import agreement
from judge_opt.align.rows import TrainingRow
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge
from judge_opt.llm.parallel import map_threads
from judge_opt.memory.guidelines import Guideline

CHUNK = 8


def gain(before: Judgement, after: Judgement, row: TrainingRow, value_type: ValueType) -> float | None:
    """How much better the second judgement fits the experts' label: difference of its log probability, or
    of right and wrong where the endpoint gives no probabilities. None where either is no verdict: a
    failure is no evidence."""
    if not isinstance(before, Scored) or not isinstance(after, Scored):
        return None
    if before.probabilities is None or after.probabilities is None:
        return float(after.value == row.gold) - float(before.value == row.gold)
    label = value_type.text_of(row.gold)
    return math.log(max(after.probabilities[label], 1e-4)) - math.log(max(before.probabilities[label], 1e-4))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; (0, inf) below three values."""
    if len(values) < 3:
        return 0.0, math.inf
    mean = sum(values) / len(values)
    spread = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean, math.sqrt(spread / len(values))


def try_guidelines(
    judge: Judge,
    guidelines: Sequence[Guideline],
    rows: Sequence[TrainingRow],
    *,
    together: int,
    alone: int,
    concurrency: int,
    tell: Callable[[int, int], None],
) -> tuple[Guideline, ...]:
    """Keep what helps: all at once where they help together, else each alone in a race that drops the
    harmful after a few rows; what is kept of those must help together as well.

    Args:
        rows: none of them among the guidelines' sources.
        together, alone: at most this many rows for the whole set and for each guideline.

    Returns:
        every guideline, active or retired, with what was measured.
    """

    def right(judged: Sequence[Judgement], among: Sequence[TrainingRow]) -> float:
        pairs = [(r.gold, j.value) for r, j in zip(among, judged, strict=True) if isinstance(j, Scored)]
        return agreement([g for g, _ in pairs], [v for _, v in pairs], judge.value_type)

    def helps(some: Sequence[Guideline], among: Sequence[TrainingRow]) -> tuple[list[float], bool]:
        """Gains by row, and whether they are more than chance and a shift of all probabilities: a rule
        that only makes the judge less sure gains in log probability, and agrees no better."""
        after = map_threads(lambda row: judge.ask(row.parts, guidelines=some), among, concurrency)
        found = [gain(r.judged, a, r, judge.value_type) for r, a in zip(among, after, strict=True)]
        kept = [g for g in found if g is not None]
        mean, error = mean_and_error(kept)
        return kept, mean - error > 0 and right(after, among) > right([r.judged for r in among], among)

    def gains(some: Sequence[Guideline], among: Sequence[TrainingRow]) -> list[float]:
        after = map_threads(lambda row: judge.ask(row.parts, guidelines=some), among, concurrency)
        found = [gain(r.judged, a, r, judge.value_type) for r, a in zip(among, after, strict=True)]
        return [g for g in found if g is not None]

    most = together + len(guidelines) * alone
    tell(0, most)
    trial = rows[:together]
    whole, good = helps(guidelines, trial)
    mean, error = mean_and_error(whole)
    tell(len(trial), most)
    if good:
        return tuple(_settled(g, whole, mean, "helped, with the others") for g in guidelines)
    raced = []
    for place, guideline in enumerate(guidelines):
        seen: list[float] = []
        for start in range(0, min(alone, len(rows)), CHUNK):
            seen += gains([guideline], rows[start : start + CHUNK])
            mean, error = mean_and_error(seen)
            if mean + error < 0:
                break
        tell(min(len(trial) + (place + 1) * alone, most), most)
        raced.append((guideline, seen, mean, error))
    kept = [g for g, _, mean, error in raced if mean - error > 0]
    stays = False
    if kept:
        stays = helps(kept, trial)[1]
    tell(most, most)
    return tuple(
        _settled(g, seen, mean, "helped" if stays else "helped alone, not with the others")
        if g in kept and stays
        else replace(_settled(g, seen, mean, "did not help"), state="retired")
        for g, seen, mean, _ in raced
    )


def _settled(guideline: Guideline, gains: Sequence[float], mean: float, why: str) -> Guideline:
    return replace(
        guideline,
        support=sum(g > 0 for g in gains),
        contradict=sum(g < 0 for g in gains),
        uplift=round(mean, 4),
        why=why,
    )
