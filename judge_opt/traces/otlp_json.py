"""OTLP's JSON form, read and written: what files hold and what the receiver and the exporter speak.

for trace_id, span, resource in spans_of_request(json.loads(body)):
    ...                                     # a span as in `judge_opt.traces.spans`
request = otlp_request(traces)
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash
from judge_opt.traces.foreign import (
    EPOCH,
    STATUS,
    enum_name,
    hex_id,
    json_or_text,
    list_of,
    otel_trace_id,
    span_id_of,
)
from judge_opt.traces.openinference import OWN, our_attributes
from judge_opt.traces.schema import Trace
from judge_opt.traces.spans import INPUT, OUTPUT, SESSION

_KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")  # OTLP's numbers 1 to 5
_SCOPE = "judge_opt"
_WRITTEN_AS_JSON = "judge_opt.json"
"""Attribute of a span that we exported: which of its values were written as JSON text."""


def spans_of_request(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The spans of an OTLP JSON trace request (`resourceSpans`), each with its trace id (32 hex digits) and
    the attributes of its resource. Both spellings of the keys are read.

    Raises:
        DataError: it is not of that shape, or a span has no valid id; the message names the span.
    """
    for group in list_of(_get(data, "resourceSpans"), "resourceSpans"):
        resource = attributes_of(_get(_get(group, "resource") or {}, "attributes"))
        scopes = _get(group, "scopeSpans") or _get(group, "instrumentationLibrarySpans")
        for scope in list_of(scopes, "scopeSpans"):
            own = _get(_get(scope, "scope") or {}, "name") == _SCOPE
            for span in list_of(_get(scope, "spans"), "spans"):
                trace_id, ours = span_of_otlp(span, own=own)
                yield trace_id, ours, resource


def span_of_otlp(data: Any, *, own: bool = False) -> tuple[str, dict[str, Any]]:
    """The trace id (32 hex digits) and the span of an OTLP JSON span.

    Args:
        own: `otlp_request` wrote it: its attributes are taken as they were, and none is added.

    Raises:
        DataError: it has no valid ids or times.
    """
    if not isinstance(data, Mapping):
        raise DataError("a span is not an object", "Export OTLP JSON.")
    name = str(_get(data, "name") or "")
    where = f"span {name[:60]!r}"
    status = _get(data, "status") or {}
    attributes = attributes_of(_get(data, "attributes"))
    parent = _get(data, "parentSpanId")
    span = {
        "span_id": hex_id(_get(data, "spanId"), 8, f"{where}: spanId"),
        "parent_id": hex_id(parent, 8, f"{where}: parentSpanId") if parent else None,
        "name": name,
        "kind": enum_name(_get(data, "kind"), _KINDS, "SPAN_KIND_", first=1),
        "start_ns": _whole(_get(data, "startTimeUnixNano"), f"{where}: startTimeUnixNano") or 0,
        "end_ns": _whole(_get(data, "endTimeUnixNano"), f"{where}: endTimeUnixNano") or None,
        "status": {
            "code": enum_name(_get(status, "code"), STATUS, "STATUS_CODE_", first=0),
            "message": str(_get(status, "message") or ""),
        },
        "attributes": _read_portable(attributes) if own else our_attributes(attributes),
        "events": [
            {
                "name": str(_get(event, "name") or ""),
                "time_ns": _whole(_get(event, "timeUnixNano"), f"{where}: timeUnixNano") or 0,
                "attributes": attributes_of(_get(event, "attributes")),
            }
            for event in list_of(_get(data, "events"), "events")
        ],
    }
    return hex_id(_get(data, "traceId"), 16, f"{where}: traceId"), span


def attributes_of(pairs: Any) -> dict[str, Any]:
    """OTLP's list of keys and typed values, or a plain object, as an object of JSON values."""
    if isinstance(pairs, Mapping):
        return {str(key): value for key, value in pairs.items()}
    found = {}
    for pair in list_of(pairs, "attributes"):
        if isinstance(pair, Mapping) and ("key" in pair or "value" in pair):  # protobuf leaves "" out
            found[str(pair.get("key", ""))] = any_value(pair.get("value"))
    return found


def any_value(value: Any) -> Any:
    """OTLP's typed value (`{"stringValue": "x"}`) as JSON."""
    if not isinstance(value, Mapping):
        return value
    for key, inner in value.items():
        match key.replace("_", "").lower():
            case "stringvalue" | "boolvalue" | "bytesvalue":
                return inner
            case "intvalue":
                return int(inner)
            case "doublevalue":
                return float(inner)
            case "arrayvalue":
                return [any_value(one) for one in (inner or {}).get("values") or ()]
            case "kvlistvalue":
                return attributes_of((inner or {}).get("values"))
    return None


def otlp_request(traces: Sequence[Trace]) -> dict[str, Any]:
    """The traces as one OTLP JSON trace request: what `spans_of_request` reads.

    A trace without spans gets one span for its inputs and outputs. Assessments have no place in OTLP.
    """
    spans = [span for trace in traces for span in _otlp_spans(trace)]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "judge_opt"}}]}
    scope = {"scope": {"name": "judge_opt"}, "spans": spans}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _otlp_spans(trace: Trace) -> Iterator[dict[str, Any]]:
    spans = [dict(span) for span in trace.spans]
    if not spans:
        start = (trace.created - EPOCH) // timedelta(microseconds=1) * 1000
        spans = [
            {"span_id": content_hash(trace.id)[:16], "parent_id": None, "name": "trace", "start_ns": start,
             "end_ns": start, "attributes": {}}
        ]  # fmt: skip
    known = {span.get("span_id") for span in spans}
    root = next((span for span in spans if span.get("parent_id") not in known), spans[0])
    attributes = dict(root.get("attributes") or {})
    own: dict[str, Any] = {
        "id": trace.id,
        "expectations": dict(trace.expectations),
        "session": trace.session,
        "tags": dict(trace.tags),
        "metadata": dict(trace.metadata),
        "created": trace.created.isoformat(),
        "no_spans": not trace.spans,
    }
    added = {}
    for name, key, value in ((INPUT, "inputs", trace.inputs), (OUTPUT, "outputs", trace.outputs)):
        if name not in attributes and value is not None:
            added[name] = value
        elif attributes.get(name) != value:
            own[key] = value
    if trace.session is not None and SESSION not in attributes:
        added[SESSION] = trace.session
    if trace.tags and "tag.tags" not in attributes:
        added["tag.tags"] = [
            key if value == "true" else f"{key}:{value}" for key, value in trace.tags.items()
        ]
    own["added"] = list(added)
    root["attributes"] = {**attributes, **added, OWN: own}
    for span in spans:
        status = span.get("status") or {}
        yield {
            "traceId": otel_trace_id(trace.id),
            "spanId": span_id_of(str(span.get("span_id") or "")),
            **({"parentSpanId": span_id_of(str(span["parent_id"]))} if span.get("parent_id") else {}),
            "name": str(span.get("name") or ""),
            "kind": _KINDS.index(span["kind"]) + 1 if span.get("kind") in _KINDS else 1,
            "startTimeUnixNano": str(span.get("start_ns") or 0),
            "endTimeUnixNano": str(span.get("end_ns") or 0),
            "status": {
                "code": STATUS.index(status["code"]) if status.get("code") in STATUS else 0,
                "message": str(status.get("message") or ""),
            },
            "attributes": _pairs(_portable(span.get("attributes") or {})),
            "events": [
                {
                    "name": str(event.get("name") or ""),
                    "timeUnixNano": str(event.get("time_ns") or 0),
                    "attributes": _pairs(event.get("attributes") or {}),
                }
                for event in span.get("events") or ()
            ],
        }


def _portable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs and outputs that are no text as JSON text with its type, which is what OpenInference's readers
    expect, and as JSON text whatever holds a whole number of more than 64 bits, which OTLP cannot type;
    `_read_portable` undoes it."""
    found = dict(attributes)
    written = []
    for name, value in attributes.items():
        if name not in (INPUT, OUTPUT) and _has_long_number(value):
            found[name] = json.dumps(value)
            written.append(name)
    for name, mime in ((INPUT, "input.mime_type"), (OUTPUT, "output.mime_type")):
        if name in found and not isinstance(found[name], str) and mime not in found:
            found[name] = json.dumps(found[name])
            found[mime] = "application/json"
            written.append(name)
    return {**found, _WRITTEN_AS_JSON: written} if written else found


def _has_long_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_long_number, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_long_number, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _read_portable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(attributes)
    for name in found.pop(_WRITTEN_AS_JSON, ()):
        found[name] = json_or_text(found.get(name))
        found.pop(f"{name.partition('.')[0]}.mime_type", None)
    return found


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _typed(value)} for key, value in attributes.items()]


def _typed(value: Any) -> dict[str, Any]:
    """A JSON value as OTLP's typed value; null is a value without a type."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, (int, float)):
        return {"doubleValue": float(value)}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _pairs(value)}}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_typed(inner) for inner in value]}}
    return {"stringValue": str(value)}


def _get(data: Any, key: str) -> Any:
    """A field under its camelCase or its snake_case name."""
    if not isinstance(data, Mapping):
        raise DataError(f"an object with {key} is missing", "Export OTLP JSON.")
    if key in data:
        return data[key]
    return data.get(re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower())


def _whole(value: Any, what: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise DataError(f"{what} is no time: {str(value)[:60]!r}", "Write nanoseconds since 1970.") from None
