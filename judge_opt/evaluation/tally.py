"""What each judgement cost, told apart although many run at once.

A session tells its listener of every call that has ended, in the context of whoever made it. The context
carries the tally of the judgement at work; so a call is booked where it belongs, whatever thread it ends in.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.llm.engine import CallEvent
    from judge_opt.llm.session import Session

_at_work: ContextVar["Tally | None"] = ContextVar("judge_opt_evaluation_tally", default=None)


@dataclass(slots=True)
class Tally:
    """The calls of one judgement, or the sum over several.

    Attributes:
        calls: bought. cached: answered without buying.
        prompt_tokens, completion_tokens: of bought and cached calls together: what the verdicts took.
        usd: dollars known to have been spent. unpriced: bought calls whose price is not known.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def book(self, event: "CallEvent") -> None:
        """Add a call that has ended."""
        if event.cached:
            self.cached += 1
        else:
            self.calls += 1
            self.usd += event.usd or 0.0
            self.unpriced += event.usd is None
        self.prompt_tokens += event.usage.input_tokens or 0
        self.completion_tokens += event.usage.output_tokens or 0

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> list[Any]:
        """For the journal: numbers in the order of the attributes; [] where nothing was called."""
        values = [getattr(self, name) for name in self.__slots__]
        return values if any(values) else []

    @classmethod
    def from_json(cls, values: list[Any]) -> "Tally":
        """The inverse of `to_json`."""
        return cls(*values)


class _Listener:
    """Hands each event to the tally of its context, and to who listened before."""

    def __init__(self, before: "Callable[[CallEvent], None] | None") -> None:
        self.before = before
        self._lock = threading.Lock()

    def __call__(self, event: "CallEvent") -> None:
        tally = _at_work.get()
        if tally is not None:
            with self._lock:
                tally.book(event)
        if self.before is not None:
            self.before(event)


def listen(session: "Session") -> None:
    """Let `tallied` know of this session's calls. Doing so twice changes nothing."""
    if not isinstance(session.events, _Listener):
        session.events = _Listener(session.events)


@contextmanager
def tallied() -> Iterator[Tally]:
    """The calls made inside the block, also by threads and tasks that take its context over."""
    tally = Tally()
    token = _at_work.set(tally)
    try:
        yield tally
    finally:
        _at_work.reset(token)
