"""Any Python value as JSON, for recording: bounded, and never in the way of the program that is recorded.

What JSON has is kept as it is. Dataclasses, pydantic models, named tuples and DSPy's examples become
objects; tables, arrays and tensors a summary with their shape; everything else a short `repr`. What had to
be cut is listed beside the value, so that a judge and a reader know that they do not see all of it.
"""

import dataclasses
import math
import re
from collections import deque
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

LISTED_CUTS = 20
"""Cuts that are listed one by one; the rest are only counted."""

_REPR = 500
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DIGITS = 4000  # Python refuses to write longer integers


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much of one recorded value is kept, and how many spans of one trace.

    Attributes:
        characters: text of one value, all its parts together.
        trace_characters: text of all values of one trace together.
        items: entries of one list or object.
        values: entries of one value, all its parts together.
        depth: nesting of one value.
        spans: spans of one trace; later ones are counted and not kept.
        events: events of one span.
    """

    characters: int = 1_000_000
    trace_characters: int = 50_000_000
    items: int = 10_000
    values: int = 100_000
    depth: int = 40
    spans: int = 100_000
    events: int = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """A value as it is recorded.

    Attributes:
        value: JSON.
        cuts: one `{"path", "kept", "of"}` a cut (characters of a text, entries of a list or object); at most
            20, the last of which then counts the others.
        characters: how much text it holds.
    """

    value: Any
    cuts: list[dict[str, Any]]
    characters: int


def as_json(value: Any, limits: Limits, characters: int | None = None) -> Recorded:
    """`value` as JSON, and what was cut. Never raises.

    Args:
        characters: what is left for text, where that is less than `limits` allows.
    """
    allowed = limits.characters if characters is None else max(0, min(characters, limits.characters))
    conversion = _Conversion(limits, allowed)
    try:
        found = conversion.convert(value, (), 0)
    except Exception as error:  # noqa: BLE001 - a property of the user's object raised; recording goes on
        found = f"<{_type_name(value)} that cannot be recorded: {type(error).__name__}>"
        conversion.cut((), 0, 1)
    return Recorded(found, conversion.all_cuts(), allowed - conversion.characters)


def short_repr(value: Any, limit: int = _REPR) -> str:
    """The `repr` of any object: without addresses, bounded, and never raising."""
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception as error:  # noqa: BLE001 - a broken __repr__ is the user's; recording goes on
        return f"<{_type_name(value)} without a repr: {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _Conversion:
    def __init__(self, limits: Limits, characters: int) -> None:
        self.limits = limits
        self.characters = characters
        self.values = limits.values
        self.open: set[int] = set()  # objects that are being converted, to find cycles
        self.cuts: list[dict[str, Any]] = []
        self.more_cuts = 0

    def convert(self, value: Any, path: tuple[str | int, ...], depth: int) -> Any:
        self.values -= 1
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self.text(value, path)
        if kind is int or kind is float:
            return self.number(value)
        if depth >= self.limits.depth or id(value) in self.open:
            self.cut(path, 0, 1)
            return f"<{_type_name(value)} {'nested too deeply' if id(value) not in self.open else 'again'}>"
        self.open.add(id(value))
        try:
            return self.other(value, path, depth)
        finally:
            self.open.discard(id(value))

    def other(self, value: Any, path: tuple[str | int, ...], depth: int) -> Any:
        if isinstance(value, Enum):
            return self.convert(value.value, path, depth + 1)
        if isinstance(value, str):
            return self.text(str(value), path)
        if isinstance(value, bool | int | float):
            return self.number(value)
        if isinstance(value, Mapping):
            return self.members(value, len(value), value.items(), path, depth)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            fields = dict(zip(value._fields, value, strict=False))
            return self.members(value, len(fields), fields.items(), path, depth)
        if isinstance(value, list | tuple | deque | Set):
            return self.entries(value, path, depth)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal | UUID | PurePath):
            return self.text(str(value), path)
        if isinstance(value, bytes | bytearray | memoryview):
            self.cut(path, 0, len(value))
            return f"<{len(value)} bytes>"
        if isinstance(value, BaseException):
            return {"type": _type_name(value), "message": self.text(str(value), path)}
        if (fields_of := _fields(value)) is not None:
            return self.members(value, len(fields_of), fields_of.items(), path, depth)
        if (summary := _summary(value)) is not None:
            return self.convert(summary, path, depth + 1)
        return self.text(short_repr(value), path)

    def text(self, value: str, path: tuple[str | int, ...]) -> str:
        if len(value) <= self.characters:
            self.characters -= len(value)
            return value
        kept, self.characters = self.characters, 0
        self.cut(path, kept, len(value))
        return value[:kept]

    def number(self, value: Any) -> Any:
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            return int(value) if value.bit_length() < 3 * _DIGITS else f"<int of {value.bit_length()} bits>"
        return float(value) if math.isfinite(value) else str(float(value))

    def entries(self, value: Any, path: tuple[str | int, ...], depth: int) -> list[Any]:
        found: list[Any] = []
        for index, item in enumerate(value):
            if index >= self.limits.items or self.values <= 0:
                self.cut(path, index, len(value))
                break
            found.append(self.convert(item, (*path, index), depth + 1))
        return found

    def members(self, value: Any, size: int, items: Any, path: tuple[str | int, ...], depth: int) -> Any:
        found: dict[str, Any] = {}
        for index, (key, item) in enumerate(items):
            if index >= self.limits.items or self.values <= 0:
                self.cut(path, index, size)
                break
            name = self.text(key if type(key) is str else _key(key), path)
            if name in found:  # 1 and "1" are two keys in Python and one in JSON
                name = f"{name} ({_type_name(key)})"
            found[name] = self.convert(item, (*path, name), depth + 1)
        return found

    def cut(self, path: tuple[str | int, ...], kept: int, of: int) -> None:
        if len(self.cuts) >= LISTED_CUTS - 1:
            self.more_cuts += 1
            return
        self.cuts.append({"path": ".".join(map(str, path))[:200], "kept": kept, "of": of})

    def all_cuts(self) -> list[dict[str, Any]]:
        if self.more_cuts:
            return [*self.cuts, {"path": "", "kept": 0, "of": 0, "further_cuts": self.more_cuts}]
        return self.cuts


def _key(key: Any) -> str:
    return (
        str(key.value) if isinstance(key, Enum) else short_repr(key) if not isinstance(key, str) else str(key)
    )


def _type_name(value: Any) -> str:
    return type(value).__name__


def _fields(value: Any) -> dict[str, Any] | None:
    """Name to value of what has declared fields; None for other objects. No serializer of the user runs."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value) if f.repr}
    kind = type(value)
    if isinstance(getattr(kind, "model_fields", None), Mapping):  # pydantic
        extra = getattr(value, "model_extra", None) or {}
        return {name: getattr(value, name, None) for name in kind.model_fields} | dict(extra)
    if any(base.__module__.startswith("dspy.") for base in kind.__mro__) and hasattr(value, "toDict"):
        return dict(value.items())
    return None


def _summary(value: Any) -> Any:
    """Tables, arrays and tensors in few words; None for other objects."""
    if not hasattr(value, "shape"):
        return None
    shape = [int(n) for n in value.shape]
    if not shape and hasattr(value, "item"):
        return value.item()
    what: dict[str, Any] = {"type": _type_name(value), "shape": shape}
    if hasattr(value, "columns") and hasattr(value, "head"):
        return what | {
            "columns": [str(name) for name in value.columns][:200],
            "head": value.head(5).to_dict(orient="records"),
        }
    if hasattr(value, "dtype"):
        what["dtype"] = str(value.dtype)
    if math.prod(shape) <= 100 and hasattr(value, "tolist"):
        return value.tolist()
    return what
