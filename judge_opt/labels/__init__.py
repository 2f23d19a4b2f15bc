"""People's labels: imported, made into examples, split for good. Light: no database, no model.

cases = load_examples("pandalm.jsonl", "preference", categories("1", "2", "tie"))
split = make_split(cases.examples, train=50, test=0.5)
train, _, test = split.select(cases.examples)
check_no_leakage(train, test)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.labels.csv_rows import read_csv
    from judge_opt.labels.examples import FIELDS, LabelledExample, Vote
    from judge_opt.labels.importers import ImportResult, load_examples, read_rows
    from judge_opt.labels.leakage import check_no_leakage
    from judge_opt.labels.rows import Row, Skipped, SourceLabel, read_jsonl
    from judge_opt.labels.splits import Split, make_split
    from judge_opt.labels.stored import labelled_examples

_HOMES = {
    "FIELDS": "examples",
    "ImportResult": "importers",
    "LabelledExample": "examples",
    "Row": "rows",
    "Skipped": "rows",
    "SourceLabel": "rows",
    "Split": "splits",
    "Vote": "examples",
    "check_no_leakage": "leakage",
    "labelled_examples": "stored",
    "load_examples": "importers",
    "make_split": "splits",
    "read_csv": "csv_rows",
    "read_jsonl": "rows",
    "read_rows": "importers",
}

__all__ = [
    "FIELDS",
    "ImportResult",
    "LabelledExample",
    "Row",
    "Skipped",
    "SourceLabel",
    "Split",
    "Vote",
    "check_no_leakage",
    "labelled_examples",
    "load_examples",
    "make_split",
    "read_csv",
    "read_jsonl",
    "read_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
