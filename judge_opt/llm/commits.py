"""Group commit: what waits to be stored while one transaction is on its way to the disk goes into the
next one together.

A commit waits for the disk (an fsync), and calls end faster than disks sync. Whoever comes first writes
for all who wait, and each caller is let go only after the transaction with its own entry has ended, so
each has the guarantee of a transaction of its own. Where many threads commit at once the writer waits four
milliseconds for more of them: a commit costs as much as the rest of a call. The callers' threads write, one at
a time; a thread of our own stands in only for callers of an event loop, which must not wait for a disk, and
for a writer that was interrupted.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Row = tuple[Any, ...]
_LARGEST = 512
"""Entries in one transaction."""
_NEAR = 0.01
"""Seconds within which commits of two threads make a crowd."""
_CROWD = 0.05
"""Seconds for which a crowd is expected to last."""
_GATHER = 0.004
"""Seconds for which a writer in a crowd waits for more to write."""


class Entry:
    """One thing to commit.

    Attributes:
        key: the content address of the call.
        row: the ledger row's values, or None where there is none: the caller waits for what is held.
        reply: (sha, body), or None where there is only a ledger row.
        inserted: the reply is stored; False where its key is taken already, and where there is none.
        error: after the commit: why it was not stored.
        done: True once it is on the disk, or has failed.
        leads: True once its caller is the one to write.
        blocked: held while its caller, a thread, waits.
        future: what its caller, a task, waits for; None where nobody does.
    """

    __slots__ = ("blocked", "done", "error", "future", "inserted", "key", "leads", "reply", "row")

    def __init__(self, key: str = "", row: Row | None = None, reply: tuple[str, bytes] | None = None) -> None:
        self.key = key
        self.row = row
        self.reply = reply
        self.inserted = False
        self.error: BaseException | None = None
        self.done = False
        self.leads = False
        self.blocked: threading.Lock | None = None
        self.future: asyncio.Future[None] | None = None


class GroupCommit:
    """Collects entries and hands them over in batches. Safe from many threads.

    Args:
        write: stores a batch in one transaction and sets `inserted` and `done` on its entries, or raises
            and stores nothing.
    """

    def __init__(self, write: Callable[[Sequence[Entry]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._batch: list[Entry] = []
        self._led = False
        self._last = (0, 0.0)
        self._crowded_until = 0.0
        self._thread: ThreadPoolExecutor | None = None

    def commit(self, entry: Entry) -> None:
        """Store `entry`; on the disk when this returns.

        Raises:
            JudgeOptError: it could not be stored.
        """
        try:
            with self._lock:
                self._see_caller()
                self._waiting.append(entry)
                if not self._led:
                    entry.leads = self._led = True
                else:
                    entry.blocked = threading.Lock()
                    entry.blocked.acquire()
            if entry.blocked is not None:
                entry.blocked.acquire()  # until it is stored, or until this thread is the one to write
            if entry.leads:
                self._lead(entry)
        except BaseException:  # Ctrl-C: the others' entries are now another's to write
            with self._lock:
                entry.blocked = None
                if entry.leads:
                    self._stand_in()
            raise
        if entry.error is not None:
            raise entry.error

    def commit_soon(self, entry: Entry) -> None:
        """Store `entry` from another thread, which then resolves `entry.future`."""
        with self._lock:
            self._waiting.append(entry)
            if not self._led:
                self._stand_in()

    def close(self) -> None:
        """Wait for what is being written, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)

    def _see_caller(self) -> None:
        """Under the lock."""
        now, who = time.monotonic(), threading.get_ident()
        last_who, last_time = self._last
        if last_who != who and now - last_time < _NEAR:
            self._crowded_until = now + _CROWD
        self._last = (who, now)

    def _stand_in(self) -> None:
        self._led = True
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-opt-commit")
        self._thread.submit(self._lead, None)

    def _lead(self, own: Entry | None) -> None:
        """Write until somebody else can go on. `own` is None in the thread that stands in."""
        while True:
            if own is not None and time.monotonic() < self._crowded_until:
                time.sleep(_GATHER)
            with self._lock:  # what an interrupted writer left is in the batch: both halves are repeatable
                waiting = self._batch + self._waiting
                self._batch, self._waiting = waiting[:_LARGEST], waiting[_LARGEST:]
            self._store([entry for entry in self._batch if not entry.done])
            _let_go(self._batch, own)
            with self._lock:
                self._batch = []
                if not self._pass_on(own):
                    return

    def _pass_on(self, own: Entry | None) -> bool:
        """Name who writes next; under the lock. True: this thread."""
        if own is not None:
            own.leads = False
        if not self._waiting:
            self._led = False
            return False
        follower = self._waiting[0]
        if follower.blocked is not None:
            follower.leads = True
            follower.blocked.release()
            return False
        if own is None:
            return True
        self._stand_in()
        return False

    def _store(self, batch: Sequence[Entry]) -> None:
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - the entry's caller gets it
            if len(batch) > 1:  # one that cannot be stored must not take the others with it
                for entry in batch:
                    self._store([entry])
                return
            for entry in batch:
                entry.error, entry.done = error, True


def _let_go(batch: Sequence[Entry], own: Entry | None) -> None:
    tasks: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for entry in batch:
        if entry.future is not None:
            tasks.setdefault(entry.future.get_loop(), []).append(entry.future)
        elif entry is not own and (blocked := entry.blocked) is not None:
            with contextlib.suppress(RuntimeError):  # let go already
                blocked.release()
    for loop, futures in tasks.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, futures)


def _resolve(futures: Sequence["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
