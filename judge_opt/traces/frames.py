"""Traces as a table: pandas or Arrow, always with the same columns."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from judge_opt.core.text import encodable
from judge_opt.traces.json_text import dump_json
from judge_opt.traces.schema import Trace

COLUMNS = (
    "trace_id", "created", "session", "name", "status", "execution_time_ms", "inputs", "outputs", "expectations",
    "tags", "metadata", "assessments", "spans",
)  # fmt: skip
_JSON = ("inputs", "outputs", "expectations", "tags", "metadata", "assessments", "spans")


def to_pandas(traces: Sequence[Trace]) -> Any:
    """A DataFrame, one row a trace; inputs and the like are Python values."""
    import pandas

    rows = [_row(trace) for trace in traces]
    columns = {
        column: pandas.Series([row[column] for row in rows], dtype=_PANDAS.get(column, object))
        for column in COLUMNS
    }
    return pandas.DataFrame(columns, columns=list(COLUMNS))


_PANDAS = {"created": "datetime64[us, UTC]", "execution_time_ms": "float64"}


def to_arrow(traces: Sequence[Trace]) -> Any:
    """A pyarrow Table, one row a trace; inputs and the like are JSON text, for a column has one type."""
    import pyarrow

    types = {
        "created": pyarrow.timestamp("us", tz="UTC"),
        "execution_time_ms": pyarrow.float64(),
    }
    schema = pyarrow.schema([(column, types.get(column, pyarrow.string())) for column in COLUMNS])
    rows = []
    for trace in traces:
        row = _row(trace)
        for column in _JSON:
            row[column] = dump_json(row[column], f"Trace {trace.id!r} {column}")
        rows.append(
            {key: encodable(value) if isinstance(value, str) else value for key, value in row.items()}
        )
    return pyarrow.Table.from_pylist(rows, schema=schema)


def _row(trace: Trace) -> dict[str, Any]:
    return {
        "trace_id": trace.id,
        "created": trace.created,
        "session": trace.session,
        "name": trace.name,
        "status": trace.status,
        "execution_time_ms": trace.execution_time_ms,
        "inputs": trace.inputs,
        "outputs": trace.outputs,
        "expectations": dict(trace.expectations),
        "tags": dict(trace.tags),
        "metadata": dict(trace.metadata),
        "assessments": [
            {**asdict(word), "created": word.created.isoformat(), "metadata": dict(word.metadata)}
            for word in trace.assessments
        ],
        "spans": [dict(span) for span in trace.spans],
    }
