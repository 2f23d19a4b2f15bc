"""From a finished trace to the store, whatever happens to the store.

By default a trace is written in the thread that recorded it, before the root function returns: what has
returned is on disk. A store that fails does not stop the traced program: the error is logged, the trace
waits in memory and is written with the next one, or when the process ends.
"""

import asyncio
import atexit
import logging
import os
import threading
from collections import deque
from contextvars import copy_context

from judge_opt.core.errors import DataError, JudgeOptError
from judge_opt.traces.default_store import current_store
from judge_opt.traces.recorder import settings
from judge_opt.traces.schema import Trace
from judge_opt.traces.store import Store

log = logging.getLogger("judge_opt.tracing")

MOST_WAITING = 1_000
MOST_QUEUED = 10_000
BATCH = 200

Item = tuple[Store | None, Trace]


class TraceWriter:
    """Writes traces; one a process. Thread-safe, and made anew in a forked child."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Item] = deque()  # could not be stored
        self._queue: deque[Item] = deque()  # for the thread
        self._writing = 0
        self._thread: threading.Thread | None = None

    def write(self, trace: Trace, store: Store | None) -> None:
        """Stores a trace as the settings say.

        Raises:
            JudgeOptError: the store failed, and `on_error` is "raise".
        """
        if settings().background and self._enqueue((store, trace)):
            return
        self._store([(store, trace)])

    async def write_async(self, trace: Trace, store: Store | None) -> None:
        """As `write`, without holding up the event loop; a cancellation does not undo it."""
        try:
            loop = asyncio.get_running_loop()
            writing = loop.run_in_executor(None, copy_context().run, self.write, trace, store)
        except RuntimeError:  # not asyncio, or a loop that is shutting down
            self.write(trace, store)
            return
        await asyncio.shield(writing)

    def flush(self) -> None:
        """Returns when all traces are stored.

        Raises:
            JudgeOptError: the store fails; the traces stay in memory.
        """
        with self._changed:
            while self._queue or self._writing:
                self._start_thread()
                self._changed.wait(1.0)
            items = list(self._waiting)
            self._waiting.clear()
        try:
            self._insert(items)
        except BaseException:
            self._keep(items)
            raise

    def queued(self) -> bool:
        """Whether the background thread has something to write."""
        with self._lock:
            return bool(self._queue or self._writing)

    def waiting(self) -> int:
        """How many traces are not on disk."""
        with self._lock:
            return len(self._waiting) + len(self._queue) + self._writing

    def _store(self, items: list[Item]) -> None:
        try:
            self._insert(items)
        except Exception as error:
            if settings().on_error == "raise":
                raise
            if isinstance(error, DataError):
                log.error("Trace %s is lost: %s", ", ".join(trace.id for _, trace in items), error)
                return
            self._keep(items)
            if isinstance(error, JudgeOptError):
                log.error("%s", self._explain(items, str(error)))
            else:
                log.exception("%s", self._explain(items, f"{type(error).__name__}: {error}."))
            return
        except BaseException:  # Ctrl-C in the middle of the write: adding a trace twice does no harm
            self._keep(items)
            raise
        if self._waiting:
            self._retry()

    def _retry(self) -> None:
        with self._lock:
            items = list(self._waiting)
            self._waiting.clear()
        try:
            self._insert(items)
        except Exception as error:  # noqa: BLE001 - logged, and the traces wait on
            self._keep(items)
            log.error("%s", self._explain(items, str(error)))
        else:
            log.warning("%d trace(s) that had to wait are stored now.", len(items))

    def _insert(self, items: list[Item]) -> None:
        """One transaction a store. A trace that no store will ever take is dropped, and said."""
        by_store: dict[int, tuple[Store, list[Trace]]] = {}
        for store, trace in items:
            target = store if store is not None else current_store()
            by_store.setdefault(id(target), (target, []))[1].append(trace)
        for target, traces in by_store.values():
            try:
                target.add_traces(traces)
            except DataError:
                if len(traces) == 1:
                    raise
                for trace in traces:
                    try:
                        target.add_trace(trace)
                    except DataError as error:
                        log.error("Trace %s is lost: %s", trace.id, error)

    def _keep(self, items: list[Item]) -> None:
        lost = []
        with self._lock:
            self._waiting.extend(items)
            while len(self._waiting) > MOST_WAITING:
                lost.append(self._waiting.popleft()[1].id)
        if lost:
            log.error("%d trace(s) are lost, for %d wait already: %s", len(lost), MOST_WAITING, lost[:5])

    def _explain(self, items: list[Item], why: str) -> str:
        names = ", ".join(trace.id for _, trace in items[:3])
        return (
            f"Trace {names}{' and others' if len(items) > 3 else ''} could not be stored: {why} "
            "It waits in memory and is stored with the next trace, by flush_traces(), or at the end of the "
            "process."
        )

    def _enqueue(self, item: Item) -> bool:
        """False where too many are queued: the caller then writes by itself, which slows it down."""
        with self._changed:
            if len(self._queue) >= MOST_QUEUED:
                return False
            # The store is fixed now: the thread has another context.
            self._queue.append((item[0] if item[0] is not None else current_store(), item[1]))
            self._start_thread()
            self._changed.notify_all()
        return True

    def _start_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="judge_opt traces", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                items = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                self._writing = len(items)
            try:
                self._store(items)
            finally:
                with self._changed:
                    self._writing = 0
                    self._changed.notify_all()


_writer = TraceWriter()


def writer() -> TraceWriter:
    """This process's writer."""
    return _writer


def _after_fork_in_child() -> None:
    """The parent's traces are the parent's to write, and its thread is not here."""
    global _writer
    _writer = TraceWriter()


def flush_traces() -> None:
    """Returns when every trace that has ended is stored.

    Raises:
        JudgeOptError: the store fails; the traces stay in memory.
    """
    writer().flush()


def _at_exit() -> None:
    if not writer().waiting():
        return
    try:
        writer().flush()
    except Exception as error:  # noqa: BLE001 - the process ends; all that can be done is to say it
        log.error("%d trace(s) are lost: %s", writer().waiting(), error)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
