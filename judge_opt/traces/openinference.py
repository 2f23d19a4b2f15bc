"""Other people's spans as ours: OTLP JSON, OpenInference (Phoenix), and their attributes.

This is the one mapping that everything shares which reads spans from outside: the importers of files and
of MLflow, Langfuse and LangSmith exports, and whatever receives OTLP over the network.

    for trace_id, span, resource in spans_of_request(json.loads(body)):
        ...                                     # a span as in `judge_opt.traces.spans`
    trace = trace_of_spans(trace_id, spans)

Attributes keep their own names. What OpenInference says of a step and the GenAI conventions say too is
added under the latter's name, so that a judge and the search language need to know one of them only.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash
from judge_opt.traces.schema import MAX_NAME, Trace, now
from judge_opt.traces.spans import INPUT, OUTPUT, SESSION, SPAN_TYPE

OWN = "judge_opt.trace"
"""Attribute of the root span of a trace that we exported: what OpenTelemetry has no place for."""

_HEX_TRACE = re.compile(r"^(?:tr-)?([0-9a-f]{32})$")
_KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")  # OTLP's numbers 1 to 5
_STATUS = ("UNSET", "OK", "ERROR")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPERATIONS = {
    "LLM": "chat",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "EMBEDDING": "embeddings",
}
_SAME = {
    "llm.model_name": "gen_ai.request.model",
    "embedding.model_name": "gen_ai.request.model",
    "llm.provider": "gen_ai.provider.name",
    "llm.token_count.prompt": "gen_ai.usage.input_tokens",
    "llm.token_count.completion": "gen_ai.usage.output_tokens",
    "tool.name": "gen_ai.tool.name",
    "agent.name": "gen_ai.agent.name",
    "gen_ai.conversation.id": SESSION,
    "langfuse.session.id": SESSION,
}
_OURS_FROM_GENAI = {
    INPUT: ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "gen_ai.prompt", "traceloop.entity.input"),
    OUTPUT: (
        "gen_ai.output.messages",
        "gen_ai.tool.call.result",
        "gen_ai.completion",
        "traceloop.entity.output",
    ),
}
_TYPES_FROM_GENAI = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "embeddings": "EMBEDDING",
}
_JSON_ATTRIBUTES = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "metadata",
    "llm.invocation_parameters",
)
_SCOPE = "judge_opt"
_WRITTEN_AS_JSON = "judge_opt.json"
"""Attribute of a span that we exported: which of its values were written as JSON text."""


# -- OTLP


def spans_of_request(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The spans of an OTLP JSON trace request (`resourceSpans`), each with its trace id (32 hex digits) and
    the attributes of its resource. Both spellings of the keys are read.

    Raises:
        DataError: it is not of that shape, or a span has no valid id; the message names the span.
    """
    for group in _list(_get(data, "resourceSpans"), "resourceSpans"):
        resource = attributes_of(_get(_get(group, "resource") or {}, "attributes"))
        scopes = _get(group, "scopeSpans") or _get(group, "instrumentationLibrarySpans")
        for scope in _list(scopes, "scopeSpans"):
            own = _get(_get(scope, "scope") or {}, "name") == _SCOPE
            for span in _list(_get(scope, "spans"), "spans"):
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
        "kind": _enum(_get(data, "kind"), _KINDS, "SPAN_KIND_", first=1),
        "start_ns": _whole(_get(data, "startTimeUnixNano"), f"{where}: startTimeUnixNano") or 0,
        "end_ns": _whole(_get(data, "endTimeUnixNano"), f"{where}: endTimeUnixNano") or None,
        "status": {
            "code": _enum(_get(status, "code"), _STATUS, "STATUS_CODE_", first=0),
            "message": str(_get(status, "message") or ""),
        },
        "attributes": _read_portable(attributes) if own else our_attributes(attributes),
        "events": [
            {
                "name": str(_get(event, "name") or ""),
                "time_ns": _whole(_get(event, "timeUnixNano"), f"{where}: timeUnixNano") or 0,
                "attributes": attributes_of(_get(event, "attributes")),
            }
            for event in _list(_get(data, "events"), "events")
        ],
    }
    return hex_id(_get(data, "traceId"), 16, f"{where}: traceId"), span


def attributes_of(pairs: Any) -> dict[str, Any]:
    """OTLP's list of keys and typed values, or a plain object, as an object of JSON values."""
    if isinstance(pairs, Mapping):
        return {str(key): value for key, value in pairs.items()}
    found = {}
    for pair in _list(pairs, "attributes"):
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


def hex_id(value: Any, size: int, what: str) -> str:
    """An id of `size` bytes as hex digits, from hex or from base64 (protobuf's JSON).

    Raises:
        DataError: it is none; the message names `what`.
    """
    if isinstance(value, str):
        text = value.lower()
        if len(text) == 2 * size and all(digit in "0123456789abcdef" for digit in text):
            return text
        try:
            raw = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        if len(raw) == size:
            return raw.hex()
    raise DataError(f"{what} is no id of {size} bytes: {str(value)[:60]!r}", "Write it as hex digits.")


def span_id_of(foreign: str) -> str:
    """The 16 hex digits for an id of another system: its own where it is such an id, else a hash."""
    text = foreign.lower()
    if len(text) == 16 and all(digit in "0123456789abcdef" for digit in text):
        return text
    return content_hash(foreign)[:16]


def trace_id_of(foreign: str) -> str:
    """Our trace id for an OpenTelemetry trace id: `tr-` and its hex digits."""
    return f"tr-{foreign}"


def otel_trace_id(trace_id: str) -> str:
    """The OpenTelemetry id of one of our traces: its own hex digits where it has them, else a hash."""
    match = _HEX_TRACE.match(trace_id)
    return match[1] if match else content_hash(trace_id)[:32]


# -- attributes and traces


def our_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with JSON texts read, and with the names that we and the GenAI conventions use."""
    found = dict(attributes)
    for name, mime in ((INPUT, "input.mime_type"), (OUTPUT, "output.mime_type")):
        if found.get(mime) == "application/json":
            found[name] = _json(found.get(name))
    for name in _JSON_ATTRIBUTES:
        if isinstance(found.get(name), str):
            found[name] = _json(found[name])
    kind = found.get(SPAN_TYPE)
    operation = found.get("gen_ai.operation.name")
    if kind is None and operation in _TYPES_FROM_GENAI:
        found[SPAN_TYPE] = _TYPES_FROM_GENAI[operation]
    elif operation is None and kind in _OPERATIONS:
        found["gen_ai.operation.name"] = _OPERATIONS[kind]
    for theirs, ours in _SAME.items():
        if theirs in found:
            found.setdefault(ours, found[theirs])
    for name, sources in _OURS_FROM_GENAI.items():
        source = next((one for one in sources if found.get(one) is not None), None)
        if name not in found and source is not None:
            found[name] = found[source]
    return found


def trace_of_spans(
    trace_id: str,
    spans: Sequence[Mapping[str, Any]],
    *,
    resource: Mapping[str, Any] | None = None,
    created: datetime | None = None,
) -> Trace:
    """The trace that these spans make: inputs and outputs are its root's, the session any span's.

    A span whose parent is not among them counts as a root; the first root in time is the trace's.

    Args:
        trace_id: 32 hex digits, or any id of a trace.
        created: where no span has a time.
    """
    known = {span["span_id"] for span in spans}
    ordered = sorted(
        _once(spans), key=lambda span: (span["start_ns"], span["parent_id"] in known, span["span_id"])
    )
    root = next((span for span in ordered if span["parent_id"] not in known), ordered[0] if ordered else None)
    attributes = dict(root["attributes"]) if root else {}
    if root is not None and isinstance(attributes.get(OWN), Mapping):
        return _own_trace(trace_id, ordered, root, attributes[OWN])
    metadata: dict[str, Any] = {}
    if isinstance(attributes.get("metadata"), Mapping):
        metadata |= attributes["metadata"]
    if attributes.get("user.id") is not None:
        metadata.setdefault("user.id", attributes["user.id"])
    if resource:
        metadata.setdefault("resource", dict(resource))
    tags = attributes.get("tag.tags")
    inputs, outputs = attributes.get(INPUT), attributes.get(OUTPUT)
    if inputs is None and outputs is None:
        inputs, outputs = _below(ordered)
    session = next(
        (str(span["attributes"][SESSION]) for span in ordered if span["attributes"].get(SESSION)), None
    )
    start = next((span["start_ns"] for span in ordered if span["start_ns"]), None)
    if start is not None:
        created = _EPOCH + timedelta(microseconds=start // 1000)
    return Trace(
        id=trace_id_of(trace_id) if re.fullmatch(r"[0-9a-f]{32}", trace_id) else trace_id,
        inputs=inputs,
        outputs=outputs,
        session=session[:MAX_NAME] if session else None,
        tags={str(tag)[:MAX_NAME]: "true" for tag in tags} if isinstance(tags, list) else {},
        metadata=metadata,
        spans=tuple(ordered),
        created=created or now(),
    )


def _below(spans: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """What went in and came out where the root says nothing, as with a web server's span around an agent:
    the first input and the last output of the spans nearest to a root."""
    depths = _depths(spans)
    found: list[Any] = []
    for name, which in ((INPUT, 0), (OUTPUT, -1)):
        having = [span for span in spans if span["attributes"].get(name) is not None]
        least = min((depths[span["span_id"]] for span in having), default=0)
        nearest = [span for span in having if depths[span["span_id"]] == least]
        found.append(nearest[which]["attributes"][name] if nearest else None)
    return found[0], found[1]


def _depths(spans: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Span id to its steps from a root; spans whose parents form a ring are deeper than all others."""
    depths = {span["span_id"]: len(spans) for span in spans}
    children: dict[str, list[str]] = {}
    level = []
    for span in spans:
        if span["parent_id"] in depths:
            children.setdefault(span["parent_id"], []).append(span["span_id"])
        else:
            level.append(span["span_id"])
    depth = 0
    while level:
        depths |= dict.fromkeys(level, depth)
        level = [child for parent in level for child in children.get(parent, ())]
        depth += 1
    return depths


def _own_trace(
    trace_id: str, spans: Sequence[Mapping[str, Any]], root: Mapping[str, Any], own: Mapping[str, Any]
) -> Trace:
    """The trace that `otlp_request` exported."""
    from judge_opt.traces.importers.values import when

    attributes = {
        key: value
        for key, value in root["attributes"].items()
        if key != OWN and key not in own.get("added", ())
    }
    kept = [{**root, "attributes": attributes} if span is root else span for span in spans]
    created = when(own.get("created"), "created")
    return Trace(
        id=str(own.get("id") or trace_id_of(trace_id)),
        inputs=root["attributes"].get(INPUT) if "inputs" not in own else own["inputs"],
        outputs=root["attributes"].get(OUTPUT) if "outputs" not in own else own["outputs"],
        expectations=dict(own.get("expectations") or {}),
        session=own.get("session"),
        tags=dict(own.get("tags") or {}),
        metadata=dict(own.get("metadata") or {}),
        spans=() if own.get("no_spans") else tuple(kept),
        created=created or now(),
    )


def span_of_openinference(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The trace id (32 hex digits) and the span of a Phoenix span: an object of its REST API or its JSON
    Lines, or a row of its table of spans, with `context.trace_id` and `attributes.*` columns.

    Raises:
        DataError: it has no valid ids or times.
    """
    context = row.get("context")
    context = context if isinstance(context, Mapping) else {}
    name = str(row.get("name") or "")
    where = f"span {name[:60]!r}"
    attributes: dict[str, Any] = {}
    if isinstance(row.get("attributes"), Mapping):
        attributes |= _flat(row["attributes"])
    for column, value in row.items():
        if column.startswith("attributes.") and value is not None:
            attributes |= _flat({column.removeprefix("attributes."): value})
    if row.get("span_kind") and SPAN_TYPE not in attributes:
        attributes[SPAN_TYPE] = str(row["span_kind"])
    parent = row.get("parent_id")
    span = {
        "span_id": hex_id(context.get("span_id", row.get("context.span_id")), 8, f"{where}: span_id"),
        "parent_id": hex_id(parent, 8, f"{where}: parent_id") if parent else None,
        "name": name,
        "kind": "INTERNAL",
        "start_ns": nanoseconds(row.get("start_time"), f"{where}: start_time") or 0,
        "end_ns": nanoseconds(row.get("end_time"), f"{where}: end_time"),
        "status": {
            "code": _enum(row.get("status_code"), _STATUS, "STATUS_CODE_", first=0),
            "message": str(row.get("status_message") or ""),
        },
        "attributes": our_attributes(attributes),
        "events": [
            {
                "name": str(event.get("name") or ""),
                "time_ns": nanoseconds(event.get("timestamp"), f"{where}: event") or 0,
                "attributes": dict(event.get("attributes") or {}),
            }
            for event in _list(row.get("events"), "events")
            if isinstance(event, Mapping)
        ],
    }
    return hex_id(context.get("trace_id", row.get("context.trace_id")), 16, f"{where}: trace_id"), span


def nanoseconds(value: Any, what: str) -> int | None:
    """Nanoseconds since 1970 from ISO 8601 text, a datetime, or a number of seconds, milliseconds,
    microseconds or nanoseconds. None for None and "".

    Raises:
        DataError: it is no time; the message names `what`.
    """
    from judge_opt.traces.importers.values import when

    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**17:
        return value  # already nanoseconds: a datetime would lose the last three digits
    moment = when(value, what)
    if moment is None:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


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
        start = (trace.created - _EPOCH) // timedelta(microseconds=1) * 1000
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
                "code": _STATUS.index(status["code"]) if status.get("code") in _STATUS else 0,
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
    expect; `_read_portable` undoes it."""
    found = dict(attributes)
    written = []
    for name, mime in ((INPUT, "input.mime_type"), (OUTPUT, "output.mime_type")):
        if name in found and not isinstance(found[name], str) and mime not in found:
            found[name] = json.dumps(found[name])
            found[mime] = "application/json"
            written.append(name)
    return {**found, _WRITTEN_AS_JSON: written} if written else found


def _read_portable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(attributes)
    for name in found.pop(_WRITTEN_AS_JSON, ()):
        found[name] = _json(found.get(name))
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


# -- small parts


def _get(data: Any, key: str) -> Any:
    """A field under its camelCase or its snake_case name."""
    if not isinstance(data, Mapping):
        raise DataError(f"an object with {key} is missing", "Export OTLP JSON.")
    if key in data:
        return data[key]
    return data.get(re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower())


def _list(value: Any, what: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{what} is not a list", "Export OTLP JSON.")
    return value


def _whole(value: Any, what: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise DataError(f"{what} is no time: {str(value)[:60]!r}", "Write nanoseconds since 1970.") from None


def _enum(value: Any, names: Sequence[str], prefix: str, first: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        place = value - first
        return names[place] if 0 <= place < len(names) else names[0]
    text = str(value or "").upper().removeprefix(prefix)
    return text if text in names else names[0]


def _json(value: Any) -> Any:
    """The JSON that a text holds; the text itself where it holds none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _flat(attributes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted names; the value of `metadata` stays whole."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in ("metadata", INPUT, OUTPUT):
            found |= _flat(value, f"{name}.")
        elif value is not None:
            found[name] = value
    return found


def _once(spans: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each span once: exporters that retry send a span twice."""
    return list({span["span_id"]: span for span in spans}.values())
