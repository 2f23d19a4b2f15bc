"""Does a guideline earn its place? Tried alone on labelled rows that it was not distilled from.

The judge is asked once for a row and a guideline. How far its answer moves says what the guideline makes of
the row; a regression of the experts' labels on all these moves says which guidelines explain them, the others
being there too. Few rows cannot tell much, so the weights are drawn to a prior: what was distilled from
experts' reasons is more likely right than wrong. A guideline is retired where its weight ends up low in spite
of that. The regression sees every guideline on every row it was tried on, which needs far fewer calls than
comparing sets of guidelines (docs/design.md, "Guidelines are weighed together").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from judge_opt.align.rows import TrainingRow
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge, distribution
from judge_opt.llm.parallel import map_threads
from judge_opt.memory.fusion import log_odds
from judge_opt.memory.guidelines import Guideline

Floats = npt.NDArray[np.float64]
PRIOR, SPREAD = 0.2, 0.3
"""Mean and standard deviation of a guideline's weight before it was tried. On a judge whose probabilities are
calibrated, a right guideline's weight is about what the others leave of 1."""
LEAST = 0.05
"""Weight below which a guideline is retired."""
MOVED = 0.05
"""A gain in log probability (or in standard deviations of the labels) that counts as one."""
ROUND = 4
"""Rows of one round; what is clearly bad after it is tried no further."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One guideline alone on one row.

    Attributes:
        guideline, row: positions.
        judged: what the judge says with it.
    """

    guideline: int
    row: int
    judged: Judgement


def try_guidelines(
    judge: Judge,
    guidelines: Sequence[Guideline],
    rows: Sequence[TrainingRow],
    clean: Sequence[Sequence[int]],
    *,
    calls: int,
    concurrency: int,
    tell: Callable[[int, int], None],
) -> tuple[tuple[Guideline, ...], list[float]]:
    """Try each guideline on rows that are clean for it, in rounds, within `calls` calls.

    Args:
        clean: for each guideline the positions of rows that it was not distilled from, in the order in which
            they are to be used.

    Returns:
        every guideline with what was measured, active or retired, and their weights.
    """
    trials: list[Trial] = []
    used = [0] * len(guidelines)
    weights = [PRIOR] * len(guidelines)
    tell(0, calls)
    while True:
        still = [
            g
            for g in range(len(guidelines))
            if used[g] < len(clean[g]) and (not used[g] or weights[g] > -LEAST)
        ]
        size = min(ROUND, (calls - len(trials)) // len(still)) if still else 0
        if size < 1:
            break
        cells = [(g, i) for g in still for i in clean[g][used[g] : used[g] + size]]
        for g in still:
            used[g] += size

        def one(cell: tuple[int, int]) -> Trial:
            g, i = cell
            return Trial(g, i, judge.ask(rows[i].parts, guidelines=[replace(guidelines[g], state="active")]))

        trials += map_threads(one, cells, concurrency)
        tell(len(trials), calls)
        weights = weigh(trials, rows, len(guidelines), judge.value_type)
    tell(calls, calls)
    return tuple(
        _settled(guidelines[g], [t for t in trials if t.guideline == g], rows, judge.value_type, weights[g])
        for g in range(len(guidelines))
    ), weights


def weigh(trials: Sequence[Trial], rows: Sequence[TrainingRow], n: int, value_type: ValueType) -> list[float]:
    """The weight of each of `n` guidelines, by penalized maximum likelihood on all trials; failed ones, and
    rows that the untouched judge could not judge, say nothing."""
    if value_type.is_choice:
        return _weigh_choices(trials, rows, n, value_type)
    found: dict[int, Floats] = {}
    base: dict[int, tuple[float, float]] = {}
    for t in trials:
        before, after, gold = rows[t.row].judged, t.judged, value_type.number_of(rows[t.row].gold)
        if isinstance(before, Scored) and isinstance(after, Scored) and gold is not None:
            b, a = value_type.number_of(before.value), value_type.number_of(after.value)
            if a is not None and b is not None:
                base[t.row] = (gold, b)
                found.setdefault(t.row, np.zeros(n))[t.guideline] = a - b
    if len(found) < 3:
        return [PRIOR] * n
    order = sorted(found)
    gold_, start = np.asarray([base[i] for i in order]).T
    scale = max(float(gold_.std()), 1e-6)
    moves = np.stack([found[i] for i in order]) / scale
    rest = (gold_ - start) / scale
    rest = rest - rest.mean() - (moves - moves.mean(axis=0)) @ np.full(n, PRIOR)
    centred = moves - moves.mean(axis=0)
    learned = np.linalg.solve(centred.T @ centred + np.eye(n) / SPREAD**2, centred.T @ rest)
    return [float(w) for w in np.round(PRIOR + learned, 6)]


def _weigh_choices(
    trials: Sequence[Trial], rows: Sequence[TrainingRow], n: int, value_type: ValueType
) -> list[float]:
    from scipy.optimize import minimize

    labels = value_type.choices()
    base: dict[int, Floats] = {}
    moves: dict[int, Floats] = {}
    for t in trials:
        before, after = rows[t.row].judged, t.judged
        if isinstance(before, Scored) and isinstance(after, Scored):
            start = log_odds(np.asarray([distribution(before, value_type)]))[0]
            base[t.row] = start
            moved = log_odds(np.asarray([distribution(after, value_type)]))[0] - start
            moves.setdefault(t.row, np.zeros((n, len(labels))))[t.guideline] = moved
    if not base:
        return [PRIOR] * n
    order = sorted(base)
    x = np.concatenate([np.stack([base[i] for i in order])[:, None], np.stack([moves[i] for i in order])], 1)
    gold = np.asarray([labels.index(value_type.text_of(rows[i].gold)) for i in order])
    at, centre = np.arange(len(order)), np.asarray([0.0, *[PRIOR] * n])
    spread = np.asarray([1.0, *[SPREAD] * n])

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, bias = point[: n + 1], point[n + 1 :]
        logits = np.einsum("g,igl->il", weights, x) + bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        odds /= odds.sum(axis=1, keepdims=True)
        pull = (weights - centre) / spread**2
        value = -np.log(odds[at, gold] + 1e-300).sum() + 0.5 * float(pull @ (weights - centre))
        odds[at, gold] -= 1.0
        slope = np.concatenate([np.einsum("igl,il->g", x, odds) + pull, odds.sum(axis=0) + bias])
        return float(value + 0.5 * bias @ bias), slope

    start_at = np.concatenate([centre, np.zeros(len(labels))])
    found = minimize(loss, start_at, jac=True, method="L-BFGS-B")
    return [float(w) for w in np.round(found.x[1 : n + 1], 6)]


def gain(before: Judgement, after: Judgement, row: TrainingRow, value_type: ValueType) -> float | None:
    """How much better the second judgement fits the experts' label: difference of its log probability, or
    of the distance on a numeric scale. None where either is no verdict: a failure is no evidence."""
    if not isinstance(before, Scored) or not isinstance(after, Scored):
        return None
    if not value_type.is_choice:
        gold = value_type.number_of(row.gold)
        b, a = value_type.number_of(before.value), value_type.number_of(after.value)
        return None if gold is None or a is None or b is None else abs(gold - b) - abs(gold - a)
    place = value_type.choices().index(value_type.text_of(row.gold))
    odds = np.asarray([distribution(before, value_type), distribution(after, value_type)])
    logged = log_odds(odds)
    return float(logged[1, place] - logged[0, place])


def _settled(
    guideline: Guideline,
    trials: Sequence[Trial],
    rows: Sequence[TrainingRow],
    value_type: ValueType,
    weight: float,
) -> Guideline:
    """The guideline with what was measured of it."""
    gains = [gain(rows[t.row].judged, t.judged, rows[t.row], value_type) for t in trials]
    known = [g for g in gains if g is not None]
    if not known:
        return replace(guideline, why=guideline.why or "not tried")
    better, worse = sum(g > MOVED for g in known), sum(g < -MOVED for g in known)
    helped = weight >= LEAST and better > 0
    stays = helped or guideline.pinned
    fault = "" if helped else (f", less than {LEAST}" if better else ", and it helped on none")
    return replace(
        guideline,
        support=better,
        contradict=worse,
        uplift=round(sum(known) / len(known), 4),
        leads_to=_leads_to(trials, rows, value_type),
        state="active" if stays else "retired",
        why=f"weight {weight:.2f} on {len(known)} rows it was found without{fault}",
    )


def _leads_to(trials: Sequence[Trial], rows: Sequence[TrainingRow], value_type: ValueType) -> str:
    if not value_type.is_choice:
        return ""
    moved = np.zeros(len(value_type.choices()))
    for t in trials:
        before = rows[t.row].judged
        if isinstance(before, Scored) and isinstance(t.judged, Scored):
            moved += np.asarray(distribution(t.judged, value_type)) - distribution(before, value_type)
    return value_type.choices()[int(moved.argmax())] if moved.max() > 1e-9 else ""
