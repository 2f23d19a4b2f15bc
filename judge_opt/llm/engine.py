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

from judge_opt.core.errors import JudgeOptError
from judge_opt.llm.backend import Backend
from judge_opt.llm.direct import Asked
from judge_opt.llm.errors import carry, kind_of
from judge_opt.llm.flight import Flights
from judge_opt.llm.keys import DSPY_PARAMETERS, Addresses, most_usage
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.purchase import Purchaser, Receipt
from judge_opt.llm.reply import Reply
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
    """What a call ended with: the reply, and whether it was bought just now."""

    reply: Reply
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
        self._answer: Callable[[Asked], Reply] | None = getattr(backend, "answer", None)

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The response to `request`: from the cache, from an equal call in flight, or bought.

        Raises:
            JudgeOptError: carried across DSPy, see `judge_opt.llm.errors`.
            dspy.lm15.LM15Error: what this one request met, after every retry.
        """
        return self.answer(Asked(request)).response

    def answer(self, asked: Asked) -> Reply:
        """As `complete`."""
        try:
            key, sent = self.addresses.prepare(asked)
            bought, led = self.flights.lead_or_follow(key, lambda: self._look_or_buy(key, sent))
            if not (led and bought.fresh):
                self.books.store.record(self._hit(key, bought.reply))
                self.books.tell(CallEvent(self.purpose, True, bought.reply.usage, 0.0))
            return bought.reply
        except JudgeOptError as error:
            raise carry(error) from error.__cause__

    def stream(self, request: lm15.Request) -> Any:
        raise lm15.UnsupportedFeatureError("judge_opt's engine does not stream: a reply is cached whole.")

    @property
    def asks_on_loops(self) -> bool:
        """True where the backend can be asked from an event loop, without a thread."""
        return hasattr(self.backend, "aanswer") or hasattr(self.backend, "acomplete")

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
        return None if reply is None else Bought(Reply(reply), False)

    def most(self, asked: Asked) -> lm15.Usage:
        """What one attempt may use at most, where anybody asks."""
        if self.purchaser.budget is None and not self.purchaser.limiter.counts_tokens:
            return _NOT_COUNTED
        prompt, completion = most_usage(asked.request)
        return lm15.Usage(input_tokens=prompt, output_tokens=completion)

    def failed(self, key: str, receipt: Receipt[Reply], error: BaseException) -> LedgerRow:
        """The ledger row of a call that was sent and not answered."""
        return self._row(key, receipt, f"error:{kind_of(error)}")

    def paid(self, key: str, receipt: Receipt[Reply], reply: Reply) -> LedgerRow:
        """The ledger row of a call that was answered."""
        self._warn_of_substitution(reply)
        return self._row(key, receipt, "ok", reply.model)

    def landed(self, receipt: Receipt[Reply], reply: Reply, stored: dict[str, Any]) -> Bought:
        """What the callers get: `reply`, or the one that another process stored first."""
        self.books.tell(CallEvent(self.purpose, False, receipt.usage, receipt.usd))
        return Bought(reply if stored is reply.data else Reply(stored), True)

    def _attempt(self, asked: Asked) -> Reply:
        if self._answer is not None:
            return self._answer(asked)
        return Reply.of(self.backend.complete(asked.request))

    def _look_or_buy(self, key: str, asked: Asked) -> Bought:
        store = self.books.store
        if (known := self.stored(key)) is not None:
            return known
        receipt: Receipt[Reply] = Receipt()
        try:
            reply = self.purchaser.buy(
                key, lambda: self._attempt(asked), _usage_of, self.most(asked), receipt
            )
        except BaseException as error:
            if receipt.attempts:
                store.record(self.failed(key, receipt, error))
            raise
        return self.landed(receipt, reply, store.put(reply.data, self.paid(key, receipt, reply)))

    def _hit(self, key: str, reply: Reply) -> LedgerRow:
        return LedgerRow(
            self.books.run_id,
            self.purpose,
            self.model,
            key,
            cached=True,
            answered=reply.model,
            prompt_tokens=reply.usage.input_tokens or 0,
            completion_tokens=reply.usage.output_tokens or 0,
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

    def _warn_of_substitution(self, reply: Reply) -> None:
        """A provider may answer as another model, or leave a setting out. Said once; the ledger's
        `answered` and the response's `adaptations` hold it for every call."""
        asked = self.model.partition(":/")[2]
        answered = reply.model
        adaptations = reply.response.adaptations if "adaptations" in reply.data else ()
        notes = [f"{a.field} was {a.action}: {a.reason}" for a in adaptations]
        if answered not in asked and asked not in answered:
            notes.append(f"asked for {asked!r}, answered by {answered!r}")
        for note in notes:
            if note not in self._warned:
                self._warned.add(note)
                logger.warning("%s: %s", self.model, note)


class AsyncEngine:
    """DSPy's asynchronous engine: `Engine`'s cache, ledger, budget and retries, for event loops.

    A backend with `aanswer` or `acomplete` is asked from the loop itself; another in the session's threads.
    """

    def __init__(self, engine: Engine, executor: Callable[[], Executor]) -> None:
        self.engine = engine
        self.executor = executor
        self._aanswer: Callable[[Asked], Awaitable[Reply]] | None = getattr(engine.backend, "aanswer", None)
        self._acomplete: Callable[[lm15.Request], Awaitable[lm15.Response]] | None = getattr(
            engine.backend, "acomplete", None
        )

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """As `Engine.complete`. A purchase whose caller is cancelled goes on, and is stored."""
        return (await self.answer(Asked(request))).response

    async def answer(self, asked: Asked) -> Reply:
        """As `complete`."""
        engine = self.engine
        try:
            key, sent = engine.addresses.prepare(asked)
            bought, led = await engine.flights.alead_or_follow(
                key, lambda: engine.stored(key), lambda: self._buy(key, sent)
            )
            if not (led and bought.fresh):
                await engine.books.store.arecord(engine._hit(key, bought.reply))
                engine.books.tell(CallEvent(engine.purpose, True, bought.reply.usage, 0.0))
            return bought.reply
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

    async def _buy(self, key: str, asked: Asked) -> Bought:
        engine, store = self.engine, self.engine.books.store
        receipt: Receipt[Reply] = Receipt()
        try:
            async with slots.get() or _NO_LIMIT:
                if told_to_stop():
                    raise lm15.RateLimitError("stopped while waiting for a slot")
                reply = await engine.purchaser.abuy(
                    key, lambda: self._attempt(asked), _usage_of, engine.most(asked), receipt
                )
        except BaseException as error:
            if receipt.attempts:
                row = engine.failed(key, receipt, error)
                # A cancelled task awaits nothing more: its loop is about to close.
                await store.arecord(row) if isinstance(error, Exception) else store.record(row)
            raise
        return engine.landed(receipt, reply, await store.aput(reply.data, engine.paid(key, receipt, reply)))

    async def _attempt(self, asked: Asked) -> Reply:
        if self._aanswer is not None:
            return await self._aanswer(asked)
        if self._acomplete is not None:
            return Reply.of(await self._acomplete(asked.request))
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor(), context.run, self.engine._attempt, asked)


slots: ContextVar[asyncio.Semaphore | None] = ContextVar("judge_opt_slots", default=None)
"""Held by each purchase of the surrounding batch while it is bought, not while it is stored: the batch can send
the next request while a reply is on its way to the disk."""

_NO_LIMIT = contextlib.nullcontext()
_NOT_COUNTED = lm15.Usage(input_tokens=0, output_tokens=0)


def _usage_of(reply: Reply) -> lm15.Usage:
    return reply.usage
