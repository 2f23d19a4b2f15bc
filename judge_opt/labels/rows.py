"""Labelled rows from JSON Lines: one item a line, with what each rater said of it.

    {"id": "a1", "inputs": {...}, "outputs": {...}, "expectations": {...}, "session": "s1",
     "human": [{"rater": "ana", "name": "is_correct", "value": "yes", "rationale": "..."}]}

`expectations`, `session` and `rationale` may be absent. A label with `"aggregate": true` was already
aggregated by the source and is not a rater's; `"pool"` names a group of raters, such as a crowd.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.traces.importers.report import Skipped as Skipped  # public here, too

REQUIRED = ("id", "inputs", "outputs", "human")
LABEL_REQUIRED = ("rater", "name", "value")
_SHAPE = 'Each line is one object: {"id", "inputs", "outputs", "human": [{"rater", "name", "value"}]}.'


@dataclass(frozen=True, slots=True)
class SourceLabel:
    """One label as the source has it; `value` is not checked yet."""

    rater: str
    name: str
    value: Any
    rationale: str | None = None
    aggregate: bool = False
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a file.

    Attributes:
        line: where it starts in the file, from 1.
        data: the whole source row, JSON values.
        human: its labels in file order, possibly none.
    """

    line: int
    id: str
    data: Mapping[str, Any]
    human: tuple[SourceLabel, ...]


def read_jsonl(path: str | Path, *, skipped: list[Skipped] | None = None) -> Iterator[Row]:
    """The rows of a JSON Lines file, one by one: memory holds one line. Blank lines are passed over.

    Args:
        skipped: a bad row is added here and reading goes on; without it, a bad row raises.

    Raises:
        DataError: the file is missing or empty, or a row is bad; one line, with the line number.
    """
    file = existing(path)
    seen = Seen(file)
    with file.open("rb") as stream:
        for line, raw in enumerate(stream, 1):
            if not raw.strip():
                continue
            try:
                yield seen.once(row_of(_parse(raw, line, file), line, file))
            except DataError as error:
                if skipped is None:
                    raise
                skipped.append(Skipped(line, "", error.message))
                seen.any = True
    seen.check_not_empty()


class Seen:
    """Refuses a second row of one id, and a file without rows."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.any = False
        self._lines: dict[str, int] = {}

    def once(self, row: Row) -> Row:
        self.any = True
        first = self._lines.setdefault(row.id, row.line)
        if first != row.line:
            raise DataError(
                f"{self.file.name} line {row.line}: the id {row.id!r} is already on line {first}.",
                "Give every row its own id; put all labels of an item into one row.",
            )
        return row

    def check_not_empty(self) -> None:
        if not self.any:
            raise DataError(f"{self.file} is empty.", "Give a file with at least one labelled row.")


def existing(path: str | Path) -> Path:
    """The path, if it is a file that can be read.

    Raises:
        DataError: it is not; the nearest name in the same folder is suggested.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"{file} is a folder.", "Give the path of one .jsonl or .csv file.")
    if not file.exists():
        folder = file.parent
        names = [other.name for other in folder.iterdir()] if folder.is_dir() else []
        raise DataError(f"There is no file {file}.{nearest(file.name, names)}", "Check the path.")
    try:
        file.open("rb").close()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", "Check its permissions.") from None
    return file


def row_of(data: Any, line: int, file: Path) -> Row:
    """A checked row.

    Raises:
        DataError: a field is missing or of the wrong type; names the line, the field and what was found.
    """
    where = f"{file.name} line {line}"
    if not isinstance(data, dict):
        raise DataError(f"{where} is a {_json_type(data)}, not an object.", _SHAPE)
    require(data, REQUIRED, where, "rows have no field")
    item = data["id"]
    if isinstance(item, int) and not isinstance(item, bool):
        item = str(item)
    if not isinstance(item, str) or not item:
        raise DataError(f"{where}: the id must be text, got {str(item)[:60]!r}.", "Give the row a unique id.")
    if not isinstance(data["human"], list):
        raise DataError(f"{where}: human is a {_json_type(data['human'])}, not a list.", _SHAPE)
    session = data.get("session")
    if session is not None and not isinstance(session, str):
        raise DataError(f"{where}: session is a {_json_type(session)}, not text.", "Write it in quotes.")
    labels = tuple(_label(label, f"{where}, label {n}") for n, label in enumerate(data["human"], 1))
    return Row(line, item, data, labels)


def require(data: Mapping[str, Any], fields: Sequence[str], where: str, what: str) -> None:
    """Raises DataError for the first of `fields` that `data` lacks, with the nearest that it has."""
    for field in fields:
        if field not in data:
            found = ", ".join(data) or "none"
            raise DataError(
                f'{where}: {what} "{field}"; found: {found[:300]}.{nearest(field, data)}',
                f"Rename or add it; needed: {', '.join(fields)}.",
            )


def _label(label: Any, where: str) -> SourceLabel:
    if not isinstance(label, dict):
        raise DataError(f"{where} is a {_json_type(label)}, not an object.", _SHAPE)
    require(label, LABEL_REQUIRED, where, "labels have no field")
    texts = {"rater": label["rater"], "name": label["name"]}
    texts |= {key: label[key] for key in ("rationale", "pool") if label.get(key) is not None}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise DataError(f"{where}: {key} is a {_json_type(value)}, not text.", "Write it in quotes.")
    aggregate = label.get("aggregate", False)
    if not isinstance(aggregate, bool):
        raise DataError(f"{where}: aggregate is a {_json_type(aggregate)}.", "Write true or false.")
    return SourceLabel(
        texts["rater"],
        texts["name"],
        label["value"],
        texts.get("rationale"),
        aggregate,
        texts.get("pool"),
    )


def _parse(raw: bytes, line: int, file: Path) -> Any:
    where = f"{file.name} line {line}"
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not UTF-8 (byte {error.start + 1}).", "Save the file as UTF-8."
        ) from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise DataError(f"{where} is nested too deeply.", "Flatten the row.") from None
    except ValueError as error:
        reason = (
            f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        )
        remedy = _SHAPE
        if line == 1 and text.lstrip().startswith("["):
            remedy = "The file looks like one JSON array: write one object a line, without the brackets."
        raise DataError(f"{where} is not JSON ({reason}).", remedy) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
