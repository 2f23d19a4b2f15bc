"""From a store, or from any traces, to files and tables.

    export_traces(store, "traces.jsonl")                 # lossless, with the whole history of assessments
    export_traces(store, "labels.csv", rows="labels")    # one label a line, safe in a spreadsheet
    export_traces(store, "traces.parquet")
    frame = to_pandas(store)

JSON Lines and Parquet come back as they were with `import_traces`. CSV is for people: cells that a
spreadsheet would run as a formula get an apostrophe. OTLP has no place for assessments.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.traces.exporters.run import EXPORT_FORMATS, ExportReport, export_traces
    from judge_opt.traces.exporters.tables import to_arrow, to_pandas

_HOMES = {
    "EXPORT_FORMATS": "run",
    "ExportReport": "run",
    "export_traces": "run",
    "to_arrow": "tables",
    "to_pandas": "tables",
}

__all__ = ["EXPORT_FORMATS", "ExportReport", "export_traces", "to_arrow", "to_pandas"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
