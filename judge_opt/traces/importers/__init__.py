"""From files, tables and tracking servers to traces and assessments in a store.

    report = import_traces(store, "support.jsonl")
    report = import_traces(store, "hf/train.parquet", columns={"inputs": ["question"], "outputs": "answer"})
    report = import_traces(store, "mlruns.db")            # an MLflow tracking database
    print(report)                                         # counts, and every bad row with its reason

Every format is read as a stream of `Record`s, so that memory does not grow with the file. A bad row is
reported and does not stop the rest. Importing again adds nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.traces.bulk import Record
    from judge_opt.traces.importers.formats import FORMATS
    from judge_opt.traces.importers.report import ImportReport, Skipped
    from judge_opt.traces.importers.run import import_traces, read_records

_HOMES = {
    "FORMATS": "judge_opt.traces.importers.formats",
    "ImportReport": "judge_opt.traces.importers.report",
    "Record": "judge_opt.traces.bulk",
    "Skipped": "judge_opt.traces.importers.report",
    "import_traces": "judge_opt.traces.importers.run",
    "read_records": "judge_opt.traces.importers.run",
}

__all__ = ["FORMATS", "ImportReport", "Record", "Skipped", "import_traces", "read_records"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
