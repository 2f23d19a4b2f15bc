"""Single flight: of equal calls that are made at the same time, one is bought and the others wait for it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Calls in flight, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Future[T]] = {}

    def lead_or_follow(self, key: str, lead: Callable[[], T]) -> tuple[T, bool]:
        """Run `lead`, or wait for the thread that already does.

        Returns:
            The value, and whether this thread led. A leader's failure is its followers' failure; where a
            leader was interrupted (Ctrl-C), one of its followers leads instead.
        """
        while True:
            with self._lock:
                future = self._flying.get(key)
                leads = future is None
                if future is None:
                    future = self._flying[key] = Future()
            if not leads:
                failure = future.exception()
                if failure is None or isinstance(failure, Exception):
                    return future.result(), False
                continue
            try:
                value = lead()
            except BaseException as error:
                self._land(key)
                future.set_exception(error)
                raise
            self._land(key)
            future.set_result(value)
            return value, True

    def _land(self, key: str) -> None:
        with self._lock:
            del self._flying[key]
