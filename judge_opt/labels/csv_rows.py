"""Labelled rows from CSV, as a spreadsheet exports them: one label a line.

Columns: `id`; `inputs` and `outputs` (JSON objects or plain text), or one column a field, such as
`inputs.question`; `rater`, `name`, `value`; and, where there are any, `rationale`, `session`,
`expectations`, `aggregate`, `pool`. Lines of one id are one item; they must agree on the item.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.labels.rows import LABEL_REQUIRED, Row, Seen, existing, require, row_of
from judge_opt.traces.importers.report import Skipped

_ITEM = ("inputs", "outputs", "expectations")
_MAX_CELL = 1 << 28


def read_csv(path: str | Path, *, skipped: list[Skipped] | None = None) -> Iterator[Row]:
    """The items of a CSV file, each with all its labels, in the order of their first lines.

    The whole file is in memory, since an item's lines may stand anywhere. Cells are text: "5" becomes a
    number only when it is checked against a value type.

    Args:
        skipped: a bad line is added here and reading goes on; without it, a bad line raises.

    Raises:
        DataError: the file is missing or empty, a column is missing, or a line is bad.
    """
    file = existing(path)
    items: dict[str, tuple[int, dict[str, Any]]] = {}
    seen = Seen(file)
    for line, cells in _lines(file):
        seen.any = True
        try:
            _add(items, line, cells, file)
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(Skipped(line, str(cells.get("id") or ""), error.message))
    seen.check_not_empty()
    for line, data in items.values():
        yield row_of(data, line, file)


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells of each record; the header is checked first."""
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # a long text is one cell
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            header = list(reader.fieldnames or ())
            if header:
                _check_header(header, file)
            line = reader.line_num + 1
            for cells in reader:
                yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{file.name} line {reader.line_num} is not CSV ({error}).", "Export it as CSV again."
            ) from None
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file.name} is not UTF-8 ({error.reason}, after line {reader.line_num}).",
                "Save the file as UTF-8.",
            ) from None


def _check_header(header: list[str], file: Path) -> None:
    require(dict.fromkeys(header), ("id", *LABEL_REQUIRED), f"{file.name} line 1", "there is no column")
    for field in ("inputs", "outputs"):
        if not any(column == field or column.startswith(f"{field}.") for column in header):
            raise DataError(
                f'{file.name} line 1: there is no column "{field}" or "{field}.<name>"; '
                f"found: {', '.join(header)[:300]}.{nearest(field, header)}",
                "Rename or add it.",
            )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{file.name} line 1: the column {twice[0]!r} is there twice.", "Rename one of them.")


def _add(items: dict[str, tuple[int, dict[str, Any]]], line: int, cells: dict[str, Any], file: Path) -> None:
    where = f"{file.name} line {line}"
    if None in cells or None in cells.values():
        raise DataError(f"{where} has more or fewer cells than the header.", "Quote cells that hold commas.")
    if not cells["id"]:
        raise DataError(f"{where}: the id is empty.", "Give every line the id of its item.")
    item = _item(cells, where)
    first, data = items.setdefault(cells["id"], (line, {**item, "human": []}))
    for field in item:
        if data.get(field) != item[field]:
            raise DataError(
                f"{where}: item {cells['id']!r} has other {field} than on line {first}.",
                "Lines of one id are labels of one item: make them agree, or give another id.",
            )
    if cells["value"]:  # an empty cell is no label
        label = {key: cells[key] for key in LABEL_REQUIRED}
        label |= {key: cells[key] for key in ("rationale", "pool") if cells.get(key)}
        label["aggregate"] = cells.get("aggregate", "").strip().casefold() in ("true", "1", "yes")
        data["human"].append(label)


def _item(cells: dict[str, Any], where: str) -> dict[str, Any]:
    item: dict[str, Any] = {"id": cells["id"]}
    for field in _ITEM:
        parts = {c.removeprefix(f"{field}."): v for c, v in cells.items() if c.startswith(f"{field}.")}
        if field in cells and parts:
            raise DataError(f"{where}: both {field} and {field}.* columns.", "Keep one of the two forms.")
        if parts:
            item[field] = parts
        elif cells.get(field):
            item[field] = _json_or_text(cells[field])
        elif field in cells and field != "expectations":
            item[field] = ""
    if cells.get("session"):
        item["session"] = cells["session"]
    return item


def _json_or_text(cell: str) -> Any:
    """A JSON object or list where the cell is one; else its text, as written."""
    if cell.lstrip().startswith(("{", "[")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell
