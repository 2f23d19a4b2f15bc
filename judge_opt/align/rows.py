"""Training rows, checked and judged: where every optimizer starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import DataError, ModelError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import printable
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.evidence import from_json
from judge_opt.memory.memory import Memory

MIN_LABELS = 10


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A labelled row with the parts that the judge sees and what the untouched judge said."""

    example: LabelledExample
    parts: dict[str, Any]
    gold: Value
    judged: Judgement


def check_training(
    judge: Judge,
    train: Sequence[LabelledExample],
    parts_of: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[tuple[LabelledExample, dict[str, Any]]]:
    """Rows with a gold label and every part that the template names, sorted by id; contested rows (no
    majority among the raters) are left out.

    Args:
        parts_of: id to parts, of rows whose fields are not there any more.

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
        kept = (parts_of or {}).get(example.id)
        parts = judge.parts(example.fields) if kept is None else dict(kept)
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


def rows_of_memory(
    judge: Judge,
    train: Sequence[LabelledExample],
    before: Memory | None,
    ask: Callable[[Sequence[LabelledExample]], list[Judgement]],
) -> tuple[tuple[list[TrainingRow], frozenset[str]], int]:
    """The training rows and those that a memory holds already, as the untouched judge judged them, sorted by id.

    Args:
        judge: untouched.
        before: what it had learned; of an example that `train` has too, `train`'s version counts.
        ask: what the untouched judge says of rows; asked about those only that the memory says nothing of.

    Returns:
        rows, and the ids of those that are new or whose item or labels changed; and how many of `train` were
        left out as contested.

    Raises:
        DataError: see `check_training`; all rows together are checked.
        ModelError: the judge could judge none of the rows; the first reason is named.
    """
    known = {} if before is None else {e.id: e for e in episodes_of(before)}
    given = {example.id for example in train}
    kept = [_as_example(e) for id, e in known.items() if id not in given]
    parts_of = {e.id: e.parts for e in known.values()}
    checked = check_training(judge, [*train, *kept], parts_of={e.id: parts_of[e.id] for e in kept})
    fresh = frozenset(
        example.id
        for example, parts in checked
        if example.id in given and not _same(known.get(example.id), example, parts)
    )
    said: dict[str, Judgement] = {}
    if before is not None:
        for example, _ in checked:
            data = before.evidence.get(example.id, {}).get("plain")
            if example.id not in fresh and data is not None:
                said[example.id] = from_json(data, judge.value_type)
    asked = [(example, parts) for example, parts in checked if example.id not in said]
    whole = [example for example, _ in asked if example.id in given]
    said |= {e.id: j for e, j in zip(whole, ask(whole) if whole else [], strict=True)}
    said |= {e.id: judge.ask(parts) for e, parts in asked if e.id not in given}
    rows = [TrainingRow(e, parts, e.gold, said[e.id]) for e, parts in checked if e.gold is not None]
    if not any(isinstance(row.judged, Scored) for row in rows):
        first = rows[0].judged
        reason = f"{first.reason}: {first.detail}" if isinstance(first, Unscored) else ""
        raise ModelError(
            f"The judge {judge.name!r} could judge none of {len(rows)} training rows ({printable(reason)[:200]}).",
            f"Try one row by hand, and look at the model {judge.model}.",
        )
    contested = sum(example.gold is None for example in train)
    return (rows, fresh), contested


def episodes_of(memory: Memory) -> tuple[Episode, ...]:
    """The examples of a memory that holds them itself.

    Raises:
        DataError: they are in a store of their own, which an alignment does not read whole.
    """
    if not isinstance(memory.episodic, EpisodicMemory):
        raise DataError(
            f"The judge's {len(memory.episodic)} examples are in a file of their own.",
            "Add and remove examples there; align a judge whose examples are inside it.",
        )
    return memory.episodic.episodes


def _as_example(episode: Episode) -> LabelledExample:
    """An episode of memory as a labelled row. Its fields are gone; its parts are there."""
    votes = episode.ballots or tuple(
        Vote(f"rater {k}", episode.gold, episode.rationale if k == 0 else None, source)
        for k, source in enumerate(episode.sources or ("",))
    )
    return LabelledExample(episode.id, episode.group, {}, votes)


def _same(episode: Episode | None, example: LabelledExample, parts: Mapping[str, Any]) -> bool:
    if episode is None or not episode.ballots:
        return False
    votes = tuple(sorted(example.votes, key=lambda vote: vote.rater))
    return dict(episode.parts) == dict(parts) and episode.ballots == votes and episode.group == example.group


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
