"""The plug-in point for a place where models run: one request in, one attempt, one response out.

A backend is the wire and nothing else. Retries, caching, single flight, budget and the ledger belong to
the engine above it, so that each has one owner and every backend gets them. To add a provider, write a
class with these members; nothing is registered.

    class EchoBackend:
        fingerprint = {"kind": "echo"}
        def complete(self, request): ...
        def check(self): ...
        def price(self, usage): return 0.0
        def close(self): ...
"""

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response, Usage

call_deadline: ContextVar[float | None] = ContextVar("judge_opt_call_deadline", default=None)
"""`time.monotonic()` at which the whole call, retries included, must have ended. Set by the engine."""


class Backend(Protocol):
    """One model behind one endpoint.

    Attributes:
        fingerprint: JSON that identifies the endpoint and the model for the cache key: whatever would make
            the same prompt give another answer (origin, model name, weights, quantization), and no secret.
        max_concurrency: optional; how many calls of `complete` may run at once. Absent or None: no limit
            other than the session's.
        endpoint: optional; backends with the same endpoint share one queue, and are slowed down together.
            Absent: a queue of its own.
        answer: optional; as `complete`, from a `direct.Asked` to a `reply.Reply`: plain messages need not become
            DSPy's types and come back from them. Absent: `complete` is asked.
        acomplete, aanswer: optional; the same as coroutines. Absent: event loops ask in the session's threads.
    """

    @property
    def fingerprint(self) -> dict[str, Any]: ...

    def complete(self, request: "Request") -> "Response":
        """Make exactly one attempt. Must be callable from many threads at once.

        `request.model` is DSPy's name for the model and is ignored; a backend knows its own.

        Raises:
            dspy.lm15.LM15Error: typed by what went wrong (RateLimitError, TimeoutError, ServerError and
                TransportError are tried again by the engine, with `retry_after` honoured; all others are
                final). `UnsupportedFeatureError` with `feature` set means that the backend has just
                learnt to leave that setting out: the engine asks once more, at once.
        """
        ...

    def check(self) -> None:
        """Prove, before any paid call, that the model can be asked.

        Raises:
            ModelNotInstalled, EndpointUnreachable, CredentialsError: with a one-line remedy.
        """
        ...

    def price(self, usage: "Usage") -> float | None:
        """USD for `usage`; 0.0 for a local model; None where the price is not known."""
        ...

    def close(self) -> None: ...


def time_left(timeout: float) -> float:
    """Seconds that an attempt may still take: `timeout`, or less where the call's deadline is nearer."""
    deadline = call_deadline.get()
    return timeout if deadline is None else min(timeout, deadline - time.monotonic())
