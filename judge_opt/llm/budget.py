"""A budget in calls, tokens or dollars, and its hard stop.

What a call may cost at most is reserved before it is sent, and settled to what it did cost when the reply
is in. Reservations of calls in flight count, so that no number of threads can overrun the limit together.
"""

import threading
from dataclasses import dataclass

from judge_opt.core.errors import BudgetExceeded


@dataclass(frozen=True, slots=True)
class Cost:
    """What was, or may be, spent: requests sent, tokens in and out together, dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class Budget:
    """The limits of one run. Cache hits are free. None means no limit.

    Every request that is sent counts as a call, a retry included: this is what a server's own counter says.

    Args:
        calls: requests sent.
        tokens: prompt and completion tokens together.
        usd: dollars; refused for a model whose price is not known.
    """

    def __init__(self, calls: int | None = None, tokens: int | None = None, usd: float | None = None) -> None:
        self.calls = calls
        self.tokens = tokens
        self.usd = usd
        self._lock = threading.Lock()
        self._used = Cost()
        self._booked: set[str] = set()
        self._refused = False

    @property
    def used(self) -> Cost:
        """Spent so far, with the reservations of calls in flight."""
        return self._used

    @property
    def refused(self) -> bool:
        """A call was refused, and whoever made it may have kept that to itself."""
        return self._refused

    def reserve(self, most: Cost) -> None:
        """Take `most` out of the budget before a request is sent.

        Raises:
            BudgetExceeded: the request could exceed a limit; nothing was taken.
        """
        with self._lock:
            used = self._used
            for name, limit, spent, more in (
                ("calls", self.calls, used.calls, most.calls),
                ("tokens", self.tokens, used.tokens, most.tokens),
                ("usd", self.usd, used.usd, most.usd),
            ):
                if limit is not None and spent + more > limit:
                    self._refused = True
                    raise BudgetExceeded(
                        f"The budget of {limit:g} {name} is used up: {spent:g} spent or in flight, "
                        f"and the next call may need {more:g}.",
                        "Raise the budget and run again: calls that were bought are not bought twice.",
                    )
            self._used = _sum(used, most)

    def settle(self, reserved: Cost, actual: Cost) -> None:
        """Replace a reservation by what the call did cost."""
        with self._lock:
            self._used = _sum(self._used, actual, reserved)

    def spend(self, cost: Cost) -> None:
        """Book what an earlier process of the same run spent; limits are checked at the next `reserve`."""
        with self._lock:
            self._used = _sum(self._used, cost)

    def resume(self, run_id: str, spent: Cost) -> None:
        """Book what `run_id` spent before this budget came to it; nothing where it came to it already, for
        then the budget has seen every call itself."""
        with self._lock:
            if run_id in self._booked:
                return
            self._booked.add(run_id)
            self._used = _sum(self._used, spent)


class Nested(Budget):
    """A part's own budget inside that of the whole: a call must fit in both.

    Args:
        own: of the part; None: only the whole counts.
        whole: of the run around it.
    """

    def __init__(self, own: Budget | None, whole: Budget) -> None:
        super().__init__()
        self.own = own
        self.whole = whole
        limits = [budget.usd for budget in (own, whole) if budget is not None and budget.usd is not None]
        self.usd = min(limits, default=None)

    @property
    def used(self) -> Cost:
        """What the part used."""
        return self.own.used if self.own is not None else super().used

    @property
    def refused(self) -> bool:
        """In either."""
        return self.whole.refused or (self.own is not None and self.own.refused)

    def reserve(self, most: Cost) -> None:
        """As of both budgets; where one refuses, the other keeps nothing."""
        self.whole.reserve(most)
        if self.own is None:
            return
        try:
            self.own.reserve(most)
        except BudgetExceeded:
            self.whole.settle(most, Cost())
            raise

    def settle(self, reserved: Cost, actual: Cost) -> None:
        """In both."""
        self.whole.settle(reserved, actual)
        if self.own is not None:
            self.own.settle(reserved, actual)

    def spend(self, cost: Cost) -> None:
        """In the part's own only: the whole knows what its run spent."""
        if self.own is not None:
            self.own.spend(cost)

    def resume(self, run_id: str, spent: Cost) -> None:
        """In the part's own only."""
        if self.own is not None:
            self.own.resume(run_id, spent)


def _sum(a: Cost, plus: Cost, minus: Cost | None = None) -> Cost:
    less = minus or Cost()
    return Cost(
        a.calls + plus.calls - less.calls, a.tokens + plus.tokens - less.tokens, a.usd + plus.usd - less.usd
    )
