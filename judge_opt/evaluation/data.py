"""What `evaluate` takes as data, as records: lists, tables, files, anything that can be iterated."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError, UsageError
from judge_opt.evaluation.trace_tables import is_trace_row, trace_of_row
from judge_opt.labels.examples import FIELDS
from judge_opt.labels.rows import LABEL_REQUIRED, existing

_READABLE = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")


def records(data: Any) -> Iterable[Any]:
    """The records in `data`, to be read by `read_rows`.

    Args:
        data: a list (or any iterable) of dictionaries, traces or labelled examples; a pandas DataFrame; a
            pyarrow Table; an object with `to_df()` or `records`; or a path to JSON Lines, CSV or Parquet.

    Raises:
        UsageError: it is nothing of that.
        DataError: the file is missing, empty or damaged; the message names the line.
    """
    if isinstance(data, (str, Path)):
        return _file(Path(data))
    if isinstance(data, Mapping):
        raise UsageError("data is one dictionary.", "Pass a list of rows: [{...}].")
    if hasattr(data, "to_pylist"):  # pyarrow
        return [_of_table(row) for row in data.to_pylist()]
    if hasattr(data, "to_df") and not hasattr(data, "columns"):  # MLflow's and our data sets
        data = data.to_df()
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        return [_of_table(row) for row in data.to_dict("records")]
    if hasattr(data, "traces") and hasattr(data, "next_page"):  # a page of traces
        return list(data.traces)
    if hasattr(data, "examples"):  # what load_examples returns
        return list(data.examples)
    if isinstance(data, Iterable):
        return data
    raise UsageError(
        f"data is a {type(data).__name__}, which holds no rows.",
        "Pass a list of dictionaries, a DataFrame, traces, labelled examples, or a path.",
    )


def _file(path: Path) -> Iterable[Any]:
    file = existing(path)
    kind = file.suffix.lower()
    if kind not in _READABLE:
        raise DataError(f"{file.name}: the format is not known.", f"Readable: {', '.join(_READABLE)}.")
    if kind == ".parquet":
        return _parquet(file)
    found = _csv(file) if kind == ".csv" else _jsonl(file)
    first = next(found, None)
    if first is None:
        raise DataError(f"{file} is empty.", "Give a file with at least one row.")
    return chain([first], found)  # a row at a time: what is made of it takes its place


def _jsonl(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if not raw.strip():
                continue
            where = f"{file.name} line {number}"
            try:
                row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8."
                ) from None
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{where} is not JSON ({str(error)[:120]}).", "Write one JSON object a line."
                ) from None
            if not isinstance(row, dict):
                raise DataError(f"{where} is no JSON object.", "Write one JSON object a line.")
            if not row.keys() & {*FIELDS}:
                raise DataError(
                    f"{where} holds nothing to judge.",
                    f"Each row is an object with one of: {', '.join(FIELDS)}.",
                )
            yield row if row.get("id") is not None else {**row, "id": f"line-{number}"}


def _csv(file: Path) -> Iterator[dict[str, Any]]:
    """One item a line; where the columns are those of a label file, one label a line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream), [])
            if {"id", *LABEL_REQUIRED} <= set(header):
                from judge_opt.labels.csv_rows import read_csv

                yield from (dict(row.data) for row in read_csv(file))
                return
            stream.seek(0)
            for cells in csv.DictReader(stream, strict=True):
                if None in cells or None in cells.values():
                    raise DataError(
                        f"{file.name}: a line has more or fewer cells than the header.",
                        "Quote cells that hold commas.",
                    )
                yield _unflattened({name: _json_or_text(text) for name, text in cells.items() if text})
    except csv.Error as error:
        raise DataError(f"{file.name} is not CSV ({error}).", "Export it as CSV again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 ({error.reason}).", "Save the file as UTF-8.") from None


def _parquet(file: Path) -> list[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{file.name}: reading Parquet needs pyarrow.", "Run: pip install pyarrow") from None
    try:
        return [_of_table(row) for row in pyarrow.parquet.read_table(file).to_pylist()]
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file.name} is not Parquet ({str(error)[:120]}).", "Write it again.") from None


def _of_table(row: Mapping[Any, Any]) -> Any:
    return trace_of_row(row) if is_trace_row(row) else _unflattened(row)


def _unflattened(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A table's row: the columns `inputs.question` and `inputs.context` become one field `inputs`."""
    out: dict[str, Any] = {}
    for column, value in row.items():
        root, dot, rest = str(column).partition(".")
        if dot and root in FIELDS and root not in row:
            out.setdefault(root, {})[rest] = value
        else:
            out[str(column)] = value
    return out


def _json_or_text(cell: str) -> Any:
    """A JSON object or list where the cell is one; else its text, as written."""
    if cell.lstrip().startswith(("{", "[")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell
