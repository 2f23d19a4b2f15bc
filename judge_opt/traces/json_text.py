"""JSON values as ASCII text, so that any text survives any database.

SQLite's driver refuses lone surrogates and PostgreSQL refuses NUL. Written as JSON escapes, both are
plain ASCII. Keys are sorted: equal values have equal text, so that the text can be hashed.
"""

import json
import math
from typing import Any

from judge_opt.core.errors import DataError

_REMEDY = "Store text, numbers, true/false, null, lists and objects with text keys."


def dump_json(value: Any, what: str) -> str:
    """`value` as canonical ASCII JSON; tuples become lists.

    Args:
        what: names the value in the error, such as "trace 'a1' inputs".

    Raises:
        DataError: `value` holds something that JSON cannot carry without loss (NaN, a key that is not
            text, an object of another type); the message says where.
    """
    try:
        _check(value, "")
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except ValueError as error:
        raise DataError(f"{what}{error} cannot be stored as JSON.", _REMEDY) from None
    except RecursionError:
        raise DataError(f"{what} is nested too deeply to be stored as JSON.", "Flatten it.") from None


def load_json(text: str) -> Any:
    """The value of `dump_json`'s text.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.loads(text)


def _check(value: Any, path: str) -> None:
    """Raises ValueError with the path of the first value that would not round-trip."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{path}: the key {key!r}")
            _check(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _check(inner, f"{path}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path}: {value}")
    elif value is not None and not isinstance(value, (str, bool, int)):
        raise ValueError(f"{path}: a {type(value).__name__}")
