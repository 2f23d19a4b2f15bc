"""MLflow's traces, spans and assessments as ours, from what its database and its REST API both hold.

| MLflow | here |
|---|---|
| trace id, request time, tags, session | the same |
| trace metadata, state, duration, experiment | `metadata`, the latter under `mlflow.*` |
| inputs and outputs | those of the root span, whole; the previews only where there are no spans |
| span inputs, outputs, type, model, tokens | `input.value`, `output.value`, `openinference.span.kind`, `gen_ai.*` |
| feedback, expectation | assessments of the same id, source, time and rationale |
| overridden (`valid` is false), `overrides` | `current` is false, `supersedes` |
| error | `error`; such an assessment has no vote |
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.traces.bulk import Record
from judge_opt.traces.foreign import hex_id
from judge_opt.traces.openinference import our_attributes
from judge_opt.traces.otlp_json import attributes_of
from judge_opt.traces.schema import MAX_NAME, Assessment, SourceType, Trace
from judge_opt.traces.spans import INPUT, OUTPUT, SPAN_TYPE

SESSION = "mlflow.trace.session"
NAME = "mlflow.traceName"
SPANS_LOCATION = "mlflow.trace.spansLocation"

_SOURCES: Mapping[str, SourceType] = {
    "HUMAN": "HUMAN",
    "LLM_JUDGE": "LLM_JUDGE",
    "AI_JUDGE": "LLM_JUDGE",
    "CODE": "CODE",
}
_TYPES = {
    "LLM": "LLM", "CHAT_MODEL": "LLM", "TOOL": "TOOL", "RETRIEVER": "RETRIEVER", "AGENT": "AGENT",
    "CHAIN": "CHAIN", "WORKFLOW": "CHAIN", "TASK": "CHAIN", "PARSER": "CHAIN", "EMBEDDING": "EMBEDDING",
    "RERANKER": "RERANKER", "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR",
}  # fmt: skip
_STATUS = {"STATUS_CODE_OK": "OK", "OK": "OK", "STATUS_CODE_ERROR": "ERROR", "ERROR": "ERROR"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """One assessment as MLflow has it.

    Attributes:
        kind: feedback, expectation, or issue (which is no assessment of ours).
        error: `{"error_code", "error_message", "stack_trace"}`.
        created_ms: since 1970.
    """

    id: str
    kind: str
    name: str
    value: Any
    error: Mapping[str, Any] | None
    rationale: str | None
    source_type: str
    source_id: str | None
    created_ms: int
    overrides: str | None = None
    valid: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    span_id: str | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """One trace as MLflow has it, without its spans."""

    id: str
    experiment: str
    created_ms: int
    duration_ms: int | None
    state: str
    tags: Mapping[str, Any]
    metadata: Mapping[str, Any]
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None


def record_of(info: Info, spans: Sequence[Mapping[str, Any]], said: Sequence[Said], line: int) -> Record:
    """The record of a trace.

    Raises:
        DataError: a span or an assessment is not as MLflow writes them; named.
    """
    found = [span_of(span) for span in spans]
    known = {span["span_id"] for span in found}
    found.sort(key=lambda span: (span["start_ns"], span["parent_id"] in known, span["span_id"]))
    root = next((span for span in found if span["parent_id"] not in known), None)
    notes: list[str] = []
    if root is not None:
        inputs, outputs = root["attributes"].get(INPUT), root["attributes"].get(OUTPUT)
    else:
        inputs, outputs = _json(info.request_preview), _json(info.response_preview)
        location = info.tags.get(SPANS_LOCATION)
        where = f" (they are in {location})" if location and location != "TRACKING_STORE" else ""
        notes.append(
            f"it has no spans in the tracking store{where}: inputs and outputs are MLflow's previews"
        )
    metadata = {str(key): value for key, value in info.metadata.items()}
    facts = {
        "mlflow.experiment_id": info.experiment,
        "mlflow.state": info.state,
        "mlflow.execution_time_ms": info.duration_ms,
        "mlflow.client_request_id": info.client_request_id,
    }
    metadata |= {key: value for key, value in facts.items() if value not in (None, "")}
    session = info.metadata.get(SESSION)
    trace = Trace(
        id=info.id,
        inputs=inputs,
        outputs=outputs,
        session=str(session)[:MAX_NAME] if session else None,
        tags={key: str(value if value is not None else "") for key, value in info.tags.items()},
        metadata=metadata,
        spans=tuple(found),
        created=_time(info.created_ms),
    )
    words = []
    for one in sorted(said, key=lambda one: (one.created_ms, one.id)):
        if one.kind in ("feedback", "expectation"):
            words.append(word_of(info.id, one))
        else:
            notes.append(f"the {one.kind} {one.id!r} is no assessment and was left out")
    return Record(trace, words, line, tuple(notes))


def word_of(trace_id: str, said: Said) -> Assessment:
    """The assessment.

    A number that is whole becomes an int: the server writes the 4 of the database as 4.0.
    """
    metadata = dict(said.metadata)
    facts = {"mlflow.span_id": said.span_id}
    error = None
    if said.error:
        code, message = said.error.get("error_code"), said.error.get("error_message")
        error = ": ".join(str(part) for part in (code, message) if part) or "error"
        facts["mlflow.stack_trace"] = said.error.get("stack_trace")
    elif said.value is None:
        error = "MLflow has no value"
    metadata |= {key: value for key, value in facts.items() if value}
    if said.source_type not in _SOURCES:
        metadata["mlflow.source_type"] = said.source_type
    return Assessment(
        id=said.id,
        trace_id=trace_id,
        kind="expectation" if said.kind == "expectation" else "feedback",
        name=said.name,
        value=_whole(said.value),
        rationale=said.rationale or None,
        source_type=_SOURCES.get(said.source_type, "CODE"),
        source_id=said.source_id or "default",
        created=_time(said.created_ms),
        supersedes=said.overrides or None,
        error=error,
        metadata=metadata,
        current=said.valid,
    )


def span_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The span, from the form that the database holds or from the one that the server sends.

    Raises:
        DataError: it is in neither form.
    """
    try:
        return _span(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        name = data.get("name") if isinstance(data, Mapping) else None
        raise DataError(
            f"the span {str(name)[:60]!r} is not as MLflow writes it ({type(error).__name__}: {error})",
            "Report it with the version of MLflow that wrote it.",
        ) from None


def _span(data: Mapping[str, Any]) -> dict[str, Any]:
    raw = data.get("attributes") or {}
    typed = not isinstance(raw, Mapping)  # the server: typed values; the database: JSON texts
    attributes = attributes_of(raw) if typed else {key: _json(value) for key, value in raw.items()}
    if "context" in data:  # spans of MLflow 2
        context, status = (
            data["context"],
            {"code": data.get("status_code"), "message": data.get("status_message")},
        )
        ids = (context["span_id"], data.get("parent_id"))
        times = (data.get("start_time"), data.get("end_time"))
    else:
        status = data.get("status") or {}
        ids = (data["span_id"], data.get("parent_span_id"))
        times = (data.get("start_time_unix_nano"), data.get("end_time_unix_nano"))
    return {
        "span_id": _id(ids[0]),
        "parent_id": _id(ids[1]) if ids[1] else None,
        "name": str(data.get("name") or ""),
        "kind": "INTERNAL",
        "start_ns": int(times[0] or 0),
        "end_ns": int(times[1]) if times[1] else None,
        "status": {
            "code": _STATUS.get(str(status.get("code")), "UNSET"),
            "message": str(status.get("message") or ""),
        },
        "attributes": _attributes(attributes),
        "events": [
            {
                "name": str(event.get("name") or ""),
                "time_ns": int(event.get("time_unix_nano") or event.get("timestamp") or 0),
                "attributes": attributes_of(event.get("attributes") or {}),
            }
            for event in data.get("events") or ()
        ],
    }


def _attributes(found: Mapping[str, Any]) -> dict[str, Any]:
    """MLflow's attributes, with inputs, outputs, type, model and tokens under the names that we use."""
    kept = {
        key: value
        for key, value in found.items()
        if key not in ("mlflow.traceRequestId", "mlflow.spanInputs", "mlflow.spanOutputs")
    }
    usage = found.get("mlflow.chat.tokenUsage")
    usage = usage if isinstance(usage, Mapping) else {}
    ours = {
        INPUT: found.get("mlflow.spanInputs"),
        OUTPUT: found.get("mlflow.spanOutputs"),
        SPAN_TYPE: _TYPES.get(str(found.get("mlflow.spanType"))),
        "gen_ai.request.model": found.get("mlflow.llm.model"),
        "gen_ai.provider.name": found.get("mlflow.llm.provider"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
    }
    return our_attributes({**{key: value for key, value in ours.items() if value is not None}, **kept})


def _id(value: str) -> str:
    """16 hex digits, from the forms in which MLflow's versions have written a span id."""
    text = value.removeprefix("0x")
    if len(text) < 12 and all(digit in "0123456789abcdef" for digit in text.lower()):
        return text.lower().rjust(16, "0")
    try:
        if len(text) == 12 and len(raw := base64.b64decode(text, validate=True)) == 8:
            return raw.hex()
    except binascii.Error:
        pass
    return hex_id(text.lower().rjust(16, "0") if len(text) < 16 else text, 8, "span id")


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return value


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
