"""Many items judged at once: embedded together, judged `concurrency` at a time, returned in input order."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Unscored
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import Parts
from judge_opt.llm.errors import is_fatal
from judge_opt.llm.parallel import map_threads
from judge_opt.memory.vectors import Vectors

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""


def batch(
    judge: "Judge",
    items: Sequence[Any],
    not_groups: Sequence[str | None] | None,
    concurrency: int,
    progress: Progress | None,
) -> list[Feedback]:
    """On threads; see `Judge.batch`."""
    groups = _groups(items, not_groups)
    parts = [judge.parts(item) for item in items]
    vectors = _vectors(judge, parts)
    done = itertools.count(1)

    def one(index: int) -> Feedback:
        feedback = judge.judge_parts(parts[index], vectors.get(index), groups[index])
        if progress is not None:
            progress(next(done), len(items))
        return feedback

    return map_threads(one, range(len(items)), concurrency)


async def abatch(
    judge: "Judge",
    items: Sequence[Any],
    not_groups: Sequence[str | None] | None,
    concurrency: int,
    progress: Progress | None,
) -> list[Feedback]:
    """In an event loop; see `Judge.abatch`. The first error cancels what has not begun."""
    groups = _groups(items, not_groups)
    parts = [judge.parts(item) for item in items]
    vectors = await asyncio.to_thread(_vectors, judge, parts)
    results: list[Any] = [None] * len(items)
    todo = iter(range(len(items)))
    done = itertools.count(1)

    async def work() -> None:
        for index in todo:
            results[index] = await judge.ajudge_parts(parts[index], vectors.get(index), groups[index])
            if progress is not None:
                progress(next(done), len(items))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(max(concurrency, 1), len(items))):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise max(group.exceptions, key=is_fatal) from None
    return results


def _groups(items: Sequence[Any], not_groups: Sequence[str | None] | None) -> Sequence[str | None]:
    if not_groups is None:
        return [None] * len(items)
    if len(not_groups) != len(items):
        raise UsageError(
            f"{len(not_groups)} groups were given for {len(items)} items.", "Give one group an item."
        )
    return not_groups


def _vectors(judge: "Judge", parts: Sequence[Parts | Unscored]) -> dict[int, Vectors]:
    """Position to vector, of the items that can be judged, where the judge's memory needs them."""
    if judge.memory is None or not judge.memory.needs_vectors:
        return {}
    whole = {i: part for i, part in enumerate(parts) if not isinstance(part, Unscored)}
    if not whole:
        return {}
    return dict(zip(whole, judge.embed(list(whole.values())), strict=True))
