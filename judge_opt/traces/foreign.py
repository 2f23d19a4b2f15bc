"""Ids, times, enumerations and JSON texts of other systems, as ours."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash

STATUS = ("UNSET", "OK", "ERROR")
_HEX_TRACE = re.compile(r"^(?:tr-)?([0-9a-f]{32})$")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def list_of(value: Any, what: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{what} is not a list", "Export OTLP JSON.")
    return value


def enum_name(value: Any, names: Sequence[str], prefix: str, first: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        place = value - first
        return names[place] if 0 <= place < len(names) else names[0]
    text = str(value or "").upper().removeprefix(prefix)
    return text if text in names else names[0]


def json_or_text(value: Any) -> Any:
    """The JSON that a text holds; the text itself where it holds none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
