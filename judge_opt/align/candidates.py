"""Which form of the judge to keep: compared on training rows whose group each form did not learn from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from judge_opt.align.objective import agreement
from judge_opt.align.rows import TrainingRow
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.judges.decide import decide
from judge_opt.judges.judge import distribution
from judge_opt.memory.fusion import held_out_fusion

Floats = npt.NDArray[np.float64]
MARGIN = 0.01
"""A dearer form must agree better by more than this."""
MIN_COVERAGE = 0.9
"""A form that judges a smaller share than this of what the untouched judge judges is out: the others would be
compared on the few rows that it left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One form of the judge.

    Attributes:
        judged: what it says of each training row, its group held out.
        cost: rank by price of a judgement; 0 is the untouched judge.
        sources: held-out distributions of the examples alone, to be fused with `judged`; None: no fusion.
    """

    name: str
    judged: Sequence[Judgement]
    cost: int
    sources: Mapping[str, Floats] | None = None


def choose(
    candidates: Sequence[Candidate],
    rows: Sequence[TrainingRow],
    value_type: ValueType,
    groups: Sequence[str],
    seed: int,
    learned_from: Collection[str] = (),
) -> tuple[Candidate, dict[str, tuple[float, int]]]:
    """The cheapest candidate within `MARGIN` of the best, on the rows that every one of them judged.

    Args:
        candidates: the untouched judge first.
        learned_from: ids of rows that a candidate has learned from in full (guidelines distilled from them):
            they fit fusion, and score nobody.

    Returns:
        the candidate, and name to (agreement, rows). A candidate below `MIN_COVERAGE` is not in the table.
    """
    covered = [sum(isinstance(j, Scored) for j in c.judged) for c in candidates]
    candidates = [c for c, n in zip(candidates, covered, strict=True) if n >= MIN_COVERAGE * covered[0]]
    common = [i for i in range(len(rows)) if all(isinstance(c.judged[i], Scored) for c in candidates)]
    gold = [rows[i].gold for i in common]
    clean = [at for at, i in enumerate(common) if rows[i].example.id not in learned_from]
    table: dict[str, tuple[float, int]] = {}
    for candidate in candidates:
        scored = [j for i in common if isinstance(j := candidate.judged[i], Scored)]
        if candidate.sources is None:
            values = [j.value for j in scored]
        else:
            own = np.asarray([distribution(j, value_type) for j in scored])
            labels = value_type.choices()
            places = np.asarray([labels.index(value_type.text_of(g)) for g in gold], dtype=np.int64)
            sources = {"judge": own} | {name: odds[common] for name, odds in candidate.sources.items()}
            fused = held_out_fusion(sources, places, [groups[i] for i in common], seed)
            values = [decide(dict(zip(labels, odds.tolist(), strict=True)), value_type) for odds in fused]
        score = agreement([gold[at] for at in clean], [values[at] for at in clean], value_type)
        table[candidate.name] = (score, len(clean))
    top = max(score for score, _ in table.values())
    good = [c for c in candidates if table[c.name][0] >= top - MARGIN]
    return min(good, key=lambda c: c.cost), table
