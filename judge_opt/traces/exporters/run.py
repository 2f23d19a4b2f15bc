"""One export: traces go to a file as a stream, and the file is there whole or not at all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import canonical_json
from judge_opt.core.text import nearest
from judge_opt.traces.exporters import delimited, tables
from judge_opt.traces.exporters.files import replacing
from judge_opt.traces.exporters.objects import trace_object
from judge_opt.traces.otlp_json import otlp_request
from judge_opt.traces.schema import Trace

if TYPE_CHECKING:
    from judge_opt.traces.store import Store

EXPORT_FORMATS: Mapping[str, str] = {
    "jsonl": "one trace a line, lossless",
    "csv": "for spreadsheets: one trace or one label a line",
    "parquet": "one trace a row, lossless; needs pyarrow",
    "otlp": "OTLP JSON, one request a line; without assessments",
}
"""Format to what it writes."""

_ENDINGS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".otlp": "otlp",
}  # fmt: skip
_REQUEST_TRACES = 50


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `export_traces` wrote.

    Attributes:
        assessments: how many of them the file holds, history included.
    """

    path: Path
    format: str
    traces: int
    assessments: int

    def __str__(self) -> str:
        return f"{self.traces} traces and {self.assessments} assessments in {self.path} ({self.format})"


def export_traces(
    source: "Store | Iterable[Trace]",
    path: str | Path,
    format: str | None = None,
    *,
    rows: Literal["traces", "labels"] = "traces",
) -> ExportReport:
    """Writes the traces of a store, or the given ones, with what is known of them, to a file.

    Memory holds one page of traces. An existing file is replaced when the new one is complete.

    Args:
        format: one of `EXPORT_FORMATS`; by default what the path ends in.
        rows: of CSV: one line a trace, or one line an assessment.

    Raises:
        UsageError: nothing tells the format, or `rows` is for CSV only.
        ModelNotInstalled: Parquet without pyarrow.
        OSError: the file cannot be written; the previous one is intact.
    """
    file = Path(path).expanduser()
    name = format or _ENDINGS.get(file.suffix.lower())
    if name is None or name not in EXPORT_FORMATS:
        known = ", ".join(EXPORT_FORMATS)
        if format is None:
            raise UsageError(f"{file.name} does not tell the format.", f"Name one of: {known}.")
        raise UsageError(
            f"There is no format {format!r}.{nearest(format, EXPORT_FORMATS)}", f"Use one of: {known}."
        )
    if rows not in ("traces", "labels"):
        raise UsageError(f"rows={rows!r} is not known.", 'Use "traces" or "labels".')
    if rows == "labels" and name != "csv":
        raise UsageError(f"rows='labels' is for csv; {name} holds everything.", "Leave rows out.")
    if file.is_dir():
        raise UsageError(f"{file} is a folder.", "Give the path of a file.")
    traces = tables.traces_of(source)
    with replacing(file) as stream:
        match name:
            case "jsonl":
                counts = _write_jsonl(traces, stream)
            case "csv":
                counts = delimited.write_csv(traces, stream, rows)
            case "parquet":
                counts = tables.write_parquet(traces, stream)
            case _:
                counts = _write_otlp(traces, stream), 0
    return ExportReport(file, name, *counts)


def _write_jsonl(traces: Iterable[Trace], stream: IO[bytes]) -> tuple[int, int]:
    count = words = 0
    for trace in traces:
        stream.write(canonical_json(trace_object(trace)) + b"\n")
        count += 1
        words += len(trace.assessments)
    return count, words


def _write_otlp(traces: Iterable[Trace], stream: IO[bytes]) -> int:
    count = 0
    rest = iter(traces)
    while some := list(islice(rest, _REQUEST_TRACES)):
        stream.write(json.dumps(otlp_request(some), separators=(",", ":")).encode() + b"\n")
        count += len(some)
    return count
