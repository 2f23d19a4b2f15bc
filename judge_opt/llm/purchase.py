"""Buying one reply: limiter, budget, attempts, circuit. The only place that sends anything to a model.

Shared by the engines (chat, for threads and for event loops) and by the HTTP embedder, so that all have
the same retries and the same stop. `Purchaser.steps` holds every rule and does no input or output: it
yields what is to be done next, and `buy` does it in a thread, `abuy` in a task.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dspy import lm15

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.core.killpoints import reach
from judge_opt.llm.backend import call_deadline
from judge_opt.llm.budget import Budget, Cost
from judge_opt.llm.circuit import Circuit
from judge_opt.llm.errors import carry, concerns_every_call, refusal
from judge_opt.llm.limiter import Limiter, Ticket
from judge_opt.llm.retry import RetryPolicy, is_transient, sleep, told_to_stop

T = TypeVar("T")
_NOTHING = Cost()
NO_USAGE = lm15.Usage()
"""It is frozen, so one does for all."""
_ONE_CALL = Cost(calls=1)


@dataclass(frozen=True, slots=True)
class Enter:
    """Step: wait for a ticket of the limiter, until `ends`."""

    tokens: int
    ends: float


@dataclass(frozen=True, slots=True)
class Send:
    """Step: make one attempt."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Step: let `seconds` pass."""

    seconds: float


_SEND = Send()
Steps = Generator[Enter | Send | Wait, Any, T]


@dataclass(slots=True)
class Receipt(Generic[T]):
    """How a purchase went; filled in as it goes, so that it is complete for a failed one too."""

    value: T | None = None
    attempts: int = 0
    seconds: float = 0.0
    usage: lm15.Usage = NO_USAGE
    usd: float | None = 0.0


class Purchaser:
    """Buys replies from one model.

    Args:
        model: the model's URI, for messages.
        budget: the run's budget, or None.
        policy: bounds of a call.
        price: USD of a usage, None where unknown.
        env_keys: environment variables that may hold the key, for messages.
        limiter: the queue before the endpoint; None for one of its own, without limits.
    """

    def __init__(
        self,
        model: str,
        *,
        budget: Budget | None,
        policy: RetryPolicy,
        price: Callable[[lm15.Usage], float | None],
        env_keys: tuple[str, ...] = (),
        limiter: Limiter | None = None,
    ) -> None:
        self.model = model
        self.budget = budget
        self.policy = policy
        self.price = price
        self.env_keys = env_keys
        self.circuit = Circuit()
        self.limiter = limiter or Limiter()
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
            most: an upper bound of what one attempt uses, for the budget and for tokens a minute.
            receipt: filled in, also where this raises.

        Raises:
            JudgeOptError: carried across DSPy (`errors.carry`): over budget, refused, circuit open.
            dspy.lm15.LM15Error: a transient failure after every retry, or a context that is too long.
        """
        ends = time.monotonic() + self.policy.deadline
        token = call_deadline.set(ends)
        steps = self.steps(key, usage_of, most, receipt, ends)
        try:
            step = next(steps)
            while True:
                done: Any = None
                try:
                    if step is _SEND:
                        done = attempt()
                    elif isinstance(step, Enter):
                        done = self.limiter.enter(step.tokens, step.ends)
                    elif isinstance(step, Wait):
                        sleep(step.seconds)
                except BaseException as error:  # noqa: BLE001 - what to make of it is said in `steps`
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            bought: T = end.value
            return bought
        finally:
            call_deadline.reset(token)

    async def abuy(
        self,
        key: str,
        attempt: Callable[[], Awaitable[T]],
        usage_of: Callable[[T], lm15.Usage],
        most: lm15.Usage,
        receipt: Receipt[T],
    ) -> T:
        """As `buy`, without blocking the event loop."""
        ends = time.monotonic() + self.policy.deadline
        token = call_deadline.set(ends)
        steps = self.steps(key, usage_of, most, receipt, ends)
        try:
            step = next(steps)
            while True:
                done: Any = None
                try:
                    if step is _SEND:
                        done = await attempt()
                    elif isinstance(step, Enter):
                        done = await self.limiter.aenter(step.tokens, step.ends)
                    elif isinstance(step, Wait):
                        await asyncio.sleep(step.seconds)
                except BaseException as error:  # noqa: BLE001 - what to make of it is said in `steps`
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            bought: T = end.value
            return bought
        finally:
            call_deadline.reset(token)

    def steps(
        self,
        key: str,
        usage_of: Callable[[T], lm15.Usage],
        most: lm15.Usage,
        receipt: Receipt[T],
        ends: float,
    ) -> Steps[T]:
        """The rules of a purchase, without input or output. The reply is its return value."""
        if not self._price_table_read:  # not between a reply and its commit: it can take seconds
            self.price(most)
            self._price_table_read = True
        try:
            while True:
                tried = receipt.attempts
                try:
                    value = yield from self._attempt(usage_of, most, receipt, ends)
                    break
                except lm15.LM15Error as error:
                    wait = self.policy.wait_after(error, receipt.attempts, key, ends)
                    if wait is None or receipt.attempts == tried:  # nothing was sent: the limiter's word
                        raise
                    if wait > 0:
                        yield Wait(wait)
                        if told_to_stop():
                            raise
        except lm15.LM15Error as error:
            self._gave_up(error)
            raise
        except JudgeOptError as error:
            raise carry(error) from error.__cause__
        self.circuit.succeeded()
        receipt.value = value
        return value

    def _attempt(
        self, usage_of: Callable[[T], lm15.Usage], most: lm15.Usage, receipt: Receipt[T], ends: float
    ) -> Steps[T]:
        if stopped := self.circuit.check():
            raise carry(stopped)
        tokens = _tokens(most) if self.limiter.counts_tokens else 0
        ticket: Ticket = self.limiter.try_enter(tokens) or (yield Enter(tokens, ends))
        reserved, used = _NOTHING, _NOTHING
        failure: BaseException | None = None
        begun = time.monotonic()
        try:
            reserved = self._reserve(most)
            used = _ONE_CALL
            receipt.attempts += 1
            reach("llm.before_call")
            value: T = yield _SEND
            reach("llm.reply_received")
            receipt.usage = usage_of(value)
            receipt.usd = self.price(receipt.usage)
            used = Cost(1, _tokens(receipt.usage), receipt.usd or 0.0)
            return value
        except BaseException as error:
            failure = error
            raise
        finally:
            if used.calls:
                receipt.seconds += time.monotonic() - begun
                if self.budget is not None:
                    self.budget.settle(reserved, used)
            self.limiter.leave(ticket, used.tokens, failure)

    def _gave_up(self, error: lm15.LM15Error) -> None:
        """Raise the typed error of a refusal; tell the circuit."""
        if is_transient(error):
            if not told_to_stop():
                self.circuit.failed(self.model, error.message.split("\n\n", 1)[0][:200])
            return
        refused = refusal(error, self.model, self.env_keys)
        if refused is not None:
            fatal = concerns_every_call(error) and self.circuit.refused(refused)
            raise carry(refused, fatal=fatal) from error

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
