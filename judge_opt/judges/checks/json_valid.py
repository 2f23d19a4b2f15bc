"""Is a text valid JSON, and does it follow a schema?"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.judges.checks.code_check import CodeCheck, shipped_check
from judge_opt.judges.checks.text import YES_NO, verdict

PATTERN_SECONDS = 1.0
"""For one `pattern` of a schema on one text."""


def JSONValid(  # noqa: N802 - called like a class
    schema: Mapping[str, Any] | None = None,
    *,
    field: str = "outputs",
    name: str = "json_valid",
    description: str = "",
) -> CodeCheck:
    """yes where a text is one JSON value, and follows `schema` where one is given. A field that is no text is
    taken as the value itself. NaN and infinities are no JSON.

    Args:
        schema: JSON Schema, draft 2020-12. References lead into the schema itself only: nothing is fetched.

    Raises:
        UsageError: the schema is none, or has patternProperties, whose patterns cannot be bounded in time.
    """
    follows = _validator(schema) if schema is not None else None

    def run(value: Any) -> Scored | Unscored:
        try:
            if isinstance(value, str):
                value = json.loads(value, parse_constant=_no_number, parse_int=_whole)
            if follows is None:
                return verdict(True, "valid JSON")
            fault = next(follows.iter_errors(value), None)
        except RecursionError:
            return Unscored("too_long", "the JSON is nested too deeply to be read")
        except OverflowError:
            return Unscored("too_long", "the JSON holds a number that is too long to be read")
        except ValueError as error:
            return verdict(False, f"no valid JSON: {_line(error)}")
        if fault is None:
            return verdict(True, "valid JSON that follows the schema")
        return verdict(
            False,
            f"does not follow the schema at {_line(fault.json_path)}: {fault.validator}",
            path=list(fault.absolute_path),
        )

    return shipped_check(
        name,
        run,
        "The text is valid JSON."
        if schema is None
        else f"The text is JSON of the schema {json.dumps(schema)}.",
        [field],
        YES_NO,
        shipped=("JSONValid", {"schema": dict(schema) if schema is not None else None, "field": field}),
        description=description or ("Valid JSON?" if schema is None else "JSON that follows a schema?"),
    )


def _validator(schema: Mapping[str, Any]) -> Any:
    """Raises:
    UsageError: see `JSONValid`.
    """
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import extend
    from referencing import Registry

    try:
        text = json.dumps(schema, allow_nan=False)
        Draft202012Validator.check_schema(schema)
    except (SchemaError, TypeError, ValueError) as error:
        raise UsageError(
            f"The schema is no JSON Schema ({_line(getattr(error, 'message', error))}).", "Correct it."
        ) from None
    if '"patternProperties"' in text:
        raise UsageError(
            "JSONValid takes no patternProperties: their patterns cannot be bounded in time.",
            "List the properties, or check the keys with a function of your own.",
        )
    bounded = extend(Draft202012Validator, {"pattern": _pattern})
    return bounded(schema, registry=Registry())


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[Any]:
    """`pattern`, bounded in time.

    Raises:
        TimeoutError: the pattern took too long on this text; the check then leaves the item Unscored.
    """
    import regex
    from jsonschema import ValidationError

    if isinstance(text, str):
        try:
            found = regex.search(pattern, text, timeout=PATTERN_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"a pattern of the schema took more than {PATTERN_SECONDS:g} s") from None
        if found is None:
            yield ValidationError("no match of the pattern")


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _whole(digits: str) -> int:
    """Python reads integers of at most 4,300 digits."""
    if len(digits) > 4000:
        raise OverflowError
    return int(digits)


def _line(value: Any) -> str:
    return " ".join(printable(str(value)).split())[:160]
