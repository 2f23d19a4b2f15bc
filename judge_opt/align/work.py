"""Work that buys calls for a while: its own part of the session, its budget, its progress and its warnings.

What an alignment and an optimization of prompts share. The part's ledger has a name that is the same for the same
work, so that what was stopped goes on where it was when it is run again.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from judge_opt.align.contract import Callback, Event
from judge_opt.llm.budget import Budget
from judge_opt.llm.engine import CallEvent
from judge_opt.llm.session import Session, current_session


@dataclass(frozen=True, slots=True)
class Spent:
    """What an alignment asked.

    Attributes:
        asked: model calls that were answered, those from the cache included. The same after a resume, at any
            concurrency, and whatever the cache held before: what an optimizer may plan by.
        bought: those of them that were sent.
        tokens, usd: of what was bought; `usd` without calls whose price is not known.
    """

    asked: int = 0
    bought: int = 0
    tokens: int = 0
    usd: float = 0.0


class Work:
    """Work in progress.

    Args:
        name: of the part of the session.
        budget: of the part; None: only that of the session around it.
        callbacks: told of progress.

    Attributes:
        name, budget, seed: as given.
        session: the part.
    """

    def __init__(self, name: str, budget: Budget | None, seed: int, callbacks: Sequence[Callback]) -> None:
        self.name = name
        self.seed = seed
        self.budget = budget
        self.session: Session = current_session().part(name, budget, self._hear)
        self._callbacks = tuple(callbacks)
        self._lock = threading.Lock()
        self._spent = Spent()
        self._warnings: list[str] = []
        lines = [line for line in self.session.ledger() if line.purpose != "embed"]
        self._before = Spent(
            bought=sum(line.calls for line in lines),
            tokens=sum(line.prompt_tokens + line.completion_tokens for line in lines),
            usd=sum(line.usd for line in lines),
        )

    @property
    def spent(self) -> Spent:
        """So far, in this process; by replaying the cache a resumed alignment comes to the same `asked`."""
        with self._lock:
            return self._spent

    def left(self) -> int | None:
        """Calls that the budget still allows, counted by what was asked and not by what was bought, so that
        the same alignment makes the same plan whether or not it was stopped before. None: no limit."""
        limit = None if self.budget is None else self.budget.calls
        return None if limit is None else max(0, limit - self.spent.asked)

    @property
    def refused(self) -> bool:
        """The budget has refused a call: for code around optimizers that keep errors to themselves."""
        return self.session.budget is not None and self.session.budget.refused

    def affords(self, calls: int) -> bool:
        """True where the budget allows that many more calls."""
        left = self.left()
        return left is None or calls <= left

    def tell(self, phase: str) -> Callable[[int, int], None]:
        """A function of (done, total) that passes progress of `phase` on to the callbacks."""

        def told(done: int, total: int) -> None:
            spent, before = self.spent, self._before
            event = Event(
                phase,
                done,
                total,
                before.bought + spent.bought,
                before.tokens + spent.tokens,
                before.usd + spent.usd,
            )
            for callback in self._callbacks:
                callback(event)

        return told

    def warn(self, text: str) -> None:
        """For the result's warnings; each once."""
        if text not in self._warnings:
            self._warnings.append(text)

    @property
    def bought(self) -> int:
        """Calls bought, those of earlier processes included."""
        return self._before.bought + self.spent.bought

    def _hear(self, event: CallEvent) -> None:
        if event.purpose == "embed":
            return
        tokens = (event.usage.input_tokens or 0) + (event.usage.output_tokens or 0)
        with self._lock:
            was = self._spent
            if event.cached:
                self._spent = replace(was, asked=was.asked + 1)
            else:
                usd = was.usd + (event.usd or 0.0)
                self._spent = Spent(was.asked + 1, was.bought + 1, was.tokens + tokens, usd)
