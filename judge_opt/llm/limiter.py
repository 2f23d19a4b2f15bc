"""How much may be sent to one endpoint: calls in flight, requests a minute, tokens a minute.

The number in flight adapts to what the endpoint takes, by additive increase and multiplicative decrease
(Chiu and Jain 1989; TCP's congestion avoidance). It begins at the ceiling, since most endpoints take what
their users ask for. A 429, 503 or 529 lowers it to what the endpoint had just then besides the refused
call, and once for each round of calls by a further part; each round that is answered raises it by one.

A Retry-After holds back everything that goes to this endpoint, and not the one call that was told.
Threads and tasks are let in by one queue, first come first served.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dspy import lm15

from judge_opt.llm.retry import cancelled, is_transient

OVERLOAD = frozenset({429, 503, 529})
_DECREASE = 0.7
_POLL = 0.25
"""Seconds between looks at whether the caller was told to stop, while it waits."""


@dataclass(slots=True)
class Ticket:
    """Leave to have one call in flight."""

    began: float
    tokens: int


class Limiter:
    """The queue before one endpoint. Safe from threads and from tasks of any event loop.

    Args:
        ceiling: calls in flight at most; None for as many as callers make.
        rpm, tpm: requests and tokens a minute; None for no limit.
    """

    def __init__(
        self, ceiling: int | None = None, rpm: float | None = None, tpm: float | None = None
    ) -> None:
        self.ceiling = math.inf if ceiling is None else float(ceiling)
        self.limit = self.ceiling
        self.in_flight = 0
        self.overloads = 0
        self._requests = _Bucket(rpm)
        self._tokens = _Bucket(tpm)
        self._resumes = 0.0
        self._decreased = 0.0
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()

    @property
    def counts_tokens(self) -> bool:
        """True where callers must say how many tokens a call may use."""
        return self._tokens.rate is not None

    def set_limits(
        self, rpm: float | None = None, tpm: float | None = None, max_parallel_requests: float | None = None
    ) -> None:
        """Begin to hold a limit; None leaves it as it is."""
        with self._lock:
            for bucket, rate in ((self._requests, rpm), (self._tokens, tpm)):
                if rate is not None and bucket.rate != rate / 60:
                    bucket.set(rate)
            if max_parallel_requests is not None:
                self.ceiling = min(self.ceiling, max(1.0, float(max_parallel_requests)))
                self.limit = min(self.limit, self.ceiling)

    def try_enter(self, tokens: int = 0) -> Ticket | None:
        """A ticket, where one can be had at once and nobody waits for it."""
        with self._lock:
            return None if self._queue else self._take(tokens)

    def enter(self, tokens: int, ends: float) -> Ticket:
        """Wait for a ticket.

        Args:
            tokens: what the call may use at most.
            ends: `time.monotonic()` of the call's deadline.

        Raises:
            lm15.RateLimitError: the endpoint asked to be left alone for longer than the call may take, or
                the caller was told to stop.
            lm15.TimeoutError: the deadline passed.
        """
        woken = threading.Event()
        stop = cancelled.get()
        with self._queued(woken.set) as turn:
            while True:
                ticket, seconds = self._turn(turn, tokens, ends)
                if ticket is not None:
                    return ticket
                if stop is not None and stop.is_set():
                    raise lm15.RateLimitError("stopped while waiting for the endpoint")
                woken.wait(seconds if stop is None else min(seconds, _POLL))
                woken.clear()

    async def aenter(self, tokens: int, ends: float) -> Ticket:
        """As `enter`, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(woken.set)

        with self._queued(wake) as turn:
            while True:
                ticket, seconds = self._turn(turn, tokens, ends)
                if ticket is not None:
                    return ticket
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await woken.wait()
                woken.clear()

    def leave(self, ticket: Ticket, tokens: int, error: BaseException | None) -> None:
        """Give a ticket back.

        Args:
            ticket: from `enter`.
            tokens: what the call did use.
            error: why it failed, or None.
        """
        wake: Callable[[], None] | None = None
        with self._lock:
            self.in_flight -= 1
            if ticket.tokens:
                self._tokens.give_back(ticket.tokens - tokens)
            if error is None:
                if self.limit < self.ceiling:
                    self.limit = min(self.ceiling, self.limit + 1 / max(self.limit, 1.0))
            elif is_transient(error) and getattr(error, "status", None) in OVERLOAD:
                self._overloaded(ticket, getattr(error, "retry_after", None))
            if self._queue:
                wake = self._queue[0]
        if wake is not None:
            wake()

    def _overloaded(self, ticket: Ticket, retry_after: float | None) -> None:
        now = time.monotonic()
        self.overloads += 1
        self.limit = min(self.limit, float(self.in_flight))
        if ticket.began >= self._decreased and math.isfinite(self.limit):
            self.limit *= _DECREASE
            self._decreased = now
        self.limit = max(self.limit, 1.0)
        if retry_after is not None:
            self._resumes = max(self._resumes, now + retry_after)

    def _take(self, tokens: int) -> Ticket | None:
        """Under the lock: a ticket, or None."""
        now = time.monotonic()
        if self.in_flight + 1 > self.limit or now < self._resumes:
            return None
        if self._requests.wait(1, now) > 0 or self._tokens.wait(tokens, now) > 0:
            return None
        self._requests.take(1)
        self._tokens.take(tokens)
        self.in_flight += 1
        return Ticket(now, tokens)

    def _turn(self, turn: Callable[[], None], tokens: int, ends: float) -> tuple[Ticket | None, float]:
        """(a ticket, 0), or (None, how long to wait before looking again)."""
        following: Callable[[], None] | None = None
        with self._lock:
            first = self._queue[0] is turn
            ticket = self._take(tokens) if first else None
            if ticket is not None:
                self._queue.popleft()
                following = self._queue[0] if self._queue else None
            now = time.monotonic()
            held = max(self._resumes - now, self._requests.wait(1, now), self._tokens.wait(tokens, now))
        if following is not None:
            following()
        if ticket is not None:
            return ticket, 0.0
        if now + held >= ends > now:
            raise lm15.RateLimitError(f"the endpoint is to be left alone for {held:.0f} s more")
        if now >= ends:
            raise lm15.TimeoutError("no free slot before the call's deadline")
        return None, min(held, ends - now) if first and held > 0 else ends - now

    @contextlib.contextmanager
    def _queued(self, wake: Callable[[], None]):  # type: ignore[no-untyped-def]
        """A place in the queue, given up with what is raised inside."""
        with self._lock:
            self._queue.append(wake)
        try:
            yield wake
        except BaseException:
            following = None
            with self._lock:
                if wake in self._queue:
                    self._queue.remove(wake)
                if self._queue:
                    following = self._queue[0]
            if following is not None:
                following()
            raise


class _Bucket:
    """A token bucket that holds what ten seconds bring, so that a minute's worth is never sent at once."""

    def __init__(self, rate: float | None) -> None:
        self.rate: float | None = None
        self._level = 0.0
        self._seen = 0.0
        if rate is not None:
            self.set(rate)

    def set(self, rate: float) -> None:
        self.rate = rate / 60
        self._level = self._most = max(1.0, self.rate * 10)
        self._seen = time.monotonic()

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be taken. More than the bucket holds waits for a full one."""
        if self.rate is None:
            return 0.0
        self._level = min(self._most, self._level + (now - self._seen) * self.rate)
        self._seen = now
        return max(0.0, (min(amount, self._most) - self._level) / self.rate)

    def take(self, amount: float) -> None:
        if self.rate is not None:
            self._level -= amount

    def give_back(self, amount: float) -> None:
        """What a call did not use; a negative amount is what it used more."""
        if self.rate is not None:
            self._level = min(self._most, self._level + amount)
