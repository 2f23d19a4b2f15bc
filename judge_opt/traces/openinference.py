"""Other people's spans as ours: OpenInference (Phoenix), the GenAI conventions, and the trace that spans make.

This is the one mapping that everything shares which reads spans from outside: the importers of files and of
MLflow, Langfuse and LangSmith exports, and what reads or receives OTLP (`judge_opt.traces.otlp_json`).

    trace = trace_of_spans(trace_id, spans)

Attributes keep their own names. What OpenInference says of a step and the GenAI conventions say too is
added under the latter's name, so that a judge and the search language need to know one of them only.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from judge_opt.traces.foreign import (
    EPOCH,
    STATUS,
    enum_name,
    hex_id,
    json_or_text,
    list_of,
    nanoseconds,
    trace_id_of,
)
from judge_opt.traces.schema import MAX_NAME, Trace, now
from judge_opt.traces.spans import INPUT, OUTPUT, SESSION, SPAN_TYPE

OWN = "judge_opt.trace"
"""Attribute of the root span of a trace that we exported: what OpenTelemetry has no place for."""
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


def our_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with JSON texts read, and with the names that we and the GenAI conventions use."""
    found = dict(attributes)
    for name, mime in ((INPUT, "input.mime_type"), (OUTPUT, "output.mime_type")):
        if found.get(mime) == "application/json":
            found[name] = json_or_text(found.get(name))
    for name in _JSON_ATTRIBUTES:
        if isinstance(found.get(name), str):
            found[name] = json_or_text(found[name])
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
        created = EPOCH + timedelta(microseconds=start // 1000)
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
            "code": enum_name(row.get("status_code"), STATUS, "STATUS_CODE_", first=0),
            "message": str(row.get("status_message") or ""),
        },
        "attributes": our_attributes(attributes),
        "events": [
            {
                "name": str(event.get("name") or ""),
                "time_ns": nanoseconds(event.get("timestamp"), f"{where}: event") or 0,
                "attributes": dict(event.get("attributes") or {}),
            }
            for event in list_of(row.get("events"), "events")
            if isinstance(event, Mapping)
        ],
    }
    return hex_id(context.get("trace_id", row.get("context.trace_id")), 16, f"{where}: trace_id"), span


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
