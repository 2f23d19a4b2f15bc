"""The one door to a model: what DSPy calls an engine, with everything that a run needs behind it.

    request -> key -> single flight -> cache -> budget -> attempts with retries -> store -> response

The reply and its ledger row are on the disk before the caller sees the reply, so a reply that the caller
then fails to parse is booked all the same.
"""

import asyncio
import contextlib
import contextvars
import copy
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dspy import lm15
from dspy._vendor.lm15.serde import response_from_dict, response_to_dict

from judge_opt.core.errors import JudgeOptError
from judge_opt.llm.backend import Backend
from judge_opt.llm.errors import carry, kind_of
from judge_opt.llm.flight import Flights
from judge_opt.llm.keys import DSPY_PARAMETERS, Addresses, most_usage
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.purchase import Purchaser, Receipt
from judge_opt.llm.retry import told_to_stop
from judge_opt.llm.store import CallStore

if TYPE_CHECKING:
    from judge_opt.llm.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One call that has ended, for progress displays.

    Attributes:
        purpose: judge, reflect, agent, embed, ...
        cached: True where nothing was bought.
        usage: tokens; those of the first purchase where `cached`.
        usd: what this call cost; 0.0 where `cached`, None where the price is not known.
    """

    purpose: str
    cached: bool
    usage: lm15.Usage
    usd: float | None


@dataclass(frozen=True, slots=True)
class Books:
    """Where calls are booked: the store, the run, and who is told."""

    store: CallStore
    run_id: str
    tell: Callable[[CallEvent], None]


@dataclass(frozen=True, slots=True)
class Bought:
    """What a call ended with: the response, and whether it was bought just now."""

    response: lm15.Response
    fresh: bool


class Engine:
    """DSPy's synchronous engine for one model and one purpose. Safe from many threads.

    Args:
        model: the model's URI, for the ledger.
        purpose: what the calls are for, for the ledger.
        backend: the wire.
        purchaser: retries, budget and circuit, shared by all engines of one backend.
        flights: single flight, shared like `purchaser`.
        books: where calls are booked.
        state: what `load_state` needs to make this engine again; JSON, no secrets.
        extra: provider parameters that DSPy's request type does not know.
    """

    supports_response_schema = True
    supports_function_calling = True
    supports_reasoning = False
    supported_params = DSPY_PARAMETERS

    def __init__(
        self,
        model: str,
        purpose: str,
        backend: Backend,
        purchaser: Purchaser,
        flights: "Flights[Bought]",
        books: Books,
        state: dict[str, Any],
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.purpose = purpose
        self.backend = backend
        self.purchaser = purchaser
        self.flights = flights
        self.books = books
        self.state = state
        self.extra = extra or {}
        self.addresses = Addresses(backend.fingerprint, self.extra)
        self._warned: set[str] = set()

    def complete(self, request: lm15.Request, config_json: bytes | None = None) -> lm15.Response:
        """The reply to `request`: from the cache, from an equal call in flight, or bought.

        Args:
            request: what is asked.
            config_json: `keys.config_json(request.config)`, where the caller has it already.

        Raises:
            JudgeOptError: carried across DSPy, see `judge_opt.llm.errors`.
            dspy.lm15.LM15Error: what this one request met, after every retry.
        """
        try:
            key, wire = self.addresses.prepare(request, config_json)
            bought, led = self.flights.lead_or_follow(key, lambda: self._look_or_buy(key, wire))
            if not (led and bought.fresh):
                self.books.store.record(self._hit(key, bought.response))
                self.books.tell(CallEvent(self.purpose, True, bought.response.usage, 0.0))
            return bought.response
        except JudgeOptError as error:
            raise carry(error) from error.__cause__

    def stream(self, request: lm15.Request) -> Any:
        raise lm15.UnsupportedFeatureError("judge_opt's engine does not stream: a reply is cached whole.")

    def close(self) -> None:
        """Nothing: the session owns the backend."""

    def dump_state(self) -> dict[str, Any]:
        return self.state

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "Engine":
        """The engine for a saved program, in the session that is current where it is loaded."""
        from judge_opt.llm.session import current_session

        return current_session().engine(**state)

    def within(self, session: "Session", purpose: str) -> "Engine":
        """An engine on the same wire that books in `session` and keeps to its budget."""
        purchaser = copy.copy(self.purchaser)
        purchaser.budget = session.budget
        return Engine(
            self.model,
            purpose,
            self.backend,
            purchaser,
            self.flights,
            Books(session.store, session.run_id, session.tell),
            {**self.state, "purpose": purpose},
            self.extra,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        return self

    def stored(self, key: str) -> Bought | None:
        """The reply that the cache holds under `key`."""
        reply = self.books.store.get(key)
        return None if reply is None else Bought(response_from_dict(reply), False)

    def most(self, request: lm15.Request) -> lm15.Usage:
        """What one attempt may use at most, where anybody asks."""
        if self.purchaser.budget is None and not self.purchaser.limiter.counts_tokens:
            return _NOT_COUNTED
        prompt, completion = most_usage(request)
        return lm15.Usage(input_tokens=prompt, output_tokens=completion)

    def failed(self, key: str, receipt: Receipt[lm15.Response], error: BaseException) -> LedgerRow:
        """The ledger row of a call that was sent and not answered."""
        return self._row(key, receipt, f"error:{kind_of(error)}")

    def paid(self, key: str, receipt: Receipt[lm15.Response], response: lm15.Response) -> LedgerRow:
        """The ledger row of a call that was answered."""
        self._warn_of_substitution(response)
        return self._row(key, receipt, "ok", response.model)

    def landed(
        self, receipt: Receipt[lm15.Response], response: lm15.Response, sent: Any, stored: Any
    ) -> Bought:
        """What the callers get: `response`, or the one that another process stored first."""
        self.books.tell(CallEvent(self.purpose, False, receipt.usage, receipt.usd))
        return Bought(response if stored is sent else response_from_dict(stored), True)

    def _look_or_buy(self, key: str, request: lm15.Request) -> Bought:
        store = self.books.store
        if (known := self.stored(key)) is not None:
            return known
        receipt: Receipt[lm15.Response] = Receipt()
        try:
            response = self.purchaser.buy(
                key, lambda: self.backend.complete(request), _usage_of, self.most(request), receipt
            )
        except BaseException as error:
            if receipt.attempts:
                store.record(self.failed(key, receipt, error))
            raise
        reply = response_to_dict(response)
        return self.landed(receipt, response, reply, store.put(key, reply, self.paid(key, receipt, response)))

    def _hit(self, key: str, response: lm15.Response) -> LedgerRow:
        return LedgerRow(
            self.books.run_id,
            self.purpose,
            self.model,
            key,
            cached=True,
            answered=response.model,
            prompt_tokens=response.usage.input_tokens or 0,
            completion_tokens=response.usage.output_tokens or 0,
        )

    def _row(self, key: str, receipt: Receipt[Any], outcome: str, answered: str = "") -> LedgerRow:
        return LedgerRow(
            self.books.run_id,
            self.purpose,
            self.model,
            key,
            cached=False,
            answered=answered,
            prompt_tokens=receipt.usage.input_tokens or 0,
            completion_tokens=receipt.usage.output_tokens or 0,
            usd=receipt.usd,
            seconds=receipt.seconds,
            attempts=receipt.attempts,
            outcome=outcome,
        )

    def _warn_of_substitution(self, response: lm15.Response) -> None:
        """A provider may answer as another model, or leave a setting out. Said once; the ledger's
        `answered` and the response's `adaptations` hold it for every call."""
        asked = self.model.partition(":/")[2]
        answered = response.model
        notes = [f"{a.field} was {a.action}: {a.reason}" for a in response.adaptations]
        if answered not in asked and asked not in answered:
            notes.append(f"asked for {asked!r}, answered by {answered!r}")
        for note in notes:
            if note not in self._warned:
                self._warned.add(note)
                logger.warning("%s: %s", self.model, note)


class AsyncEngine:
    """DSPy's asynchronous engine: `Engine`'s cache, ledger, budget and retries, for event loops.

    A backend with `acomplete` is asked from the loop itself; another in the session's threads.
    """

    def __init__(self, engine: Engine, executor: Callable[[], Executor]) -> None:
        self.engine = engine
        self.executor = executor
        self._own: Callable[[lm15.Request], Awaitable[lm15.Response]] | None = getattr(
            engine.backend, "acomplete", None
        )

    async def complete(self, request: lm15.Request, config_json: bytes | None = None) -> lm15.Response:
        """As `Engine.complete`. A purchase whose caller is cancelled goes on, and is stored."""
        engine = self.engine
        try:
            key, wire = engine.addresses.prepare(request, config_json)
            bought, led = await engine.flights.alead_or_follow(
                key, lambda: engine.stored(key), lambda: self._buy(key, wire)
            )
            if not (led and bought.fresh):
                await engine.books.store.arecord(engine._hit(key, bought.response))
                engine.books.tell(CallEvent(engine.purpose, True, bought.response.usage, 0.0))
            return bought.response
        except JudgeOptError as error:
            raise carry(error) from error.__cause__

    def stream(self, request: lm15.Request) -> Any:
        return self.engine.stream(request)

    async def aclose(self) -> None:
        """Nothing: the session owns the backend."""

    def dump_state(self) -> dict[str, Any]:
        return self.engine.state

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "AsyncEngine":
        from judge_opt.llm.session import current_session

        session = current_session()
        return cls(session.engine(**state), session.executor)

    def __deepcopy__(self, memo: dict[int, Any]) -> "AsyncEngine":
        return self

    async def _buy(self, key: str, request: lm15.Request) -> Bought:
        engine, store = self.engine, self.engine.books.store
        receipt: Receipt[lm15.Response] = Receipt()
        try:
            async with slots.get() or _NO_LIMIT:
                if told_to_stop():
                    raise lm15.RateLimitError("stopped while waiting for a slot")
                response = await engine.purchaser.abuy(
                    key, lambda: self._attempt(request), _usage_of, engine.most(request), receipt
                )
        except BaseException as error:
            if receipt.attempts:
                row = engine.failed(key, receipt, error)
                # A cancelled task awaits nothing more: its loop is about to close.
                await store.arecord(row) if isinstance(error, Exception) else store.record(row)
            raise
        reply = response_to_dict(response)
        stored = await store.aput(key, reply, engine.paid(key, receipt, response))
        return engine.landed(receipt, response, reply, stored)

    def _attempt(self, request: lm15.Request) -> Awaitable[lm15.Response]:
        if self._own is not None:
            return self._own(request)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.executor(), context.run, self.engine.backend.complete, request)


slots: ContextVar[asyncio.Semaphore | None] = ContextVar("judge_opt_slots", default=None)
"""Held by each purchase of the surrounding batch while it is bought, not while it is stored: the batch can send
the next request while a reply is on its way to the disk."""

_NO_LIMIT = contextlib.nullcontext()
_NOT_COUNTED = lm15.Usage(input_tokens=0, output_tokens=0)


def _usage_of(response: lm15.Response) -> lm15.Usage:
    return response.usage
