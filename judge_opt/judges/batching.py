"""Many items judged at once: embedded together, judged `concurrency` at a time, returned in input order.

Where the judge's endpoint can be asked from an event loop, `batch` runs one in a thread of its own: a hundred
waiting calls cost a loop far less than a hundred threads. Other judges (local models, juries, agents, checks)
are judged on threads. From outside the two cannot be told apart.
"""

import asyncio
import contextvars
import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Unscored
from judge_opt.judges.bar import Progress, Wanted, shown
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import Parts
from judge_opt.llm.engine import slots
from judge_opt.llm.errors import is_fatal
from judge_opt.llm.parallel import map_threads
from judge_opt.llm.retry import cancelled
from judge_opt.memory.vectors import Vectors

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge

_AHEAD = 8
"""One row for so many in flight is prepared, or stored, besides those that are in flight."""


def batch(
    judge: "Judge",
    items: Sequence[Any],
    not_groups: Sequence[str | None] | None,
    concurrency: int,
    progress: Wanted,
) -> list[Feedback]:
    """See `Judge.batch`."""
    with shown(progress, judge.name, len(items)) as told:
        return _batch(judge, items, not_groups, concurrency, told)


def _batch(
    judge: "Judge",
    items: Sequence[Any],
    not_groups: Sequence[str | None] | None,
    concurrency: int,
    progress: Progress | None,
) -> list[Feedback]:
    groups = _groups(items, not_groups)
    parts = _parts(judge, items, concurrency)
    vectors = _vectors(judge, parts)
    if concurrency > 1 and len(items) > 1 and _asks_on_loops(judge):
        return _on_a_loop(judge, parts, vectors, groups, concurrency, progress)
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
    progress: Wanted,
) -> list[Feedback]:
    """In the current event loop; see `Judge.abatch`. After the first error nothing more is begun; what is in
    flight ends."""
    groups = _groups(items, not_groups)
    parts = _parts(judge, items, concurrency)
    vectors = await asyncio.to_thread(_vectors, judge, parts)
    stop = threading.Event()
    token = cancelled.set(stop)
    try:
        with shown(progress, judge.name, len(items)) as told:
            return await _judge_all(judge, parts, vectors, groups, concurrency, told, stop)
    finally:
        cancelled.reset(token)


async def _judge_all(
    judge: "Judge",
    parts: Sequence[Parts | Unscored],
    vectors: Mapping[int, Vectors],
    groups: Sequence[str | None],
    concurrency: int,
    progress: Progress | None,
    stop: threading.Event,
) -> list[Feedback]:
    results: list[Any] = [None] * len(parts)
    failures: dict[int, Exception] = {}
    todo = iter(range(len(parts)))
    done = itertools.count(1)

    async def work() -> None:
        for index in todo:
            if stop.is_set():
                return
            try:
                results[index] = await judge.ajudge_parts(parts[index], vectors.get(index), groups[index])
                if progress is not None:
                    progress(next(done), len(parts))
            except Exception as error:  # noqa: BLE001 - raised again when all have ended
                failures[index] = error
                stop.set()

    token = slots.set(asyncio.Semaphore(concurrency))
    try:
        ahead = concurrency // _AHEAD
        await asyncio.gather(*[work() for _ in range(min(concurrency + ahead, len(parts)))])
    finally:
        slots.reset(token)
    if failures:
        raise failures[min(failures, key=lambda i: (not is_fatal(failures[i]), i))]
    return results


def _on_a_loop(
    judge: "Judge",
    parts: Sequence[Parts | Unscored],
    vectors: Mapping[int, Vectors],
    groups: Sequence[str | None],
    concurrency: int,
    progress: Progress | None,
) -> list[Feedback]:
    """`_judge_all` on a loop in a thread of its own. On Ctrl-C nothing more is begun, and what is in flight
    ends and is stored; a second Ctrl-C does not wait."""
    stop, ended = threading.Event(), threading.Event()
    found: list[list[Feedback]] = []
    failed: list[BaseException] = []
    context = contextvars.copy_context()
    context.run(cancelled.set, stop)

    def run() -> None:
        try:
            found.append(asyncio.run(_judge_all(judge, parts, vectors, groups, concurrency, progress, stop)))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=context.run, args=(run,), name="judge-opt-loop", daemon=True)
    try:
        thread.start()
        while not ended.wait(0.2):
            pass
    except BaseException:
        stop.set()
        while thread.ident is not None and not ended.wait(0.2):
            pass
        raise
    if failed:
        raise failed[0]
    return found[0]


def _asks_on_loops(judge: "Judge") -> bool:
    """True for an ordinary judge whose endpoint can be asked from an event loop, outside of DSPy's
    optimizers, which keep their state by thread."""
    from judge_opt.judges.dspy_road import lm_of, watched
    from judge_opt.judges.judge import Judge
    from judge_opt.llm.lm import SessionLM

    plain = type(judge).ask is Judge.ask and type(judge).judge_parts is Judge.judge_parts
    if not plain or watched():
        return False
    lm = lm_of(judge)
    return isinstance(lm, SessionLM) and lm.engine.asks_on_loops


def _parts(judge: "Judge", items: Sequence[Any], concurrency: int) -> list[Parts | Unscored]:
    if concurrency < 1:
        raise UsageError(f"concurrency={concurrency} judges nothing.", "Give at least 1.")
    parts = []
    for index, item in enumerate(items):
        try:
            parts.append(judge.parts(item))
        except UsageError as error:
            raise UsageError(f"Item {index}: {error.message}", error.remedy) from None
    return parts


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
