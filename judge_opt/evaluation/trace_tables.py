"""Rows of the tables that `search_traces(return_type="pandas" or "arrow")` returns, as traces again."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from judge_opt.evaluation.plain import missing
from judge_opt.traces.schema import Assessment, Trace

_COLUMNS = frozenset({"trace_id", "session", "inputs", "outputs", "expectations", "tags", "metadata"})
_JSON = ("inputs", "outputs", "expectations", "tags", "metadata", "assessments", "spans")


def is_trace_row(row: Mapping[Any, Any]) -> bool:
    """True for a row with the columns of such a table."""
    return row.keys() >= _COLUMNS | {"assessments", "spans"}


def trace_of_row(row: Mapping[str, Any]) -> Trace:
    """The trace in a row; an Arrow table holds its values as JSON text."""
    cells = dict(row)
    if isinstance(cells["spans"], str):
        cells |= {name: json.loads(cells[name]) for name in _JSON if isinstance(cells[name], str)}
    known = set(Assessment.__dataclass_fields__)
    words = [{key: value for key, value in one.items() if key in known} for one in cells["assessments"]]
    return Trace(
        id=cells["trace_id"],
        inputs=cells["inputs"],
        outputs=cells["outputs"],
        expectations=cells["expectations"],
        session=None if missing(cells["session"]) else cells["session"],
        tags=cells["tags"],
        metadata=cells["metadata"],
        spans=tuple(cells["spans"]),
        assessments=tuple(
            Assessment(**{**one, "created": datetime.fromisoformat(one["created"])}) for one in words
        ),
    )
