"""From a Python annotation to a value type."""

import types
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from judge_opt.core.errors import TemplateError
from judge_opt.core.values import BOOL, ValueType

_PLAIN = {str: "text", int: "int", float: "float"}
_REMEDY = (
    "Use bool, str, int, float, Literal[...], categories(...), ordered(...), scale(low, high), "
    "interval(low, high), preference(a, b, tie=...), dict, list, a pydantic model, or one of them | None."
)


def value_type_of(declared: Any) -> ValueType:
    """See `ValueType.of`."""
    if isinstance(declared, ValueType):
        return declared
    if declared is bool:
        return BOOL
    if declared in _PLAIN:
        return ValueType(_PLAIN[declared])  # type: ignore[arg-type]
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        return _optional(declared)
    if origin is Annotated:
        return _bounded(declared)
    if origin is Literal:
        return _literal(declared)
    if isinstance(declared, type) and issubclass(declared, Enum):
        members = [member.value for member in declared]
        if members and all(isinstance(value, str) for value in members):
            return ValueType("nominal", tuple(members))
        raise _unsupported(declared)
    return _structured(declared)


def _unsupported(declared: Any, why: str = "") -> TemplateError:
    return TemplateError(f"feedback_value_type={declared!r} is not supported{why}.", _REMEDY)


def _optional(declared: Any) -> ValueType:
    from dataclasses import replace

    others = [part for part in get_args(declared) if part is not type(None)]
    if len(others) != 1 or len(others) == len(get_args(declared)):
        raise _unsupported(declared, ": one type or one type | None")
    return replace(value_type_of(others[0]), optional=True)


def _literal(declared: Any) -> ValueType:
    options = get_args(declared)
    if all(isinstance(o, str) for o in options):
        return ValueType("nominal", tuple(options))
    if set(options) == {True, False} and all(isinstance(o, bool) for o in options):
        return BOOL
    if all(isinstance(o, int) and not isinstance(o, bool) for o in options):
        ordered = sorted(options)
        if ordered == list(range(ordered[0], ordered[-1] + 1)) and len(ordered) > 1:
            return ValueType("int", low=ordered[0], high=ordered[-1])
    raise _unsupported(declared, ": its options must be texts, or whole numbers without a gap")


def _bounded(declared: Any) -> ValueType:
    """`Annotated[int, Field(ge=1, le=5)]`: bounds as pydantic and annotated_types write them."""
    base, *notes = get_args(declared)
    low = high = None
    for note in notes:
        for part in getattr(note, "metadata", None) or [note]:
            if getattr(part, "gt", None) is not None or getattr(part, "lt", None) is not None:
                raise _unsupported(declared, ": bounds are inclusive here, so write ge and le")
            low = getattr(part, "ge", None) if getattr(part, "ge", None) is not None else low
            high = getattr(part, "le", None) if getattr(part, "le", None) is not None else high
    if base not in (int, float):
        return value_type_of(base)
    return ValueType(_PLAIN[base], low=low, high=high)  # type: ignore[arg-type]


def _structured(declared: Any) -> ValueType:
    from judge_opt.core.structured import schema_of

    schema = schema_of(declared)
    if schema is None:
        raise _unsupported(declared)
    return ValueType("json", schema=schema, model=declared)
