"""Training rows, checked and judged: where every optimizer starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import DataError, ModelError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import printable
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.memory.episodic import Episode

MIN_LABELS = 10


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A labelled row with the parts that the judge sees and what the untouched judge said."""

    example: LabelledExample
    parts: dict[str, Any]
    gold: Value
    judged: Judgement


def check_training(
    judge: Judge, train: Sequence[LabelledExample]
) -> list[tuple[LabelledExample, dict[str, Any]]]:
    """Rows with a gold label and every part that the template names, sorted by id; contested rows (no
    majority among the raters) are left out.

    Raises:
        DataError: too few rows, one class only, or a row lacks a part: before any call is bought.
    """
    if judge.value_type.scale == "free":
        raise DataError(
            f"The judge {judge.name!r} gives {judge.value_type.kind} values without a scale: there is no "
            "measure of agreement to climb.",
            "Align a judge with bool, Literal, ordered, int, float or preference values.",
        )
    usable = sorted((e for e in train if e.gold is not None), key=lambda e: e.id)
    rows: list[tuple[LabelledExample, dict[str, Any]]] = []
    for example in usable:
        parts = judge.parts(example.fields)
        if isinstance(parts, Unscored):
            raise DataError(
                f"Row {example.id!r}: {parts.detail}, which the judge's template names.",
                "Add it to the rows, or take the variable out of the template.",
            )
        rows.append((example, parts))
    if len(rows) < MIN_LABELS:
        raise DataError(
            f"{len(rows)} labelled training rows are too few to align on ({len(train)} given).",
            f"Label at least {MIN_LABELS}; 50 to 100 are better.",
        )
    if (
        judge.value_type.is_choice
        and len({judge.value_type.text_of(e.gold) for e, _ in rows if e.gold is not None}) < 2
    ):
        raise DataError(
            f"All {len(rows)} training labels are {rows[0][0].gold!r}: there is nothing to learn.",
            "Label rows of at least two kinds.",
        )
    return rows


def judge_rows(
    judge: Judge,
    rows: Sequence[tuple[LabelledExample, dict[str, Any]]],
    concurrency: int,
    progress: Callable[[int, int], None],
) -> list[TrainingRow]:
    """What the untouched judge says of the training rows.

    Raises:
        ModelError: it could judge none of them; the first reason is named.
    """
    untouched = judge.with_memory(None)
    said = untouched.batch([e.fields for e, _ in rows], concurrency=concurrency, progress=progress)
    judged = [
        TrainingRow(e, parts, e.gold, f.result)
        for (e, parts), f in zip(rows, said, strict=True)
        if e.gold is not None
    ]
    if not any(isinstance(row.judged, Scored) for row in judged):
        first = judged[0].judged
        reason = f"{first.reason}: {first.detail}" if isinstance(first, Unscored) else ""
        raise ModelError(
            f"The judge {judge.name!r} could judge none of {len(judged)} training rows ({printable(reason)[:200]}).",
            f"Try one row by hand, and look at the model {judge.model}.",
        )
    return judged


def episode_of(row: TrainingRow, judge: Judge) -> Episode:
    """A training row as an episode of memory."""
    return Episode.of_votes(
        row.example.id,
        row.example.group,
        row.parts,
        row.example.votes,
        judge.value_type,
        missed=not (isinstance(row.judged, Scored) and row.judged.value == row.gold),
    )
