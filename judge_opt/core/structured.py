"""Verdicts with a structure: lists, dictionaries, pydantic models. A JSON schema says what is allowed.

The schema is what is stored with a judge. Where the caller's own type is at hand, a verdict is returned as
that type; a judge that was loaded from a file has the schema alone and returns plain JSON values.
"""

import json
from functools import lru_cache
from typing import Any, cast, get_args, get_origin

from judge_opt.core.hashing import canonical_json
from judge_opt.core.results import Value

_PRIMITIVES = (str, int, float, bool)


def schema_of(declared: Any) -> str | None:
    """The JSON schema, as JSON text, of `dict`, `list`, `dict[str, T]` and `list[T]` of primitives, or of a
    pydantic model; None for anything else."""
    if declared is dict:
        return _text({"type": "object"})
    if declared is list:
        return _text({"type": "array"})
    origin, parts = get_origin(declared), get_args(declared)
    if (origin is list and parts[0] in _PRIMITIVES) or (
        origin is dict and parts[0] is str and parts[1] in _PRIMITIVES
    ):
        return _text(_adapter(declared).json_schema())
    if isinstance(declared, type) and hasattr(declared, "model_json_schema"):
        return _text(declared.model_json_schema())
    return None


def read_value(reply: Any, schema: str, model: Any = None) -> Value:
    """A verdict of this schema; a text is read as JSON first.

    Raises:
        ValueError: it is not of the schema; the message says where and why.
    """
    if isinstance(reply, str):
        try:
            reply = json.loads(reply, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ValueError(f"{reply[:60]!r} is not JSON") from None
    reply = to_json(reply)
    canonical_json(reply)  # refuses NaN and infinities, which Python's JSON reader lets in
    problem = next(iter(_validator(schema).iter_errors(reply)), None)
    if problem is not None:
        where = "".join(f"[{step!r}]" for step in problem.absolute_path)
        raise ValueError(f"the verdict{where}: {problem.message[:120]}")
    if model is None:
        return cast(Value, reply)
    from pydantic import ValidationError

    try:
        return cast(Value, _adapter(model).validate_python(reply, strict=False))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"the verdict at {first['loc']}: {first['msg']}") from None


def to_text(value: Any) -> str:
    """A structured value as canonical JSON: equal values have equal texts."""
    return canonical_json(to_json(value)).decode()


def to_json(value: Any) -> Any:
    """A verdict as a JSON value: what is stored of it."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))


@lru_cache(maxsize=64)
def _adapter(declared: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(declared)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, sort_keys=False)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
