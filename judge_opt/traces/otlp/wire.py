"""OTLP's trace requests as JSON objects and as protobuf, and what a receiver answers.

Inside, a request is OTLP JSON (what `otlp_json.otlp_request` writes and `spans_of_request` reads); the
protobuf messages are those of the package `opentelemetry-proto`.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import encodable
from judge_opt.traces.otlp import protobuf

JSON_TYPE = "application/json"
PROTOBUF_TYPE = "application/x-protobuf"


def dump_request(request: Mapping[str, Any], content_type: str) -> bytes:
    """A request as bytes. In protobuf, lone surrogates become their escapes: it has only valid text.

    Raises:
        UsageError: protobuf is asked for and the package is missing.
    """
    if content_type == JSON_TYPE:
        return json.dumps(request, separators=(",", ":")).encode("ascii")
    return bytes(protobuf.to_message(request).SerializeToString())


def load_request(body: bytes, content_type: str) -> dict[str, Any]:
    """The OTLP JSON of a request's body.

    Raises:
        DataError: the body is not what its type says.
        UsageError: it is protobuf and the package is missing.
    """
    if content_type == JSON_TYPE:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise DataError(f"The body is no JSON ({error}).", "Send OTLP JSON.") from None
        if not isinstance(found, dict):
            raise DataError("The body is no JSON object.", "Send OTLP JSON.")
        return found
    return protobuf.from_message(body)


def dump_answer(content_type: str, rejected: int, message: str) -> bytes:
    """The answer to an accepted request: how many spans were not taken, and why."""
    if content_type == JSON_TYPE:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
        return json.dumps(partial if rejected or message else {}).encode("ascii")
    return protobuf.write_answer(rejected, message)


def load_answer(body: bytes, content_type: str) -> tuple[int, str]:
    """Rejected spans and the message of an answer; (0, "") where it says nothing that can be read."""
    try:
        if content_type == JSON_TYPE:
            partial = json.loads(body or b"{}").get("partialSuccess") or {}
            return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")
        return protobuf.read_answer(body)
    except (DataError, ValueError, AttributeError, TypeError):
        return 0, ""


def dump_error(content_type: str, message: str) -> bytes:
    """A google.rpc.Status with a message: what OTLP wants as the body of an error."""
    if content_type == JSON_TYPE:
        return json.dumps({"code": 3, "message": message}).encode("ascii")
    text = encodable(message).encode("utf-8")[:4000]
    return b"\x08\x03\x12" + _varint(len(text)) + text


def inflate(body: bytes, most: int) -> bytes:
    """The content of a gzip body, if it has at most `most` bytes: a bomb is not unpacked.

    Raises:
        DataError: it is no gzip, is cut off, or is larger.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise DataError(f"The body is no gzip ({error}).", "Send gzip, or no Content-Encoding.") from None
    if len(data) > most:
        raise DataError(f"The unpacked body has more than {most} bytes.", "Export in smaller batches.")
    if not unpacker.eof:
        raise DataError("The gzip body is cut off.", "Send it again.")
    return data


def _varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])
