"""Values of tables and files as JSON values, and long texts cut with a record of the cut.

Unlike recording a running program (`judge_opt.traces.as_json`), an import never guesses: a value that JSON
cannot carry makes the row a bad row.
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from judge_opt.core.errors import DataError

MAX_TEXT = 10_000_000
"""Longest text that is imported whole, in characters, unless the caller says otherwise."""

_EMPTY = ("NAType", "NaTType")  # pandas.NA and pandas.NaT, without importing pandas


def jsonable(value: Any, where: str) -> Any:
    """`value` as JSON: NumPy's and Arrow's scalars and arrays, times and decimals become what JSON has.

    Args:
        where: names the value in the error.

    Raises:
        DataError: JSON cannot carry it (bytes, an image, any other object).
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if type(value).__name__ in _EMPTY:
        return None
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(key): jsonable(inner, f"{where}.{key}")
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(inner, where) for inner in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return jsonable(value.tolist(), where)
    if hasattr(value, "as_py"):  # an Arrow scalar
        return jsonable(value.as_py(), where)
    raise DataError(
        f"{where} is a {type(value).__name__}, which JSON cannot carry.",
        "Leave the column out, or turn it into text, numbers, lists or objects.",
    )


def missing(value: Any) -> bool:
    """True for the empty cell of a table: None, NaN, NaT, pandas.NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in _EMPTY


def when(value: Any, where: str) -> datetime | None:
    """A time from ISO 8601 text, a datetime, or seconds, milliseconds, microseconds or nanoseconds since
    1970 (told apart by their size); a time without a zone is UTC. None for None and "".

    Raises:
        DataError: it is none of these.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, str):
            text = value.strip()
            if not text.isdigit():
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            value = int(text)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return since_1970(value)
    except (ValueError, OverflowError, OSError):
        pass
    raise DataError(f"{where}: {str(value)[:60]!r} is no time.", "Write it in ISO 8601, with a time zone.")


def since_1970(number: float) -> datetime:
    """The time of a number whose unit its size tells: seconds until the year 5138, then milli, micro, nano."""
    units = ((1e11, 1), (1e14, 10**3), (1e17, 10**6))
    unit = next((unit for limit, unit in units if abs(number) < limit), 10**9)
    if isinstance(number, int):
        seconds, rest = divmod(number, unit)
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest * 10**6 // unit)
    return datetime.fromtimestamp(number / unit, UTC)


def shorten(value: Any, limit: int, path: str, cuts: dict[str, list[dict[str, Any]]], name: str) -> Any:
    """`value` with texts of more than `limit` characters cut; each cut is noted under `cuts[name]`."""
    if isinstance(value, str):
        if len(value) <= limit:
            return value
        cuts.setdefault(name, []).append({"path": path, "kept": limit, "of": len(value)})
        return value[:limit]
    if isinstance(value, Mapping):
        return {
            key: shorten(inner, limit, f"{path}.{key}" if path else str(key), cuts, name)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            shorten(inner, limit, f"{path}.{index}" if path else str(index), cuts, name)
            for index, inner in enumerate(value)
        ]
    return value
