"""The names that a filter can use, and what is meant by them."""

from collections.abc import Sequence

from judge_opt.core.errors import UsageError
from judge_opt.core.text import nearest
from judge_opt.traces.filters.syntax import Field, Scope

ATTRIBUTES = {
    "id": "id",
    "trace_id": "id",
    "request_id": "id",
    "name": "name",
    "status": "status",
    "state": "status",
    "session": "session",
    "session_id": "session",
    "timestamp": "timestamp",
    "timestamp_ms": "timestamp",
    "created": "timestamp",
    "execution_time_ms": "execution_time_ms",
    "execution_time": "execution_time_ms",
}
SCOPES: dict[str, Scope] = {
    "attribute": "attribute",
    "attributes": "attribute",
    "trace": "attribute",
    "tag": "tag",
    "tags": "tag",
    "metadata": "metadata",
    "request_metadata": "metadata",
    "feedback": "feedback",
    "expectation": "expectation",
    "expectations": "expectation",
    "input": "inputs",
    "inputs": "inputs",
    "output": "outputs",
    "outputs": "outputs",
    "span": "span",
    "spans": "span",
    "text": "text",
}
SPAN_PARTS = ("name", "type", "kind", "status", "attributes")
ASSESSMENT_PARTS = ("value", "rationale", "source_type", "source_id", "metadata")
_EXAMPLE = {
    "tag": "tags.env",
    "metadata": "metadata.model",
    "feedback": "feedback.is_correct",
    "expectation": "expectations.answer",
}


def resolve(parts: Sequence[tuple[str, bool]], text: str, column: int) -> Field:
    """The field of a dotted name.

    Args:
        parts: each part, and whether it was quoted: a quoted part is never a keyword.

    Raises:
        UsageError: there is no such field; the nearest is named.
    """
    first, quoted = parts[0]
    rest = [part for part, _ in parts[1:]]
    scope = None if quoted else SCOPES.get(first.lower())
    if scope is None:
        if len(parts) == 1 and not quoted and first.lower() in ATTRIBUTES:
            return Field("attribute", ATTRIBUTES[first.lower()], text=text, column=column)
        raise _unknown(text, column, first, (*SCOPES, *ATTRIBUTES))
    if scope == "attribute":
        if len(rest) == 1 and rest[0].lower() == "text":
            return Field("text", text=text, column=column)
        if len(rest) != 1 or rest[0].lower() not in ATTRIBUTES:
            raise _unknown(text, column, ".".join(rest), (*ATTRIBUTES, "text"))
        return Field("attribute", ATTRIBUTES[rest[0].lower()], text=text, column=column)
    if scope in ("inputs", "outputs", "text"):
        if scope == "text" and rest:
            raise _error(text, column, "`text` is all text of the trace and has no parts")
        return Field(scope, path=tuple(rest), text=text, column=column)
    if not rest:
        example = _EXAMPLE.get(scope, "span.name")
        raise _error(text, column, f"`{first}` needs a name after a dot, such as {example}")
    if scope == "span":
        return _span(rest, text, column)
    if scope == "tag":
        return Field(scope, ".".join(rest), text=text, column=column)
    if scope == "metadata":
        return _metadata(parts[1:], text, column)
    return _assessment(scope, parts[1:], text, column)


def _span(rest: list[str], text: str, column: int) -> Field:
    part = rest[0].lower()
    if part not in SPAN_PARTS:
        raise _unknown(text, column, part, SPAN_PARTS)
    if part == "attributes":
        if len(rest) < 2:
            raise _error(
                text, column, "`span.attributes` needs a name, such as span.attributes.gen_ai.tool.name"
            )
        return Field("span", part, (".".join(rest[1:]),), text=text, column=column)
    if len(rest) > 1:
        raise _error(text, column, f"`span.{part}` has no parts")
    return Field("span", part, text=text, column=column)


def _metadata(parts: Sequence[tuple[str, bool]], text: str, column: int) -> Field:
    """`metadata.a.b` is the key `a.b`; after a quoted key, the rest is a path into its value."""
    key, quoted = parts[0]
    if quoted:
        return Field("metadata", key, tuple(part for part, _ in parts[1:]), text=text, column=column)
    return Field("metadata", ".".join(part for part, _ in parts), text=text, column=column)


def _assessment(scope: Scope, parts: Sequence[tuple[str, bool]], text: str, column: int) -> Field:
    """`feedback.a.b` is the name `a.b`, unless `b` is a part of every assessment."""
    for place, (part, quoted) in enumerate(parts):
        if place == 0 or quoted or part.lower() not in ASSESSMENT_PARTS:
            continue
        name = ".".join(one for one, _ in parts[:place])
        path = tuple(one for one, _ in parts[place + 1 :])
        if path and part.lower() not in ("value", "metadata"):
            raise _error(text, column, f"`{part}` of an assessment has no parts")
        return Field(scope, name, path, part.lower(), text, column)
    return Field(scope, ".".join(one for one, _ in parts), text=text, column=column)


def _unknown(text: str, column: int, name: str, known: Sequence[str]) -> UsageError:
    hint = nearest(name.lower(), known)
    return _error(text, column, f"there is no field `{text[:60]}`.{hint}".rstrip("."))


def _error(text: str, column: int, what: str) -> UsageError:
    mark = "" if what.endswith("?") else "."
    return UsageError(
        f"Filter, column {column}: {what}{mark}",
        "Use id, name, status, session, timestamp_ms, execution_time_ms, tags.x, metadata.x, feedback.x, "
        "expectations.x, inputs.x, outputs.x, span.name or text.",
    )
