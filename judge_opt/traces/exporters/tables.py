"""Traces as Parquet, Arrow and pandas, in the columns that `search_traces` uses too."""

from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from judge_opt.core.errors import ModelNotInstalled
from judge_opt.traces.database import SafeText
from judge_opt.traces.exporters.objects import trace_object
from judge_opt.traces.importers.tables import JSON_COLUMNS, MARK
from judge_opt.traces.json_text import dump_json
from judge_opt.traces.schema import Trace

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from judge_opt.traces.store import Store

GROUP_ROWS = 5000
GROUP_TEXT = 4 * 2**20
"""Characters of JSON after which a row group ends earlier: traces can be large, and a group is in memory."""
COLUMNS = ("trace_id", "created", "session", *JSON_COLUMNS)
_REMEDY = "Run: pip install 'judge-opt[tables]'."
_TEXT = SafeText()


def to_pandas(source: "Store | Iterable[Trace]") -> "pandas.DataFrame":
    """One row a trace: `trace_id`, `created`, `session`, and the parts of the trace as Python values.

    Raises:
        ModelNotInstalled: pandas is missing.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise ModelNotInstalled("A DataFrame needs pandas.", _REMEDY) from None
    rows = []
    for trace in traces_of(source):
        found = trace_object(trace)
        rows.append({"trace_id": found.pop("id"), **found, "created": trace.created})
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def to_arrow(source: "Store | Iterable[Trace]") -> "pyarrow.Table":
    """One row a trace; parts that are any JSON are columns of JSON text, so that every table has one schema.

    Raises:
        ModelNotInstalled: pyarrow is missing.
    """
    pa = _arrow()
    batches = list(_batches(traces_of(source), pa))
    return pa.Table.from_batches(batches, schema=_schema(pa))


def write_parquet(traces: Iterable[Trace], stream: IO[bytes]) -> tuple[int, int]:
    """Writes the traces, at most 5,000 and about 4 MB of text a row group, with checksums, and returns how
    many traces and assessments."""
    pa = _arrow()
    import pyarrow.parquet as pq

    counts = [0, 0]

    def counted() -> Iterator[Trace]:
        for trace in traces:
            counts[0] += 1
            counts[1] += len(trace.assessments)
            yield trace

    with pq.ParquetWriter(stream, _schema(pa), compression="zstd", write_page_checksum=True) as writer:
        for batch in _batches(counted(), pa):
            writer.write_batch(batch)
    return counts[0], counts[1]


def traces_of(source: "Store | Iterable[Trace]") -> Iterable[Trace]:
    """The traces of a store, in the order in which they were added, or the traces themselves."""
    from judge_opt.traces.store import Store

    return source.iter_traces() if isinstance(source, Store) else source


def _arrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise ModelNotInstalled("Parquet and Arrow need pyarrow.", _REMEDY) from None
    return pyarrow


def _schema(pa: Any) -> Any:
    fields = [(name, pa.timestamp("us", "UTC") if name == "created" else pa.string()) for name in COLUMNS]
    return pa.schema(fields, metadata={MARK: b"1"})


def _batches(traces: Iterable[Trace], pa: Any) -> Iterator[Any]:
    schema = _schema(pa)
    rows: list[dict[str, Any]] = []
    held = 0
    for trace in traces:
        rows.append(_row(trace))
        held += sum(len(rows[-1][name]) for name in JSON_COLUMNS)
        if len(rows) == GROUP_ROWS or held > GROUP_TEXT:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows, held = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _row(trace: Trace) -> dict[str, Any]:
    """Ids are text of any code points, which Arrow's are not: they are escaped as in the database."""
    found = trace_object(trace)
    row: dict[str, Any] = {name: dump_json(found[name], name) for name in JSON_COLUMNS}
    row["trace_id"] = _TEXT.process_bind_param(trace.id, None)  # type: ignore[arg-type]
    row["session"] = _TEXT.process_bind_param(trace.session, None)  # type: ignore[arg-type]
    row["created"] = trace.created
    return row
