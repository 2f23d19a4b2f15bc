"""A fork waits for what must not be cut in two: writes to SQLite files.

SQLite keeps its file locks in the process's memory. A child that is forked while another thread writes has a
copy of them that nobody will ever release: it would see the file locked for ever. So `os.fork` (and what
uses it, such as multiprocessing's "fork") waits until the writes of the other threads have ended.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT = 60.0
"""Seconds; then the fork happens all the same, for a program that stands still is worse."""


class _Guard:
    """Which threads are in a write; thread-safe, and made anew in a child."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._writes: Counter[int] = Counter()
        self._forking = False

    def begin(self) -> None:
        with self._changed:
            me = threading.get_ident()
            if self._forking and not self._writes[me]:
                self._changed.wait_for(lambda: not self._forking, LONGEST_WAIT)
            self._writes[me] += 1

    def end(self) -> None:
        with self._changed:
            me = threading.get_ident()
            self._writes[me] -= 1
            if not self._writes[me]:
                del self._writes[me]
                if self._forking:
                    self._changed.notify_all()

    def before_fork(self) -> None:
        """Waits for the others, and lets no new write begin. A thread that forks inside a write of its own
        does not wait for itself."""
        self._changed.acquire()  # held until the fork is over
        me = threading.get_ident()
        self._forking = True
        self._changed.wait_for(lambda: not self._others(me), LONGEST_WAIT)

    def after_fork(self) -> None:
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def _others(self, me: int) -> bool:
        return any(count for thread, count in self._writes.items() if thread != me)


_guard = _Guard()


@contextmanager
def no_fork() -> Iterator[None]:
    """While the block runs, another thread's fork waits for its end."""
    guard = _guard
    guard.begin()
    try:
        yield
    finally:
        if guard is _guard:  # else this is a child, forked by this thread inside the block
            guard.end()


def _before() -> None:
    _guard.before_fork()


def _after_in_parent() -> None:
    _guard.after_fork()


def _after_in_child() -> None:
    global _guard
    _guard = _Guard()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
