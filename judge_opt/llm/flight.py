"""Single flight: of equal calls that are made at the same time, one is bought and the others wait for it.

Threads and tasks of event loops share one table, so that a thread can wait for a task and the reverse.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    """One call on its way; its future is made where somebody waits for it."""

    __slots__ = ("future", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.future: Future[T] | None = None


class Flights(Generic[T]):
    """Calls in flight, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()  # a loop holds its tasks weakly

    def lead_or_follow(self, key: str, lead: Callable[[], T]) -> tuple[T, bool]:
        """Run `lead`, or wait for the thread or task that already does.

        Returns:
            The value, and whether this thread led. A leader's failure is its followers' failure; where a
            leader was interrupted (Ctrl-C, a cancelled task), one of its followers leads instead.
        """
        while True:
            own, other = self._board(key)
            if other is None:
                try:
                    value = lead()
                except BaseException as error:
                    self._land(key, own, error=error)
                    raise
                self._land(key, own, value)
                return value, True
            if own.thread == threading.get_ident():  # a task of the loop that this very thread would block
                return lead(), True
            failure = other.exception()
            if failure is None or isinstance(failure, Exception):
                return other.result(), False

    async def alead_or_follow(
        self, key: str, look: Callable[[], T | None], lead: Callable[[], Coroutine[Any, Any, T]]
    ) -> tuple[T, bool]:
        """As `lead_or_follow`, for tasks. Where `look` finds nothing, `lead` runs in a task of its own: a
        caller that is cancelled leaves it flying, and those who follow get its value."""
        while True:
            own, other = self._board(key)
            if other is None:
                try:
                    value = look()
                except BaseException as error:
                    self._land(key, own, error=error)
                    raise
                if value is not None:
                    self._land(key, own, value)
                    return value, True
                task = asyncio.get_running_loop().create_task(self._fly(key, own, lead))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(_seen)
                return await asyncio.shield(task), True
            landed = asyncio.wrap_future(other)
            landed.add_done_callback(_seen)
            await asyncio.wait([landed])
            failure = landed.exception()
            if failure is None or isinstance(failure, Exception):
                return other.result(), False

    async def _fly(self, key: str, flight: _Flight[T], lead: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            value = await lead()
        except BaseException as error:
            self._land(key, flight, error=error)
            raise
        self._land(key, flight, value)
        return value

    def _board(self, key: str) -> tuple[_Flight[T], Future[T] | None]:
        """(this call's flight, None), or (the flight of another, its future)."""
        with self._lock:
            flight = self._flying.get(key)
            if flight is None:
                flight = self._flying[key] = _Flight()
                return flight, None
            if flight.future is None:
                flight.future = Future()
                flight.future.set_running_or_notify_cancel()  # so that no waiting task can cancel it
            return flight, flight.future

    def _land(
        self, key: str, flight: _Flight[T], value: T | None = None, error: BaseException | None = None
    ) -> None:
        with self._lock:
            del self._flying[key]
        if flight.future is None:
            return
        if error is not None:
            flight.future.set_exception(error)
        else:
            flight.future.set_result(value)  # type: ignore[arg-type]


def _seen(future: "asyncio.Future[Any]") -> None:
    """Its failure is told by the flight; a caller that has gone must not make asyncio complain of it."""
    if not future.cancelled():
        future.exception()
