"""Rows, traces and hostile texts for the tests of importers and exporters."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from judge_opt.traces import Store, Trace
from judge_opt.traces.schema import Assessment

HOSTILE = (
    "\ud800 lone", "nul \x00 here", "\u202ertl\u202c \u200d", "e\u0301 \xe9", "a\r\nb\rc\n", "=1+1", "'=1", "@x",
    "\t\u2028\x85", "{{ x }} {% y %} %s", '{"json": ["in", 1]}', "[]", "", " ", "null", "-1", "NaN", "\\ud800 \\0",
    "<script>alert(1)</script>", "👩‍👩‍👧", "\ufeffbom", '"', "a,b;c\td",
)  # fmt: skip

# A high and a low surrogate side by side are one character to JSON: no JSON file can tell them apart.
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
    st.characters(categories=("Cs",)),
)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS.filter(bool), inner, max_size=4)
    ),
    max_leaves=8,
)

NAMES = TEXTS.filter(lambda text: 1 <= len(text) <= 60)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
SPANS = st.lists(
    st.fixed_dictionaries(
        {
            "span_id": st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
            "parent_id": st.none(),
            "name": TEXTS,
            "attributes": st.dictionaries(TEXTS, JSON, max_size=3),
        }
    ),
    max_size=2,
)
TRACES = st.builds(
    Trace,
    id=NAMES,
    inputs=JSON.filter(lambda value: value is not None),
    outputs=JSON,
    expectations=st.dictionaries(TEXTS, JSON, max_size=2),
    session=st.none() | NAMES,
    tags=st.dictionaries(NAMES, TEXTS, max_size=2),
    metadata=st.dictionaries(TEXTS, JSON, max_size=2),
    spans=SPANS.map(tuple),
    created=MOMENTS,
)
SAID = st.lists(
    st.tuples(NAMES, JSON.filter(lambda value: value is not None), st.none() | TEXTS, NAMES), max_size=4
)


def row(
    item: str = "a", labels: Iterable[tuple[str, str, Any]] = (("ana", "tone", "kind"),), **more: Any
) -> Any:
    human = [dict(zip(("rater", "name", "value"), label, strict=True)) for label in labels]
    return {"id": item, "inputs": {"q": "x"}, "outputs": {"answer": "y"}, "human": human, **more}


def write_lines(path: Path, *rows: Any) -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def contents(store: Store) -> list[tuple[Trace, tuple[Assessment, ...]]]:
    """Everything that can be read of a store, sorted by trace id."""
    return sorted(((trace, trace.assessments) for trace in store.iter_traces()), key=lambda pair: pair[0].id)


def store_all(store: Store, traces: list[tuple[Trace, Any]]) -> None:
    """Stores the traces with replaced, retracted, overridden and failed assessments."""
    store.add_traces(trace for trace, _ in traces)
    for trace, said in traces:
        for place, (name, value, rationale, rater) in enumerate(said):
            word = store.log_feedback(trace.id, name, value, rationale, rater=rater, metadata={"n": place})
            if place % 3 == 1:
                store.log_feedback(trace.id, name, [value], rater=rater)
            if place % 3 == 2:
                store.retract(word.id)
            if place == 0:
                store.override(word.id, "better", "why not", rater="chief")
                store.log_expectation(trace.id, name, {"is": value}, source="CODE", rater=rater)
