"""The table of an evaluation as files."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge_opt.core.files import write_bytes, write_text
from judge_opt.evaluation.journal import json_bytes

if TYPE_CHECKING:
    from judge_opt.evaluation.result import EvaluationResult

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_jsonl(result: "EvaluationResult", path: Path) -> None:
    """One JSON object a row, without loss."""
    write_bytes(path, b"".join(json_bytes(row) + b"\n" for row in result.to_dicts()))


def write_csv(result: "EvaluationResult", path: Path) -> None:
    """One line a row; structured cells as JSON. Text that a spreadsheet would take for a formula gets an
    apostrophe before it (OWASP, "CSV injection"): what is judged can contain anything. Numbers stay."""
    rows = flat_rows(result)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # \r would end a line
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    write_text(path, stream.getvalue())


def flat_rows(result: "EvaluationResult") -> list[dict[str, Any]]:
    """The rows with JSON text in the cells whose columns do not all hold plain values of one type."""
    rows = result.to_dicts()
    plain = {"id", "trace_id", "state", "group"}
    for judge in result.judges:
        plain |= {f"{judge}/{name}" for name in ("rationale", "confidence", "error")}
        kinds = {type(row[f"{judge}/value"]) for row in rows} - {type(None)}
        if len(kinds) <= 1 and not kinds & {dict, list}:
            plain |= {f"{judge}/value", f"{judge}/label"}
    return [{key: value if key in plain else _text(value) for key, value in row.items()} for row in rows]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json_bytes(value).decode()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
