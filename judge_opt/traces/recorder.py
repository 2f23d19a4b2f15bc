"""The runs that are being recorded now, and which span is the current one.

The recorder is our own and not OpenTelemetry's SDK, for two reasons. A trace is one thing here: it is
stored whole, when its root span ends, so that who reads it never sees half a run; the SDK exports span by
span and leaves the joining to a server. And its attributes are JSON, not flat lists of numbers and texts.
The model and the names are OpenTelemetry's, and `judge_opt.traces.otlp` speaks its wire format.

The current span is a context variable: threads that are started by hand do not have it (see
`carry_context`), tasks of asyncio do.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, get_args

from judge_opt.core.errors import UsageError
from judge_opt.traces.as_json import Limits, Recorded, as_json
from judge_opt.traces.schema import Trace, choice, new_trace_id, short_text
from judge_opt.traces.spans import SESSION, TRUNCATED, Span, SpanKind

if TYPE_CHECKING:
    from judge_opt.traces.store import Store

P = ParamSpec("P")
R = TypeVar("R")

OnError = Literal["log", "raise"]
VARIABLE = "JUDGE_OPT_TRACING"
"""Environment variable: `off` records nothing, from the start of the process."""

LINKED = "judge_opt.linked_trace"
"""Metadata of a trace that was begun where another trace had already ended: that trace's id."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process records: see `configure_tracing`."""

    enabled: bool = field(default_factory=lambda: os.environ.get(VARIABLE, "").lower() not in ("off", "0"))
    on_error: OnError = "log"
    background: bool = False
    limits: Limits = field(default_factory=Limits)


class Recording:
    """One trace that is being recorded.

    Args:
        on: False makes spans that record nothing.
        store: where it goes; None for the default store at the time when it ends.
    """

    def __init__(self, limits: Limits, *, on: bool = True, store: "Store | None" = None) -> None:
        self.trace_id = new_trace_id()
        self.limits = limits
        self.on = on
        self.store = store
        self.finished = False
        self.root: Span | None = None
        self.session: str | None = None
        self.tags: dict[str, str] = {}
        self.metadata: dict[str, Any] = {}
        self._spans: list[Span] = []
        self._dropped = 0
        self._characters = limits.trace_characters
        self._lock = threading.Lock()

    def open(
        self,
        name: str,
        *,
        parent: Span | None,
        span_type: str | None,
        kind: SpanKind,
        attributes: Mapping[str, Any] | None,
    ) -> Span:
        """Starts a span; one beyond the limit is counted and not kept."""
        parent_id = parent.span_id if parent is not None else None
        span = Span(self, name, parent_id=parent_id, span_type=span_type, kind=kind, attributes=attributes)
        with self._lock:
            if self.root is None:
                self.root = span
            elif len(self._spans) >= self.limits.spans:
                self._dropped += 1
                return span
            self._spans.append(span)
        return span

    def convert(self, value: Any) -> Recorded:
        """`value` as JSON, within what the trace has left."""
        recorded = as_json(value, self.limits, self._characters)
        with self._lock:
            self._characters -= recorded.characters
        return recorded

    def trace(self) -> Trace:
        """The trace, once its root span has ended."""
        assert self.root is not None
        spans = tuple(span.to_dict() for span in self._spans)
        began = timedelta(microseconds=spans[0]["start_ns"] // 1000)
        metadata = dict(self.metadata)
        cut = sum(TRUNCATED in span["attributes"] for span in spans)
        if cut or self._dropped:
            metadata[TRUNCATED] = {"spans_with_cuts": cut, "spans_dropped": self._dropped}
        return Trace(
            id=self.trace_id,
            inputs=self.root.inputs,
            outputs=self.root.outputs,
            session=self.session,
            tags=dict(self.tags),
            metadata=metadata,
            spans=spans,
            created=datetime(1970, 1, 1, tzinfo=UTC) + began,
        )


_settings = Settings()
_current: ContextVar[Span | None] = ContextVar("judge_opt_span", default=None)
_last_of_task: ContextVar[str | None] = ContextVar("judge_opt_last_trace", default=None)
_last_of_thread = threading.local()
_last: str | None = None


def settings() -> Settings:
    return _settings


def configure_tracing(
    *,
    enabled: bool | None = None,
    on_error: OnError | None = None,
    background: bool | None = None,
    limits: Limits | None = None,
) -> Settings:
    """Changes how this process records; what is not named stays.

    Args:
        enabled: False records nothing. Default: True, unless JUDGE_OPT_TRACING is `off`.
        on_error: what a store that fails does to the traced program. "log" (the default): an error is
            logged with its remedy, and the trace is kept in memory (at most 1,000) and stored with the next
            one. "raise": the error is raised where the root span ends.
        background: False (the default): a root function that has returned has its trace on disk, which
            costs one commit. True: traces are written by a thread of their own, many to a commit; what is
            not yet written is lost in a crash; `flush_traces` and the end of the process wait for it.
        limits: how much of a value and of a trace is kept.

    Returns:
        The settings now.

    Raises:
        UsageError: an unknown `on_error`, or "raise" together with `background`.
    """
    global _settings
    if on_error is not None:
        choice("on_error", on_error, get_args(OnError))
    asked = {"enabled": enabled, "on_error": on_error, "background": background, "limits": limits}
    changes: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    changed = replace(_settings, **changes)
    if changed.background and changed.on_error == "raise":
        raise UsageError(
            "A trace that is written in the background cannot raise where it was recorded.",
            "Use on_error='log', or background=False.",
        )
    _settings = changed
    return _settings


def make_current(span: Span) -> Token[Span | None]:
    """Makes `span` the current one, until `leave`."""
    return _current.set(span)


def leave(token: Token[Span | None]) -> None:
    """Makes the span current again that was so before. A block that is left in another context than it was
    entered in, such as in a generator that another task finalizes, has nothing to restore there."""
    with suppress(ValueError):
        _current.reset(token)


def open_span(
    name: str,
    *,
    span_type: str | None = None,
    kind: SpanKind = "INTERNAL",
    attributes: Mapping[str, Any] | None = None,
    store: "Store | None" = None,
) -> Span:
    """Starts a span under the current one, or a trace where there is none or where its trace has ended."""
    parent = _current.get()
    linked: str | None = None
    if parent is not None and parent.recording.finished:
        linked, parent = parent.trace_id, None
    if parent is not None and parent.recording.on:
        recording = parent.recording
    else:
        recording = Recording(_settings.limits, on=_settings.enabled, store=store)
        parent = None
        if linked is not None:
            recording.metadata[LINKED] = linked
    return recording.open(name, parent=parent, span_type=span_type, kind=kind, attributes=attributes)


def close_span(span: Span, error: BaseException | None = None) -> Trace | None:
    """Ends a span. Returns the trace where this was its root."""
    global _last
    if span.ended:
        return None
    if error is not None:
        span.record_exception(error)
    recording = span.recording
    if span is not recording.root:
        span.end()
        return None
    if recording.session is not None:
        span.set_attribute(SESSION, recording.session)
    span.end()
    recording.finished = True
    _last_of_task.set(span.trace_id)
    _last_of_thread.trace_id = _last = span.trace_id
    return recording.trace()


def get_current_active_span() -> Span | None:
    """The span that is being recorded here; None outside of one."""
    return _current.get()


def get_last_active_trace_id() -> str | None:
    """The id of the trace that ended last: in this task of asyncio or else in this thread, where one did, or
    else in the process. None where none ended."""
    here = _last_of_task.get() if _in_task() else getattr(_last_of_thread, "trace_id", None)
    return here or _last


def _in_task() -> bool:
    asyncio = sys.modules.get("asyncio")  # where it was not loaded, there is no task
    if asyncio is None:
        return False
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def update_current_trace(
    *,
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    session: str | None = None,
) -> None:
    """Adds to the trace that is being recorded.

    Args:
        tags: text to text.
        metadata: facts of any kind; `mlflow.trace.session` sets the session too.
        session: the conversation that the trace belongs to.

    Raises:
        UsageError: no trace is being recorded here, or a tag or the session is not text of 1 to 250
            characters.
    """
    span = _current.get()
    if span is None:
        if not _settings.enabled:
            return
        raise UsageError(
            "No trace is being recorded here.",
            "Call it inside a function decorated with @judge_opt.trace, or inside start_span.",
        )
    recording = span.recording
    if session is None and metadata is not None and isinstance(metadata.get("mlflow.trace.session"), str):
        session = metadata["mlflow.trace.session"]
    if session is not None:
        recording.session = short_text("session", session)
    for key, value in (tags or {}).items():
        short_text("tag key", key)
        recording.tags[key] = value if isinstance(value, str) else str(value)
    if metadata is not None:
        recording.metadata |= recording.convert(dict(metadata)).value


def carry_context(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, so that what it does in another thread belongs to the span that is current here.

        with ThreadPoolExecutor() as pool:
            list(pool.map(carry_context(step), items))

    Each call runs in a copy of the context in which `carry_context` was called.
    """
    context = copy_context()

    @wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return carried
