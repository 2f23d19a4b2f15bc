"""Buying one reply: budget, attempts, circuit. The only place that sends anything to a model.

Shared by the engine (chat) and the HTTP embedder, so that both have the same retries and the same stop.
"""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dspy import lm15

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.core.killpoints import reach
from judge_opt.llm.backend import call_deadline
from judge_opt.llm.budget import Budget, Cost
from judge_opt.llm.circuit import Circuit
from judge_opt.llm.errors import carry, concerns_every_call, refusal
from judge_opt.llm.retry import RetryPolicy, is_transient, retrying

T = TypeVar("T")


@dataclass(slots=True)
class Receipt(Generic[T]):
    """How a purchase went; filled in as it goes, so that it is complete for a failed one too."""

    value: T | None = None
    attempts: int = 0
    seconds: float = 0.0
    usage: lm15.Usage = field(default_factory=lm15.Usage)
    usd: float | None = 0.0


class Purchaser:
    """Buys replies from one model.

    Args:
        model: the model's URI, for messages.
        budget: the run's budget, or None.
        policy: bounds of a call.
        price: USD of a usage, None where unknown.
        env_keys: environment variables that may hold the key, for messages.
        slots: limits how many attempts are in flight; None for no limit.
    """

    def __init__(
        self,
        model: str,
        *,
        budget: Budget | None,
        policy: RetryPolicy,
        price: Callable[[lm15.Usage], float | None],
        env_keys: tuple[str, ...] = (),
        slots: threading.Semaphore | None = None,
    ) -> None:
        self.model = model
        self.budget = budget
        self.policy = policy
        self.price = price
        self.env_keys = env_keys
        self.circuit = Circuit()
        self._slots = slots
        self._price_table_read = False

    def buy(
        self,
        key: str,
        attempt: Callable[[], T],
        usage_of: Callable[[T], lm15.Usage],
        most: lm15.Usage,
        receipt: Receipt[T],
    ) -> T:
        """Make attempts until one is answered, or until the policy says that it is over.

        Args:
            key: the request's content address.
            attempt: one attempt, raising lm15 errors.
            usage_of: what a reply used.
            most: an upper bound of what one attempt uses, for the budget.
            receipt: filled in, also where this raises.

        Raises:
            JudgeOptError: carried across DSPy (`errors.carry`): over budget, refused, circuit open.
            dspy.lm15.LM15Error: a transient failure after every retry, or a context that is too long.
        """
        started = time.monotonic()
        ends = started + self.policy.deadline
        token = call_deadline.set(ends)

        def once() -> T:
            if stopped := self.circuit.check():
                raise carry(stopped)
            with self._slots or nullcontext():
                begun = time.monotonic()
                reserved = self._reserve(most)
                receipt.attempts += 1
                used = Cost(calls=1)
                if not self._price_table_read:  # not between a reply and its commit: it can take seconds
                    self.price(most)
                    self._price_table_read = True
                try:
                    reach("llm.before_call")
                    value = attempt()
                    reach("llm.reply_received")
                    receipt.usage = usage_of(value)
                    receipt.usd = self.price(receipt.usage)
                    used = Cost(1, _tokens(receipt.usage), receipt.usd or 0.0)
                finally:
                    receipt.seconds += time.monotonic() - begun
                    if self.budget is not None:
                        self.budget.settle(reserved, used)
            return value

        try:
            value = retrying(self.policy, key, ends)(once)
        except lm15.LM15Error as error:
            if is_transient(error):
                self.circuit.failed(self.model, error.message.split("\n\n", 1)[0][:200])
                raise
            refused = refusal(error, self.model, self.env_keys)
            if refused is None:
                raise
            fatal = concerns_every_call(error) and self.circuit.refused(refused)
            raise carry(refused, fatal=fatal) from error
        except JudgeOptError as error:
            raise carry(error) from error.__cause__
        finally:
            call_deadline.reset(token)
        self.circuit.succeeded()
        receipt.value = value
        return value

    def _reserve(self, most: lm15.Usage) -> Cost:
        if self.budget is None:
            return Cost()
        usd = 0.0
        if self.budget.usd is not None:
            price = self.price(most)
            if price is None:
                raise UsageError(
                    f"{self.model}: its price is not known, so a budget in dollars cannot be kept.",
                    "Give the budget in tokens or calls.",
                )
            usd = price
        cost = Cost(1, _tokens(most), usd)
        self.budget.reserve(cost)
        return cost


def _tokens(usage: lm15.Usage) -> int:
    return usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0)
