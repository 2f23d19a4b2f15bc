"""From the tree of a filter to SQL: expressions of SQLAlchemy with bound values, never text.

Every condition is true or false, also where a value is missing: `x != 1` asks for an x that is not 1, and
`NOT x = 1` is true too where there is no x. A condition on feedback or expectations asks whether some
assessment that votes meets it; one on spans, whether some span does.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any as Anything

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from judge_opt.core.errors import UsageError
from judge_opt.traces.database import SafeText
from judge_opt.traces.filters.json_sql import (
    Bool,
    Dialect,
    JsonValue,
    collated,
    each,
    holds,
    like,
    number,
    plain_text,
)
from judge_opt.traces.filters.patterns import literal_pattern, write_pattern
from judge_opt.traces.filters.syntax import All, Any, Condition, Field, Node, Not, Value
from judge_opt.traces.tables import assessments, trace_tags, traces

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPED = SafeText()
_ANY_DIALECT = DefaultDialect()  # the escapes are the same in all
_TESTS: dict[str, Callable[[Anything, Anything], Bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_SPAN_PATHS = {
    "name": ("name",),
    "kind": ("kind",),
    "type": ("attributes", "openinference.span.kind"),
    "status": ("status", "code"),
}


def compile_filter(node: Node, dialect: Dialect) -> Bool:
    """The condition on `traces` that a filter states.

    Raises:
        UsageError: an operator or a value that does not go with its field; the message says where.
    """
    match node:
        case Not(inner):
            return sa.not_(compile_filter(inner, dialect))
        case All(parts):
            return sa.and_(*(compile_filter(part, dialect) for part in parts))
        case Any(parts):
            return sa.or_(*(compile_filter(part, dialect) for part in parts))
        case Condition():
            return _condition(node, dialect)


def _condition(what: Condition, dialect: Dialect) -> Bool:
    field = what.field
    match field.scope:
        case "attribute":
            return _attribute(what, dialect)
        case "tag":
            tagged = sa.select(trace_tags.c.trace_seq).where(trace_tags.c.key == field.name)
            if what.operator == "NULL":
                return traces.c.seq.not_in(tagged)
            return traces.c.seq.in_(tagged.where(_text_column(trace_tags.c.value, what, dialect)))
        case "metadata":
            return _json(JsonValue(traces.c.metadata_json, (field.name, *field.path), dialect), what)
        case "inputs":
            return _json(JsonValue(traces.c.inputs_json, field.path, dialect), what)
        case "outputs":
            return _json(JsonValue(traces.c.outputs_json, field.path, dialect), what)
        case "feedback":
            return _assessed(what, "feedback", dialect)
        case "expectation":
            return _expected(what, dialect)
        case "span":
            return _span(what, dialect)
        case "text":
            if what.operator not in ("LIKE", "ILIKE"):
                raise _wrong(field, "is searched with LIKE or ILIKE", "Write text LIKE '%word%'.")
            columns = (traces.c.inputs_json, traces.c.outputs_json, traces.c.spans_json)
            return sa.or_(*(_json(JsonValue(column, (), dialect), what) for column in columns))


def _attribute(what: Condition, dialect: Dialect) -> Bool:
    field = what.field
    if field.name == "timestamp":
        return _time(what)
    column = traces.c[field.name]
    if what.operator == "NULL":
        return column.is_(None)
    if field.name == "execution_time_ms":
        return _number_column(column, what)
    return _text_column(column, what, dialect)


def _text_column(column: Anything, what: Condition, dialect: Dialect) -> Bool:
    """A condition on a column of text (`SafeText` or plain)."""
    values = [_want_text(value, what.field) for value in what.values]
    if what.operator in ("LIKE", "ILIKE"):
        written = write_pattern(values[0], lambda text: _ESCAPED.process_bind_param(text, _ANY_DIALECT) or "")
        return like(sa.type_coerce(column, sa.Text), written, what.operator == "ILIKE", dialect)
    if what.operator == "IN":
        return sa.and_(column.is_not(None), column.in_(values))
    left = column if what.operator in ("=", "!=") else collated(column, dialect)
    return sa.and_(column.is_not(None), _TESTS[what.operator](left, values[0]))


def _number_column(column: Anything, what: Condition) -> Bool:
    values = [float(_want_number(value, what.field)) for value in what.values]
    if what.operator in ("LIKE", "ILIKE"):
        raise _wrong(what.field, "is a number", "Compare it with =, != , <, <=, > or >=.")
    if what.operator == "IN":
        return sa.and_(column.is_not(None), column.in_(values))
    return sa.and_(column.is_not(None), _TESTS[what.operator](column, values[0]))


def _time(what: Condition) -> Bool:
    """Times are stored as text whose order is time order; a number of milliseconds means all of the last
    one, as `= 1700000000000` must find what happened in that millisecond."""
    from judge_opt.traces.rows import time_text

    if what.operator == "NULL":
        return sa.false()
    if what.operator in ("LIKE", "ILIKE", "IN"):
        raise _wrong(what.field, "is a time", "Compare it with =, !=, <, <=, > or >=.")
    value = what.values[0]
    if isinstance(value, Decimal):
        width = timedelta(milliseconds=1)
        start = _moment(lambda: _EPOCH + timedelta(milliseconds=int(value)), what.field)
    else:
        text = _want_text(value, what.field)
        width = timedelta(microseconds=1)
        start = _moment(lambda: datetime.fromisoformat(text), what.field)
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
    try:
        low, high = time_text(start), time_text(start + width)
    except (OverflowError, ValueError):
        raise _wrong(what.field, "has a time that is out of range", "Use milliseconds since 1970.") from None
    created = traces.c.created
    tests: dict[str, Bool] = {
        "=": sa.and_(created >= low, created < high),
        "!=": sa.or_(created < low, created >= high),
        "<": created < low,
        "<=": created < high,
        ">": created >= high,
        ">=": created >= low,
    }
    return tests[what.operator]


def _moment(read: Callable[[], datetime], field: Field) -> datetime:
    try:
        return read()
    except (ValueError, OverflowError):
        raise _wrong(
            field,
            "is no time that can be read",
            "Write milliseconds since 1970, or text such as '2026-11-02T10:00:00Z'.",
        ) from None


def _json(value: JsonValue, what: Condition) -> Bool:
    """A condition on a value in JSON: numbers compare as numbers, text as text."""
    match what.operator:
        case "NULL":
            return value.text().is_(None)
        case "LIKE" | "ILIKE":
            pattern = _want_text(what.values[0], what.field)
            return value.like(pattern, what.operator == "ILIKE")
        case "IN":
            return sa.or_(*(_json_test(value, "=", one, what.field) for one in what.values))
        case operator:
            return _json_test(value, operator, what.values[0], what.field)


def _json_test(value: JsonValue, operator: str, wanted: Value, field: Field) -> Bool:
    if isinstance(wanted, bool):
        if operator not in ("=", "!="):
            raise _wrong(field, f"is compared by {operator} with true or false", "Use = or !=.")
        kind = sa.func.coalesce(value.kind(), "") == "boolean"
        return sa.and_(kind, _TESTS[operator](value.text(), "true" if wanted else "false"))
    if isinstance(wanted, Decimal):
        return _known(value.number(), operator, number(wanted, value.dialect))
    return _known(value.text(), operator, plain_text(wanted))


def _known(left: sa.ColumnElement[Anything], operator: str, right: Anything) -> Bool:
    return sa.and_(left.is_not(None), _TESTS[operator](left, right))


def _votes(kind: str, name: str) -> sa.Select[Anything]:
    return sa.select(assessments.c.trace_seq).where(
        assessments.c.kind == kind,
        assessments.c.name == name,
        assessments.c.is_current,
        assessments.c.retracted.is_(None),
        assessments.c.error.is_(None),
    )


def _assessed(what: Condition, kind: str, dialect: Dialect) -> Bool:
    field = what.field
    votes = _votes(kind, field.name)
    if what.operator == "NULL" and field.part == "value" and not field.path:
        return traces.c.seq.not_in(votes)
    match field.part:
        case "value":
            test = _json(JsonValue(assessments.c.value_json, field.path, dialect), what)
        case "metadata":
            test = _json(JsonValue(assessments.c.metadata_json, field.path, dialect), what)
        case part if what.operator == "NULL":
            test = assessments.c[part].is_(None)
        case part:
            test = _text_column(assessments.c[part], what, dialect)
    return traces.c.seq.in_(votes.where(test))


def _expected(what: Condition, dialect: Dialect) -> Bool:
    """What was logged later stands before what the trace was recorded with."""
    field = what.field
    if field.part != "value":
        return _assessed(what, "expectation", dialect)
    logged = traces.c.seq.in_(_votes("expectation", field.name))
    recorded = _json(JsonValue(traces.c.expectations_json, (field.name, *field.path), dialect), what)
    if what.operator == "NULL" and not field.path:
        return sa.and_(sa.not_(logged), recorded)
    return sa.or_(_assessed(what, "expectation", dialect), sa.and_(sa.not_(logged), recorded))


def _span(what: Condition, dialect: Dialect) -> Bool:
    field = what.field
    path = _SPAN_PATHS.get(field.name) or ("attributes", *field.path)
    spans = each(traces.c.spans_json, dialect)
    value = JsonValue(spans.c.value, path, dialect, parsed=dialect == "postgresql")
    if what.operator == "NULL":
        present = sa.exists().select_from(spans).where(value.text().is_not(None))
        return sa.not_(present)
    pattern = what.values[0]
    needed: list[Bool] = []
    if isinstance(pattern, str) and what.operator in ("=", "LIKE", "ILIKE"):
        text = literal_pattern(pattern) if what.operator == "=" else pattern
        needed = holds(traces.c.spans_json, text, what.operator == "ILIKE", dialect)
    return sa.and_(*needed, sa.exists().select_from(spans).where(_json(value, what)))


def _want_text(value: Value, field: Field) -> str:
    if isinstance(value, str):
        return value
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    raise _wrong(field, f"is text and is compared with {shown}", f"Write it in quotes: '{shown}'.")


def _want_number(value: Value, field: Field) -> Decimal:
    if isinstance(value, Decimal):
        return value
    raise _wrong(
        field, f"is a number and is compared with {str(value)[:40]!r}", "Write a number, without quotes."
    )


def _wrong(field: Field, what: str, remedy: str) -> UsageError:
    return UsageError(f"Filter, column {field.column}: `{field.text[:60]}` {what}.", remedy)
