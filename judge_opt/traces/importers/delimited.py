"""CSV and TSV: one trace a line, or one label a line, as spreadsheets and our own exporter write them.

Columns are those of a row (`judge_opt.traces.importers.rows`), with `inputs.question` for a part of inputs.
Where there are `rater`, `name` and `value`, each line is one label of the item with the line's id; lines
that follow each other with one id are one record.
"""

import csv
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.traces.importers.files import MAX_ROW, Found, open_bytes
from judge_opt.traces.importers.report import Skipped

_PARTS = ("inputs", "outputs", "expectations", "metadata", "tags")
_STRUCTURED = ("tags", "metadata", "spans", "assessments", "human", "judge", "expectations", "conversation")
_LABEL = ("rater", "name", "value", "rationale", "pool", "aggregate")
_EXPORTED = (
    "name", "value", "rationale", "source_type", "kind", "created", "error", "supersedes", "current", "retracted",
)  # fmt: skip
_REMEDY = "Export it as CSV again, in UTF-8."


def read_delimited(file: Path) -> Iterator[Found]:
    """The rows of a CSV or TSV file with a header line.

    A line with more or fewer cells than the header is a Skipped.

    Raises:
        DataError: there is no header, it names a column twice, or the file is not CSV from some line on.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))  # a long text is one cell
    delimiter = "\t" if ".tsv" in file.name.lower() else ","
    line = 1
    try:
        with open_bytes(file) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            header = next(reader, None)
            if header is None:
                return
            _check_header(header, file)
            labels = all(column in header for column in ("rater", "name", "value"))
            rows = _rows(reader, header)
            if labels:
                yield from _items(rows, _exported_label if "assessment_id" in header else _label)
            else:
                yield from rows
            line = reader.line_num
    except csv.Error as error:
        raise DataError(f"{file.name} line {reader.line_num}: it is not CSV ({error}).", _REMEDY) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 ({error.reason}, after line {line}).", _REMEDY) from None
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{file.name} cannot be read ({error}).", _REMEDY) from None


def _check_header(header: list[str], file: Path) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{file.name} line 1: the column {twice[0]!r} is there twice.", "Rename one of them.")


def _rows(reader: Any, header: list[str]) -> Iterator[Found]:
    line = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != len(header):
            yield line, Skipped(line, cells[0][:250], f"it has {len(cells)} cells, the header {len(header)}")
        elif cells:
            try:
                yield line, _row(dict(zip(header, cells, strict=True)))
            except DataError as error:
                yield line, Skipped(line, cells[0][:250], error.message)
        line = reader.line_num + 1


def _row(cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, cell in cells.items():
        head, _, part = column.partition(".")
        if part and head in _PARTS:
            if cell:
                row.setdefault(head, {})[part] = cell
        elif cell == "":
            continue  # an empty cell is none
        elif column in _STRUCTURED:
            row[column] = _structured(column, cell)
        else:
            row[column] = _json_or_text(cell) if column in ("inputs", "outputs") else cell
    return row


def _items(rows: Iterator[Found], take: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[Found]:
    """Lines of labels as items with all their labels; only lines that follow each other are put together."""
    held: tuple[int, dict[str, Any], dict[str, Any]] | None = None
    for line, cells in rows:
        if isinstance(cells, Skipped):
            yield line, cells
            continue
        [(kind, label)] = take(cells).items()
        labels = [label] if "value" in label or "error" in label else []  # an empty value is no label
        if held is not None and cells == held[1] and cells.get("id", cells.get("trace_id")) is not None:
            held[2].setdefault(kind, []).extend(labels)
            continue
        if held is not None:
            yield held[0], held[2]
        held = (line, cells, {**cells, kind: labels})
    if held is not None:
        yield held[0], held[2]


def _label(cells: dict[str, Any]) -> dict[str, Any]:
    """Takes the label's cells out of a line."""
    label = {key: cells.pop(key) for key in _LABEL if key in cells}
    if "aggregate" in label:
        label["aggregate"] = _true(label["aggregate"])
    return {"human": label}


def _exported_label(cells: dict[str, Any]) -> dict[str, Any]:
    """Takes an assessment's cells out of a line that our exporter wrote."""
    word = {key: cells.pop(key) for key in _EXPORTED if key in cells}
    for key in ("current", "retracted"):
        if key in word:
            word[key] = _true(word[key])
    for theirs, ours in (("assessment_id", "id"), ("rater", "source_id")):
        if theirs in cells:
            word[ours] = cells.pop(theirs)
    return {"assessments": word}


def _true(cell: str) -> bool:
    return cell.strip().casefold() in ("true", "1", "yes")


def _structured(column: str, cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise DataError(f"{column} is not JSON: {cell[:60]!r}", "Write a JSON object or list.") from None


def _json_or_text(cell: str) -> Any:
    """A JSON object or list where the cell is one; else its text, as written."""
    if cell.lstrip().startswith(("{", "[")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell
