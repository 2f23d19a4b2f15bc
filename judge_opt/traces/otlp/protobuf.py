"""OTLP JSON to and from the messages of `opentelemetry-proto`, field by field.

protobuf's own JSON conversion does the same and is several times slower, which a trace of 100,000 spans
feels; it also wants ids in base64, where OTLP JSON has hex digits.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.text import encodable


def messages() -> Any:
    """The module of OTLP's trace requests and answers.

    Raises:
        UsageError: the package is missing.
    """
    try:
        return import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    except ImportError:
        raise UsageError(
            "OTLP as protobuf needs the package opentelemetry-proto.",
            "Run: pip install 'judge-opt[otel]'; or use JSON.",
        ) from None


def to_message(request: Mapping[str, Any]) -> Any:
    """The message for what `otlp_json.otlp_request` wrote."""
    message = messages().ExportTraceServiceRequest()
    for group in request["resourceSpans"]:
        resource_spans = message.resource_spans.add()
        _write_attributes(resource_spans.resource.attributes, group["resource"]["attributes"])
        for scope in group["scopeSpans"]:
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = scope["scope"]["name"]
            for span in scope["spans"]:
                _write_span(scope_spans.spans.add(), span)
    return message


def from_message(body: bytes) -> dict[str, Any]:
    """The OTLP JSON of a serialized request.

    Raises:
        DataError: it is none.
    """
    message = _parsed(messages().ExportTraceServiceRequest(), body, "trace request")
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _read_attributes(group.resource.attributes)},
                "scopeSpans": [
                    {"scope": {"name": scope.scope.name}, "spans": [_read_span(span) for span in scope.spans]}
                    for scope in group.scope_spans
                ],
            }
            for group in message.resource_spans
        ]
    }


def write_answer(rejected: int, message: str) -> bytes:
    """The answer to a request: how many spans were not taken, and why."""
    answer = messages().ExportTraceServiceResponse()
    if rejected or message:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    return bytes(answer.SerializeToString())


def read_answer(body: bytes) -> tuple[int, str]:
    """Rejected spans and the message of an answer.

    Raises:
        DataError: it is none.
    """
    answer = _parsed(messages().ExportTraceServiceResponse(), body, "answer")
    return int(answer.partial_success.rejected_spans), str(answer.partial_success.error_message)


def _parsed(message: Any, body: bytes, what: str) -> Any:
    try:
        message.ParseFromString(body)
    except import_module("google.protobuf.message").Error as error:
        raise DataError(f"The body is no OTLP {what} ({error}).", "Send OTLP.") from None
    return message


def _write_span(message: Any, span: Mapping[str, Any]) -> None:
    message.trace_id = bytes.fromhex(span["traceId"])
    message.span_id = bytes.fromhex(span["spanId"])
    if span.get("parentSpanId"):
        message.parent_span_id = bytes.fromhex(span["parentSpanId"])
    message.name = _text(span["name"])
    message.kind = span["kind"]
    message.start_time_unix_nano = _time(span["startTimeUnixNano"])
    message.end_time_unix_nano = _time(span["endTimeUnixNano"])
    message.status.code = span["status"]["code"]
    message.status.message = _text(span["status"]["message"])
    _write_attributes(message.attributes, span["attributes"])
    for event in span["events"]:
        written = message.events.add()
        written.name = _text(event["name"])
        written.time_unix_nano = _time(event["timeUnixNano"])
        _write_attributes(written.attributes, event["attributes"])


def _write_attributes(target: Any, pairs: Sequence[Mapping[str, Any]]) -> None:
    for pair in pairs:
        written = target.add()
        written.key = _text(pair["key"])
        written.value.SetInParent()
        _write_value(written.value, pair["value"])


def _write_value(target: Any, value: Mapping[str, Any]) -> None:
    for kind, inner in value.items():
        match kind:
            case "stringValue":
                target.string_value = _text(inner)
            case "boolValue":
                target.bool_value = inner
            case "intValue":
                target.int_value = int(inner)
            case "doubleValue":
                target.double_value = inner
            case "arrayValue":
                target.array_value.SetInParent()
                for one in inner["values"]:
                    _write_value(target.array_value.values.add(), one)
            case "kvlistValue":
                target.kvlist_value.SetInParent()
                _write_attributes(target.kvlist_value.values, inner["values"])


def _read_span(span: Any) -> dict[str, Any]:
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
        "status": {"code": span.status.code, "message": span.status.message},
        "attributes": _read_attributes(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": event.time_unix_nano,
                "attributes": _read_attributes(event.attributes),
            }
            for event in span.events
        ],
    }


def _read_attributes(pairs: Any) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": _read_value(pair.value)} for pair in pairs]


def _read_value(value: Any) -> dict[str, Any]:
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": value.int_value}
        case "double_value":
            number = value.double_value
            finite = number - number == 0
            return {"doubleValue": number} if finite else {"stringValue": str(number)}
        case "array_value":
            return {"arrayValue": {"values": [_read_value(one) for one in value.array_value.values]}}
        case "kvlist_value":
            return {"kvlistValue": {"values": _read_attributes(value.kvlist_value.values)}}
        case "bytes_value":
            return {"bytesValue": value.bytes_value.hex()}
    return {}


def _text(text: str) -> str:
    """Protobuf has no lone surrogates: they become their escapes."""
    return text if text.isascii() else encodable(text)


def _time(value: Any) -> int:
    """Nanoseconds since 1970, of which the wire has only those from 0 to 2**64."""
    return min(max(int(value), 0), 2**64 - 1)
