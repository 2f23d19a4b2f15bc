"""Exports in which any field may hold anything: each reader gives records and bad rows, and never fails."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from import_help import JSON, row
from test_foreign_exports import CALL, FEEDBACK, LANGFUSE, RUN, otlp, otlp_span, phoenix_span

from judge_opt.core.errors import JudgeOptError
from judge_opt.traces.bulk import Record, prepare
from judge_opt.traces.importers import Skipped, read_records

GOOD: dict[str, list[Any]] = {
    "jsonl": [
        row(
            judge=[{"model": "m", "name": "tone", "value": 1}],
            tags={"a": "b"},
            expectations={"x": 1},
            session="s",
        ),
        row(
            "b",
            assessments=[{"name": "n", "value": 1, "created": "2024-01-01T00:00:00+00:00", "metadata": {}}],
        ),
    ],
    "otlp": [otlp(otlp_span("ab" * 8, **{"input.value": {"stringValue": "x"}}), service="s")],
    "openinference": [
        phoenix_span(annotations=[{"name": "n", "annotator_kind": "LLM", "result": {"score": 1}}])
    ],
    "langfuse": [LANGFUSE],
    "langsmith": [RUN, CALL, FEEDBACK],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("name", GOOD)
def test_any_field_may_hold_anything(name: str, data: st.DataObject) -> None:
    values = copy.deepcopy(GOOD[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(values)[1:]))
        values = put(values, place, data.draw(JSON))
    assume(not all(isinstance(value, str) for value in values))  # those would be paths
    for found in read_records(values, name):
        assert isinstance(found, (Record, Skipped))
        if isinstance(found, Record):
            try:
                prepare(found)  # what the store does with it before it writes
            except JudgeOptError as error:
                message, remedy = error.message, error.remedy
            else:
                continue
            assert message
            assert remedy
