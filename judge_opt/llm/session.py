"""A session: where calls are stored, what they may cost, and the models in use.

    session = Session(Path(".judge_opt"), run_id="2026-11-02", budget=Budget(usd=2.0))
    lm = session.lm("openai:/gpt-4o-mini", purpose="judge")
    with use_session(session):
        ...                       # code that asks for `current_session()` gets this one

One call store serves all runs in a folder: what one run bought, no later run buys again.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.llm.backend import Backend
from judge_opt.llm.budget import Budget, Cost, Nested
from judge_opt.llm.ledger import LedgerLine
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.store import PART, CallStore
from judge_opt.llm.uri import ModelURI, endpoint_of

if TYPE_CHECKING:
    import dspy

    from judge_opt.llm.doors import Door
    from judge_opt.llm.embed import Embedder
    from judge_opt.llm.engine import CallEvent, Engine
    from judge_opt.llm.limiter import Limiter


class Session:
    """Makes and remembers models; owns their connections, the call store and the budget.

    Args:
        home: folder of `calls.db`.
        run_id: names the run in the ledger. A run that is resumed under its old id goes on with what is
            left of `budget`.
        budget: the hard stop of this run; None for no limit.
        concurrency: how many requests may be in flight at once to one endpoint; None for as many as
            callers make at once. Either way fewer are sent where the endpoint says that it is too many.
        retry: bounds of each call.
        events: told of every call that has ended; must be quick and must not raise.
    """

    def __init__(
        self,
        home: Path,
        run_id: str | None = None,
        budget: Budget | None = None,
        *,
        concurrency: int | None = None,
        retry: RetryPolicy | None = None,
        events: "Callable[[CallEvent], None] | None" = None,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise UsageError(f"concurrency={concurrency} makes no call.", "Give at least 1.")
        self.home = Path(home)
        self.run_id = run_id or ""
        self.budget = budget
        self.concurrency = concurrency
        self.retry = retry or RetryPolicy()
        self.events = events
        self.store = CallStore(self.home / "calls.db")
        self._lock = threading.RLock()
        self._doors: dict[bytes, Door] = {}
        self._limiters: dict[str, Limiter] = {}
        self._lms: dict[bytes, dspy.LM] = {}
        self._embedders: dict[bytes, Embedder] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._whole: Session | None = None
        if budget is not None and run_id:
            lines = self.store.summary(run_id)
            tokens = sum(line.prompt_tokens + line.completion_tokens for line in lines)
            spent = Cost(sum(line.attempts for line in lines), tokens, sum(line.usd for line in lines))
            budget.resume(run_id, spent)

    def part(
        self,
        name: str,
        budget: Budget | None = None,
        events: "Callable[[CallEvent], None] | None" = None,
    ) -> "Session":
        """A session for one part of this run, with a ledger and a budget of its own, to be closed by itself.
        It asks at the pace that this one has learned, and what it spends counts here too.

        Args:
            name: of the part; the same name in the same run goes on where it stopped.
            budget: of the part; that of the whole run holds beside it.
            events: told of the part's calls, besides this session's own.
        """
        limits = budget if self.budget is None else Nested(budget, self.budget)
        told = [tell for tell in (self.events, events) if tell is not None]

        def tell_all(event: "CallEvent") -> None:
            for tell in told:
                tell(event)

        part = Session(
            self.home,
            f"{self.run_id}{PART}{name}",
            limits,
            concurrency=self.concurrency,
            retry=self.retry,
            events=tell_all if told else None,
        )
        part._limiters = self._limiters
        part._whole = self
        return part

    def lm(
        self,
        uri: str,
        *,
        purpose: str | None = None,
        base_url: str | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = 512,
        seed: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> "dspy.LM":
        """The dspy.LM for a model; the same object for the same arguments.

        Args:
            uri: `provider:/name`.
            purpose: what its calls are for, in the ledger: judge, reflect, agent, ... None: "agent" in an agent
                that we run, else "judge".
            base_url: an OpenAI-compatible endpoint; None for the provider's own, or for the one that is
                configured for `gateway:/`, `endpoints:/` and `openai-compatible:/` (see `uri.endpoint_of`).
            temperature, max_tokens, seed: sampling; None leaves the endpoint's default.
            extra_headers: sent with every request; never stored.
            options: for the backend itself, such as the context length of a local model; and what the
                endpoint grants, under LiteLLM's names: `rpm` and `tpm`, requests and tokens a minute,
                `max_parallel_requests`.
            **params: further sampling parameters. Those that DSPy does not know, such as `min_p`, are
                sent to the endpoint as they are.

        Raises:
            UsageError: the URI is malformed, its address is configured nowhere, or the provider does not
                take these options.
        """
        from judge_opt.llm.engine import AsyncEngine
        from judge_opt.llm.keys import DSPY_PARAMETERS
        from judge_opt.llm.lm import SessionLM, sampling

        purpose = purpose or _purpose.get()
        address = endpoint_of(ModelURI.parse(uri), base_url)
        key = _memo(uri, purpose, address, temperature, max_tokens, seed, extra_headers, options, params)
        with self._lock:
            if (known := self._lms.get(key)) is not None:
                return known
            extra = {name: value for name, value in params.items() if name not in DSPY_PARAMETERS}
            engine = self.engine(
                uri=uri,
                purpose=purpose,
                base_url=base_url,
                extra_headers=extra_headers,
                options=options,
                extra=extra,
            )
            if seed is not None:
                params["seed"] = seed
            name = ModelURI.parse(uri).litellm_name
            made = SessionLM(
                name,
                engine=engine,
                async_engine=AsyncEngine(engine, self.executor),
                cache=False,
                num_retries=0,
                **sampling(name, temperature, max_tokens),
                **{name: value for name, value in params.items() if name not in extra},
            )
            return self._lms.setdefault(key, made)

    def engine(
        self,
        uri: str,
        purpose: str = "judge",
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> "Engine":
        """The engine under `lm`, for code that builds `dspy.lm15.Request`s itself."""
        from judge_opt.llm.engine import Books, Engine

        door = self._door(uri, base_url, extra_headers, options)
        state = {
            "uri": str(ModelURI.parse(uri)),
            "purpose": purpose,
            "base_url": base_url,
            "options": dict(options or {}),
            "extra": dict(extra or {}),
        }
        books = Books(self.store, self.run_id, self.tell)
        model = state["uri"]
        assert isinstance(model, str)
        return Engine(
            model, purpose, door.backend, door.purchaser, door.flights, books, state, dict(extra or {})
        )

    def backend(
        self,
        uri: str,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Backend:
        """The wire to a model; the same object for the same arguments."""
        return self._door(uri, base_url, extra_headers, options).backend

    def embedder(
        self, uri: str, base_url: str | None = None, options: Mapping[str, Any] | None = None
    ) -> "Embedder":
        """An embedding model whose vectors are stored: a text is embedded once, in any run."""
        from judge_opt.llm.embed import make_embedder

        base_url = endpoint_of(ModelURI.parse(uri), base_url)
        key = _memo("embedder", uri, base_url, options)
        with self._lock:
            if key not in self._embedders:
                self._embedders[key] = make_embedder(self, uri, base_url, dict(options or {}))
            return self._embedders[key]

    def limiter(self, endpoint: str, most: int | None = None) -> "Limiter":
        """The queue before an endpoint, one for all models and embedders there.

        Args:
            endpoint: its address.
            most: calls that it can take at once; None where only the session's `concurrency` counts.
        """
        with self._lock:
            if endpoint not in self._limiters:
                ceilings = [limit for limit in (self.concurrency, most) if limit is not None]
                from judge_opt.llm.limiter import Limiter

                self._limiters[endpoint] = Limiter(min(ceilings, default=None))
            return self._limiters[endpoint]

    def check(self, uri: str, base_url: str | None = None) -> None:
        """Prove that a model can be asked, before any paid call; see `Backend.check`."""
        self.backend(uri, base_url).check()

    def ledger(self, *, everything: bool = False) -> list[LedgerLine]:
        """This run's calls, those of its parts included, by purpose and model; with
        `everything`, those of all runs in this home."""
        return self.store.summary(None if everything else self.run_id)

    def executor(self) -> ThreadPoolExecutor:
        """Threads for asynchronous calls to models that have no asynchronous interface."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(
                    self.concurrency or _THREADS, thread_name_prefix="judge-opt-call"
                )
            return self._executor

    def close(self) -> None:
        """Close connections and unload models; write what the ledger holds in memory."""
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
            for door in self._doors.values():
                door.backend.close()
            self._doors.clear()
            self._lms.clear()
            self._embedders.clear()
            self._executor = None
            self.store.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, event: "CallEvent") -> None:
        """Pass a call that has ended on to `events`, and to who hears the surrounding work."""
        if self.events is not None:
            self.events(event)
        if (heard := hearing.get()) is not None:
            heard(event)

    def _contains(self, others: "Iterable[Session]") -> bool:
        """True where each of the others is this session, or one that it is a part of."""
        chain: list[Session] = []
        one: Session | None = self
        while one is not None:
            chain.append(one)
            one = one._whole
        return all(any(other is link for link in chain) for other in others)

    def _door(
        self,
        uri: str,
        base_url: str | None,
        extra_headers: Mapping[str, str] | None,
        options: Mapping[str, Any] | None,
    ) -> "Door":
        from judge_opt.llm.doors import Door, connect, split_limits
        from judge_opt.llm.purchase import Purchaser

        parsed = ModelURI.parse(uri)
        base_url = endpoint_of(parsed, base_url)
        limits, options = split_limits(options)
        key = _memo(str(parsed), base_url, dict(extra_headers or {}), options)
        with self._lock:
            door = self._doors.get(key)
            if door is None:
                backend = connect(parsed, base_url, extra_headers, options, self.retry.timeout)
                limiter = self.limiter(
                    getattr(backend, "endpoint", content_hash(key.decode())),
                    getattr(backend, "max_concurrency", None),
                )
                purchaser = Purchaser(
                    str(parsed),
                    budget=self.budget,
                    policy=self.retry,
                    price=backend.price,
                    env_keys=getattr(backend, "env_keys", ()),
                    limiter=limiter,
                )
                door = self._doors[key] = Door(backend, purchaser)
            door.purchaser.limiter.set_limits(**limits)
            return door


_THREADS = 64


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _memo(*arguments: Any) -> bytes:
    """A key for memoised objects; kept in memory only, since it may hold headers."""
    return orjson.dumps(arguments, default=_plain, option=orjson.OPT_SORT_KEYS)


_purpose: ContextVar[str] = ContextVar("judge_opt_purpose", default="judge")


@contextmanager
def calls_for(purpose: str) -> Iterator[None]:
    """What models that are asked for inside the block are for, where nobody says."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


_current: ContextVar[Session | None] = ContextVar("judge_opt_session", default=None)
_default: list[Session] = []
_in_use: list[Session] = []
"""Those inside a `use_session` now: threads that Python starts know nothing of the context around them."""
_default_lock = threading.Lock()
hearing: "ContextVar[Callable[[CallEvent], None] | None]" = ContextVar("judge_opt_hearing", default=None)
"""Told of the calls that end in the surrounding work, in any session: what a progress bar counts."""


def current_session() -> Session:
    """The session of the surrounding `use_session`. In a thread that was started without its context: the one
    that is in use elsewhere in this process (a part before its whole), so that no call slips past its budget and
    ledger. Where there is none: the process's default one, whose home is JUDGE_OPT_HOME or `./.judge_opt`.

    Raises:
        UsageError: several sessions are in use, and this thread was told of none.
    """
    session = _current.get()
    if session is not None:
        return session
    with _default_lock:
        if _in_use:
            innermost = next((one for one in _in_use if one._contains(_in_use)), None)
            if innermost is None:
                raise UsageError(
                    "Several sessions are in use, and this thread was told of none of them.",
                    "Put `with use_session(session):` into the thread's function.",
                )
            return innermost
        if not _default:
            _default.append(Session(Path(os.environ.get("JUDGE_OPT_HOME") or ".judge_opt")))
        return _default[0]


@contextmanager
def use_session(session: Session) -> Iterator[Session]:
    """Make `session` the current one inside the block, also in threads and tasks that are started there."""
    token = _current.set(session)
    with _default_lock:
        _in_use.append(session)
    try:
        yield session
    finally:
        _current.reset(token)
        with _default_lock:
            _in_use.remove(session)
