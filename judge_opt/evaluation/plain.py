"""Values from outside as plain JSON values: what can be stored, hashed, and shown to a judge."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

from judge_opt.core.errors import DataError

_REMEDY = "Pass text, numbers, true/false, null, lists and objects with text keys."
_DEEPEST = 200


def plain(value: Any, where: str) -> Any:
    """`value` as JSON: numpy and pandas scalars as numbers, their missing values as null, tuples and arrays
    as lists, dates as ISO text, pydantic models, dataclasses and DSPy predictions as objects.

    Args:
        where: names the value in the error, such as "Row 'r1' inputs".

    Raises:
        DataError: it holds something that JSON cannot carry without loss; the message says where.
    """
    return _plain(value, where, 0)


def missing(value: Any) -> bool:
    """True for None, and for what a table holds in an empty cell (NaN, pandas' NA and NaT)."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def _plain(value: Any, where: str, depth: int) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return str(value) if isinstance(value, Enum) else value
    if isinstance(value, int) and not isinstance(value, Enum):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where}: {value} is not a JSON number.", _REMEDY)
        return float(value)
    if depth > _DEEPEST:
        raise DataError(f"{where} is nested too deeply.", "Flatten it.")
    if isinstance(value, Mapping):
        out = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                raise DataError(f"{where}: the key {key!r} is not text.", _REMEDY)
            out[key] = _plain(inner, f"{where}.{key}", depth + 1)
        return out
    if isinstance(value, (list, tuple)):
        return [_plain(inner, f"{where}[{i}]", depth + 1) for i, inner in enumerate(value)]
    return _plain(_unwrapped(value, where), where, depth + 1)


def _unwrapped(value: Any, where: str) -> Any:
    """A library's object as the plain value inside it."""
    if missing(value):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    for name in ("toDict", "tolist", "to_dict"):  # DSPy's predictions; numpy's and pandas' values
        if callable(made := getattr(value, name, None)):
            return made()
    raise DataError(f"{where}: a {type(value).__name__} is not a JSON value.", _REMEDY)
