"""Rows, traces and hostile texts for the tests of importers and exporters."""

import json
from collections.abc import Iterable
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
