"""Rows in parallel: results in order, context carried over, and a prompt stop."""

import contextvars
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from judge_opt.llm.errors import is_fatal
from judge_opt.llm.retry import cancelled

T = TypeVar("T")
R = TypeVar("R")
_PENDING: Any = object()


def map_threads(fn: Callable[[T], R], items: Iterable[T], concurrency: int = 8) -> list[R]:
    """`[fn(item) for item in items]` on threads, in the order of `items`.

    Context variables (the current session, the repeat index, DSPy's settings) are copied into the
    workers. On the first exception, and on Ctrl-C, no further item is begun and no retry is waited for;
    items in flight end, so that what they bought is stored; then the exception is raised. A second Ctrl-C
    does not wait: the workers are daemon threads.

    Raises:
        Exception: the one of the first failed item in order, or a fatal one (`errors.is_fatal`) before it.
    """
    todo = list(items)
    results: list[R] = [_PENDING] * len(todo)
    failures: dict[int, BaseException] = {}
    stop = threading.Event()
    numbers = itertools.count()
    context = contextvars.copy_context()
    context.run(cancelled.set, stop)

    def work(worker: int) -> None:
        try:
            while not stop.is_set() and (number := next(numbers)) < len(todo):
                try:
                    results[number] = fn(todo[number])
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    failures[number] = error
                    stop.set()
        finally:
            running.discard(worker)
            if not running:
                ended.set()

    ended = threading.Event()
    running = set(range(min(max(concurrency, 1), len(todo))))
    workers = [
        threading.Thread(target=context.copy().run, args=(work, i), name=f"judge-opt-{i}", daemon=True)
        for i in sorted(running)
    ]
    try:
        for worker in workers:
            worker.start()
        _wait(running, ended)
    except BaseException:
        stop.set()
        running.intersection_update(i for i, worker in enumerate(workers) if worker.ident is not None)
        _wait(running, ended)
        raise
    if failures:
        first = min(failures, key=lambda i: (not is_fatal(failures[i]), i))
        raise failures[first]
    return results


def _wait(running: set[int], ended: threading.Event) -> None:
    """Wait in short steps: a main thread that waits without a limit does not see Ctrl-C everywhere. And not
    with `Thread.join`: where Ctrl-C interrupts it, CPython 3.11 takes the thread for ended although it runs,
    and what that thread had in flight would be lost."""
    while running:
        ended.wait(0.2)
