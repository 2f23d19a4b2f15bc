"""What people say of a gain: the outputs before and after, blind, and the gain that their labels give.

    queue = result.queue("support gain", "quality", rows=20)    # a label schema that is there
    ...                                                         # people label
    print(result.corrected_gain(queue).text())

Few labels and many verdicts together, by PPI++ (see `judge_opt.validate.corrected`): the rows that people see are drawn
by lot, so that the judges' error is measured on them and taken out of the gain on all. Half of them are drawn from the
rows where the judges see a gain, which are the ones to look at, and the estimate is made in each half.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.prompts.objectives import Aim, Objective, aims_of
from judge_opt.traces.schema import Trace
from judge_opt.validate.corrected import corrected_mean
from judge_opt.validate.corrected_estimate import Corrected

if TYPE_CHECKING:
    from judge_opt.labels.queues.queue import LabelQueue

_LEAST = 4
"""Rows of a stratum at least."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One row of the comparison, side by side.

    Attributes:
        before, after: the agent's output with the seed and with the best prompt; None where it failed.
        score_before, score_after: None where the row has none.
    """

    id: str
    group: str
    inputs: Any
    expectations: Any
    before: Any
    after: Any
    score_before: float | None
    score_after: float | None

    @property
    def gain(self) -> float | None:
        """None where one of the two has no score."""
        if self.score_before is None or self.score_after is None:
            return None
        return self.score_after - self.score_before


def make_queue(
    rows: Sequence[ComparedRow], name: str, schema: Any, n: int, seed: int, store: Any, **options: Any
) -> "LabelQueue":
    """A blind queue with the outputs before and after of `n` rows that are drawn by lot, as items of their own.

    Args:
        schema: a label schema, its id or its name.
        options: as of `create_queue`.

    Raises:
        UsageError: there is nothing to compare; and see `create_queue`.
    """
    from judge_opt.labels.queues.making import create_queue

    traces = [
        Trace(_trace_id(row, side), row.inputs, output, dict(row.expectations or {}))
        for row in drawn(rows, n, seed)
        if row.before != row.after
        for side, output in (("before", row.before), ("after", row.after))
        if output is not None
    ]
    if not traces:
        raise UsageError("No drawn row has another output than before.", "Draw more rows.")
    return create_queue(name, traces, schema, seed=seed, store=store, **options)


def drawn(rows: Sequence[ComparedRow], n: int, seed: int) -> list[ComparedRow]:
    """`n` rows by lot: half of those with a gain and half of the others, where there are two kinds."""
    rng = random.Random(f"{seed} people")
    kinds = strata_of(rows)
    if kinds is None:
        return rng.sample(list(rows), min(n, len(rows)))
    parts = [
        [row for row, kind in zip(rows, kinds, strict=True) if kind == name] for name in sorted(set(kinds))
    ]
    parts.sort(key=len)
    few = rng.sample(parts[0], min(len(parts[0]), max(2, n // 2)))
    return few + rng.sample(parts[1], min(len(parts[1]), max(2, n - len(few))))


def strata_of(rows: Sequence[ComparedRow]) -> list[str] | None:
    """ "gain" or "none" of each row; None where one kind has few rows, or a group has both."""
    kinds = ["gain" if (row.gain or 0.0) > 0 else "none" for row in rows]
    of_group: dict[str, set[str]] = {}
    for row, kind in zip(rows, kinds, strict=True):
        of_group.setdefault(row.group, set()).add(kind)
    split = all(len(found) == 1 for found in of_group.values())
    return kinds if split and min(kinds.count("gain"), kinds.count("none")) >= _LEAST else None


def corrected_gain(
    rows: Sequence[ComparedRow],
    labelled: Sequence[LabelledExample],
    value_type: ValueType,
    objective: Objective | None,
    n: int,
    seed: int,
    confidence: float,
) -> Corrected:
    """The mean gain that people would see on all rows.

    Args:
        labelled: what people say of the items of `make_queue`; a row whose two outputs are equal is no item, and
            has no gain.
        n, seed: as of `make_queue`.

    Raises:
        UsageError: it is not known which labels are better.
        DataError: no label belongs to these rows.
    """
    (aim,) = aims_of([_People(value_type)], None if objective is None else {_People.name: objective})
    scores = {one.id: _mean(one, aim) for one in labelled}
    asked = {row.id for row in drawn(rows, n, seed)}
    gold: list[float | None] = []
    for row in rows:
        old, new = scores.get(_trace_id(row, "before")), scores.get(_trace_id(row, "after"))
        if row.id not in asked:
            gold.append(None)
        elif row.before == row.after:
            gold.append(0.0)
        else:
            gold.append(None if old is None or new is None else new - old)
    if not any(_trace_id(row, side) in scores for row in rows for side in ("before", "after")):
        raise DataError(
            "None of the labels is of an output of this comparison.",
            "Label the queue that result.queue(...) made, and pass it.",
        )
    said: list[Judgement] = [
        Unscored("missing_input", "no score") if row.gain is None else Scored(float(row.gain)) for row in rows
    ]
    return corrected_mean(
        gold,
        said,
        [row.group for row in rows],
        ValueType("float"),
        strata=strata_of(rows),
        confidence=confidence,
    )


class _People:
    """What `aims_of` wants of a scorer."""

    name = "people"

    def __init__(self, value_type: ValueType) -> None:
        self.value_type: ValueType | None = value_type


def _mean(labelled: LabelledExample, aim: Aim) -> float | None:
    scores = [aim.score(Scored(vote.value)) for vote in labelled.votes]
    known = [one for one in scores if one is not None]
    return float(np.mean(known)) if known else None


def _trace_id(row: ComparedRow, side: str) -> str:
    """Of an item. It does not tell which side it is."""
    output: Mapping[str, Any] = {"row": row.id, "inputs": row.inputs, "side": side}
    return f"prompts-{content_hash([output, row.before, row.after])[:24]}"
