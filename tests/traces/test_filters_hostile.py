"""Any text can be stored and looked for: nothing is injected, nothing breaks, the right trace is found."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import UsageError
from judge_opt.traces import Trace
from judge_opt.traces.filters.json_sql import plain_text
from judge_opt.traces.filters.parse import parse_filter

SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE traces; --",
    "%' ESCAPE '!",
    ":id",
    "{0}",
    "$1",
    "\\",
    "\\'",
    "\\\\ud800",
]
TEXT = st.text(st.characters(exclude_categories=()), max_size=12).filter(
    lambda text: json.loads(json.dumps(text)) == text
) | st.sampled_from(SQL)
KEY = TEXT.filter(bool)
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def pattern(text):
    return "".join("\\" + char if char in "\\%_" else char for char in text)


def name(text):
    return "`" + text.replace("`", "``") + "`"


@RELAXED
@given(key=KEY, value=TEXT)
@example(key="\\ud83d", value="\\ud83d\ude00")
@example(key="\x00", value="\\\ud83d")
@example(key="`", value="''")
@example(key="a\U0001f600", value="\ude00\ud83d!%_\\")
def test_what_is_stored_is_found_by_itself(store, key, value):
    trace = Trace(
        inputs={key: value, "x": [value]},
        outputs=value,
        expectations={key: value},
        session=value or None,
        tags={key: value},
        metadata={key: value, "other": "\ud800\x00"},
        spans=[{"span_id": "a", "parent_id": None, "name": value, "attributes": {key: value}}],
    )
    other = Trace(metadata={key: value + "x"}, tags={key: value + "x"}, outputs={"a": "\x00\ud800\\u0000"})
    store.add_traces([trace, other])
    store.log_feedback(trace.id, key, value or "x", rationale=value)
    conditions = [
        f"{field} = {quoted(value)}"
        for field in (
            f"inputs.{name(key)}",
            "inputs.x.0",
            "outputs",
            f"expectations.{name(key)}",
            f"tags.{name(key)}",
            f"metadata.{name(key)}",
            "name",
            "span.name",
            f"span.attributes.{name(key)}",
            f"feedback.{name(key)}.rationale",
        )
    ]
    conditions += [f"session = {quoted(value)}"] if value else []
    conditions += [
        f"{field} {like} {quoted(pattern(value))}"
        for field in ("outputs", f"tags.{name(key)}", f"metadata.{name(key)}", "name")
        for like in ("LIKE", "ILIKE")
    ]
    conditions.append(f"text LIKE {quoted('%' + pattern(value) + '%')}")
    for condition in conditions:
        found = {one.id for one in store.search_traces(condition, max_results=1000)}
        assert trace.id in found, condition
        if condition.startswith(("tags", "metadata")) and "ILIKE" not in condition:
            assert other.id not in found, condition
        rest = {one.id for one in store.search_traces(f"NOT ({condition})", max_results=1000)}
        assert not found & rest
        assert found | rest >= {trace.id, other.id}


@RELAXED
@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
@example(text="id = 'a' UNION SELECT 1")
@example(text="id = 'a' /* */")
def test_any_text_is_a_filter_or_a_usage_error(store, text):
    store.add_trace(Trace("always"))
    with suppress(UsageError):
        store.search_traces(text)
    assert store.get_trace("always").id == "always"


OPERATORS = ["=", "<", "LIKE", "IN", "(", ")", ",", "NOT", "AND", "OR", "IS", "NULL", ".", "-"]
FIELDS = ["id", "tags", "a", "feedback", "text", "span", "name", "`q`", "inputs", "metadata", "timestamp"]
WORDS = st.sampled_from([*OPERATORS, *FIELDS, "'x'", "3", "true"])


@RELAXED
@given(words=st.lists(WORDS, max_size=15))
def test_any_words_are_a_filter_or_a_usage_error(store, words):
    with suppress(UsageError):
        store.search_traces(" ".join(words))


VALUES = [
    None,
    True,
    False,
    0,
    1,
    4,
    4.5,
    -1e300,
    10**30,
    "",
    "4",
    "true",
    "x",
    "X",
    [1],
    {"a": "x"},
    "é",
    "\x00",
]
LITERALS = [
    "true",
    "false",
    "4",
    "4.5",
    "1e3",
    "'4'",
    "'x'",
    "'true'",
    "''",
    "-0",
    "1000000000000000000000000000000",
]


def text_form(value):
    return plain_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def by_hand(value, operator, literal):
    """The meaning of a comparison, written down once more, without SQL."""
    if value is None:
        return False
    if literal in ("true", "false"):
        left, right = (text_form(value), literal) if isinstance(value, bool) else (None, None)
    elif literal.startswith("'"):
        left, right = text_form(value), literal[1:-1]
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        left, right = (value, Decimal(literal)) if number else (None, None)
    if left is None:
        return False
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        ">=": left >= right,
    }[operator]


@pytest.mark.parametrize("literal", LITERALS)
def test_both_databases_compare_as_it_is_written_down(store, literal):
    store.add_traces(Trace(f"t{n:02}", metadata={"v": value}) for n, value in enumerate(VALUES))
    for operator in ("=", "!=") if literal in ("true", "false") else ("=", "!=", "<", ">="):
        found = [one.id for one in store.search_traces(f"metadata.v {operator} {literal}")]
        wanted = [f"t{n:02}" for n, value in enumerate(VALUES) if by_hand(value, operator, literal)]
        assert found == wanted, operator


def test_a_deep_tree_is_told_apart_from_a_broken_one():
    deep = parse_filter("(" * 300 + "id = 'a'" + ")" * 300)
    assert (deep.operator, deep.values) == ("=", ("a",))
