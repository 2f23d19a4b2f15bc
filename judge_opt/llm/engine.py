"""The one door to a model: what DSPy calls an engine, with everything that a run needs behind it.

    request -> key -> cache -> single flight -> budget -> attempts with retries -> store -> response

The reply and its ledger row are on the disk before the caller sees the reply, so a reply that the caller
then fails to parse is booked all the same.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from dspy import lm15
from dspy._vendor.lm15.serde import response_from_dict, response_to_dict

from judge_opt.core.errors import JudgeOptError
from judge_opt.llm.backend import Backend
from judge_opt.llm.errors import carry, kind_of
from judge_opt.llm.flight import Flights
from judge_opt.llm.keys import DSPY_PARAMETERS, most_usage, prepare
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.purchase import Purchaser, Receipt
from judge_opt.llm.store import CallStore

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
        flights: "Flights[dict[str, Any]]",
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
        self._warned: set[str] = set()

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The reply to `request`: from the cache, from an equal call in flight, or bought.

        Raises:
            JudgeOptError: carried across DSPy, see `judge_opt.llm.errors`.
            dspy.lm15.LM15Error: what this one request met, after every retry.
        """
        try:
            key, wire = prepare(request, self.backend.fingerprint, self.extra)
            bought = False
            reply = self.books.store.get(key)
            if reply is None:
                reply, bought = self.flights.lead_or_follow(key, lambda: self._buy(key, wire))
            if not bought:
                self._book_hit(key, reply)
            return response_from_dict(reply)
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

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        return self

    def _buy(self, key: str, request: lm15.Request) -> dict[str, Any]:
        store = self.books.store
        if (earlier := store.get(key)) is not None:  # an equal call landed since the first look
            self._book_hit(key, earlier)
            return earlier
        receipt: Receipt[lm15.Response] = Receipt()
        row_of = LedgerRow(self.books.run_id, self.purpose, self.model, key, cached=False)
        prompt, completion = most_usage(request) if self.purchaser.budget else (0, 0)
        most = lm15.Usage(input_tokens=prompt, output_tokens=completion)
        try:
            response = self.purchaser.buy(
                key, lambda: self.backend.complete(request), lambda reply: reply.usage, most, receipt
            )
        except BaseException as error:
            if receipt.attempts:
                store.record(_booked(row_of, receipt, f"error:{kind_of(error)}"))
            raise
        self._warn_of_substitution(response)
        reply = store.put(key, response_to_dict(response), _booked(row_of, receipt, "ok", response.model))
        self.books.tell(CallEvent(self.purpose, False, receipt.usage, receipt.usd))
        return reply

    def _book_hit(self, key: str, reply: dict[str, Any]) -> None:
        usage = lm15.Usage(**reply.get("usage", {}))
        self.books.store.record(
            LedgerRow(
                self.books.run_id,
                self.purpose,
                self.model,
                key,
                cached=True,
                answered=reply.get("model", ""),
                prompt_tokens=usage.input_tokens or 0,
                completion_tokens=usage.output_tokens or 0,
            )
        )
        self.books.tell(CallEvent(self.purpose, True, usage, 0.0))

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
    """DSPy's asynchronous engine: `Engine` on the session's threads."""

    def __init__(self, engine: Engine, executor: Callable[[], Executor]) -> None:
        self.engine = engine
        self.executor = executor

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """As `Engine.complete`. A call that is cancelled ends in its thread and is stored."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor(), context.run, self.engine.complete, request)

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


def _booked(row: LedgerRow, receipt: Receipt[Any], outcome: str, answered: str = "") -> LedgerRow:
    return LedgerRow(
        row.run_id,
        row.purpose,
        row.model,
        row.key,
        cached=False,
        answered=answered,
        prompt_tokens=receipt.usage.input_tokens or 0,
        completion_tokens=receipt.usage.output_tokens or 0,
        usd=receipt.usd,
        seconds=receipt.seconds,
        attempts=receipt.attempts,
        outcome=outcome,
    )
