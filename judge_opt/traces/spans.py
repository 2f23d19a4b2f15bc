"""Spans: the steps of a run, in OpenTelemetry's model.

A span in `Trace.spans` is a JSON object:

    {"span_id": 16 hex digits, "parent_id": 16 hex digits or null, "name": text,
     "kind": "INTERNAL" | "CLIENT" | "SERVER" | "PRODUCER" | "CONSUMER",
     "start_ns": int, "end_ns": int or null,      # since 1970; null where it had not ended with its trace
     "status": {"code": "UNSET" | "OK" | "ERROR", "message": text},
     "attributes": {text: JSON}, "events": [{"name": text, "time_ns": int, "attributes": {...}}]}

Attributes follow OpenTelemetry's GenAI semantic conventions (`gen_ai.operation.name`,
`gen_ai.request.model`, `gen_ai.usage.input_tokens`, ...). The step's own input, output and type are
OpenInference's `input.value`, `output.value` and `openinference.span.kind`; the first two hold any JSON.
"""

import secrets
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from judge_opt.core.errors import UsageError
from judge_opt.traces.schema import choice

if TYPE_CHECKING:
    from judge_opt.traces.recorder import Recording

INPUT = "input.value"
OUTPUT = "output.value"
SPAN_TYPE = "openinference.span.kind"
SESSION = "session.id"
TRUNCATED = "judge_opt.truncated"
"""Attribute that lists what was cut: attribute name to `[{"path", "kept", "of"}]`."""

SpanKind = Literal["INTERNAL", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]
StatusCode = Literal["UNSET", "OK", "ERROR"]

_MESSAGE = 2_000
_STACK = 20_000


def new_span_id() -> str:
    return secrets.token_hex(8)


class Span:
    """A step that is being recorded. Every method may be called from any thread and none raises because of
    what it is given to record; after the span has ended they change nothing.

    Attributes:
        span_id, parent_id, name: see the module.
        trace_id: the trace that it belongs to.
    """

    def __init__(
        self,
        recording: "Recording",
        name: str,
        *,
        parent_id: str | None = None,
        span_type: str | None = None,
        kind: SpanKind = "INTERNAL",
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        choice("span kind", kind, get_args(SpanKind))
        self.recording = recording
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.name = str(name)[:_MESSAGE]
        self.kind = kind
        self.ended = not recording.on
        self._status: StatusCode = "UNSET"
        self._message = ""
        self._attributes: dict[str, Any] = {}
        self._cuts: dict[str, list[dict[str, Any]]] = {}
        self._events: list[dict[str, Any]] = []
        self._dropped_events = 0
        if span_type is not None:
            self.set_span_type(span_type)
        self.set_attributes(attributes or {})
        self._start_ns = time.time_ns()
        self._clock = time.perf_counter_ns()
        self._end_ns: int | None = None

    def __repr__(self) -> str:
        return f"<Span {self.name!r} {self.span_id} of {self.trace_id}>"

    @property
    def trace_id(self) -> str:
        return self.recording.trace_id

    @property
    def inputs(self) -> Any:
        """What was recorded as the step's input, as JSON."""
        return self._attributes.get(INPUT)

    @property
    def outputs(self) -> Any:
        """What was recorded as the step's output, as JSON."""
        return self._attributes.get(OUTPUT)

    def set_inputs(self, value: Any) -> None:
        """Records the step's input: any value, a copy of which is made now."""
        self.set_attribute(INPUT, value)

    def set_outputs(self, value: Any) -> None:
        """Records the step's output: any value, a copy of which is made now."""
        self.set_attribute(OUTPUT, value)

    def set_span_type(self, span_type: str) -> None:
        """LLM, TOOL, RETRIEVER, AGENT, CHAIN, EMBEDDING, RERANKER, GUARDRAIL, or a word of your own."""
        self.set_attribute(SPAN_TYPE, str(span_type))

    def set_attribute(self, key: str, value: Any) -> None:
        """Records one attribute; a later value replaces an earlier one."""
        if self.ended:
            return
        key = str(key)[:_MESSAGE]
        recorded = self.recording.convert(value)
        self._attributes[key] = recorded.value
        self._cuts.pop(key, None)
        if recorded.cuts:
            self._cuts[key] = recorded.cuts

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Records several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_status(self, code: StatusCode, message: str = "") -> None:
        """How the step went. Without a call it ends as OK, or as ERROR where an exception left it.

        Raises:
            UsageError: `code` is none of UNSET, OK and ERROR.
        """
        choice("status", code, get_args(StatusCode))
        if not self.ended:
            self._status, self._message = code, str(message)[:_MESSAGE]

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Records that something happened now."""
        if self.ended:
            return
        if len(self._events) >= self.recording.limits.events:
            self._dropped_events += 1
            return
        recorded = self.recording.convert(dict(attributes or {}))
        event = {"name": str(name)[:_MESSAGE], "time_ns": self._now(), "attributes": recorded.value}
        self._events.append(event)
        if recorded.cuts:
            self._cuts[f"events.{len(self._events) - 1}"] = recorded.cuts

    def record_exception(self, error: BaseException) -> None:
        """Records an exception as OpenTelemetry does, and the status ERROR."""
        kind = type(error)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        message = _message(error)
        stack = "".join(traceback.format_exception(error, limit=50))[-_STACK:]
        self.add_event(
            "exception",
            {"exception.type": name, "exception.message": message, "exception.stacktrace": stack},
        )
        self.set_status("ERROR", f"{kind.__name__}: {message}" if message else kind.__name__)

    def end(self) -> None:
        """Ends the step, once; a second call changes nothing."""
        if self.ended:
            return
        if self._status == "UNSET":
            self._status = "OK"
        self._end_ns = self._now()
        self.ended = True

    def to_dict(self) -> dict[str, Any]:
        """The span as it is stored."""
        attributes = dict(self._attributes)
        cuts = dict(self._cuts)
        if self._dropped_events:
            kept = len(self._events)
            cuts["events"] = [{"path": "", "kept": kept, "of": kept + self._dropped_events}]
        if cuts:
            attributes[TRUNCATED] = cuts
        return {
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "name": self.name,
            "kind": self.kind,
            "start_ns": self._start_ns,
            "end_ns": self._end_ns,
            "status": {"code": self._status, "message": self._message},
            "attributes": attributes,
            "events": list(self._events),
        }

    def _now(self) -> int:
        """The wall clock's start plus the steady clock's difference: never before the start."""
        return self._start_ns + (time.perf_counter_ns() - self._clock)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE]
    except Exception as broken:  # noqa: BLE001 - an exception whose own __str__ raises; recording goes on
        return f"<no message: {type(broken).__name__}>"


def check_name(name: str) -> str:
    """`name`, if a span can have it.

    Raises:
        UsageError: it is not text, or empty.
    """
    if not isinstance(name, str) or not name:
        raise UsageError(f"A span's name must be text, got {name!r:.60}.", "Give name='...'.")
    return name
