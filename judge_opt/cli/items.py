"""Rows to judge, from a file of JSON Lines; labels are welcome and not needed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.results import Value
from judge_opt.core.values import ValueType


@dataclass(frozen=True, slots=True)
class Item:
    """One row.

    Attributes:
        id: the row's, or `line-<number>`.
        group: the row's session, else its id: no example of it is recalled while it is judged.
        gold: the majority of its labels; None where there are none or they tie.
    """

    id: str
    group: str
    fields: dict[str, Any]
    gold: Value | None


def read_items(path: Path, label: str, value_type: ValueType) -> list[Item]:
    """The rows of a file.

    Raises:
        DataError: the file is missing or empty, a row is no JSON object or holds nothing to judge, or a
            label is not allowed; the message names the line.
    """
    from judge_opt.labels.examples import FIELDS
    from judge_opt.labels.rows import existing

    rows: list[Item] = []
    labelled = False
    for number, line in enumerate(_lines(existing(path)), 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON ({error}).", "Write one JSON object a line.") from None
        fields = (
            {name: row[name] for name in FIELDS if row.get(name) is not None} if isinstance(row, dict) else {}
        )
        if not fields:
            raise DataError(
                f"{where} holds nothing to judge.", f"Each row is an object with one of: {', '.join(FIELDS)}."
            )
        name = str(row.get("id") or f"line-{number}")
        rows.append(Item(name, str(row.get("session") or name), fields, None))
        labels = row.get("human")
        labelled = labelled or (
            isinstance(labels, list) and any(isinstance(x, dict) and x.get("name") == label for x in labels)
        )
    if not rows:
        raise DataError(f"{path} is empty.", "Give a file with at least one row.")
    return _with_labels(rows, path, label, value_type) if labelled else rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None


def _with_labels(rows: list[Item], path: Path, label: str, value_type: ValueType) -> list[Item]:
    from judge_opt.labels import load_examples

    examples = {one.id: one for one in load_examples(path, label, value_type).examples}
    return [
        Item(row.id, examples[row.id].group, row.fields, examples[row.id].gold) if row.id in examples else row
        for row in rows
    ]
