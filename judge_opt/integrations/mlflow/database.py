"""MLflow's SQLite tracking database, read-only and without MLflow.

A batch of traces is read in one short transaction, so that an MLflow server may go on writing meanwhile.
Columns that only some of MLflow's versions have are read where they are.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from judge_opt.core.errors import DataError, NotFound
from judge_opt.core.text import nearest
from judge_opt.integrations.mlflow.convert import NAME, SESSION, Info, Said, record_of
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.files import existing
from judge_opt.traces.importers.report import Skipped

BATCH = 100
_QUICK_CHECK = 200 * 2**20  # bytes that are checked page by page in about a second
_TOKENS = (
    "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens",
    "cache_creation_input_tokens", "cache_creation_input_tokens_above_1hr",
)  # fmt: skip
_COSTS = ("input_cost", "output_cost", "total_cost")
_DAMAGED = "Restore it from a backup; what was read before is stored, and importing again is safe."


def read_database(path: Path, experiments: Sequence[str | int] | None = None) -> Iterator[Record | Skipped]:
    """The traces of the database, oldest first; `line` counts them. Those of deleted experiments are left
    out, as MLflow's own client does, unless such an experiment is named.

    Raises:
        DataError: it is no MLflow database with traces, or is damaged.
        NotFound: there is no such experiment.
    """
    file = existing(path)
    try:
        with closing(_open(file)) as database:
            _check_whole(database, file)
            columns = _columns(database, file)
            wanted = _experiments(database, experiments, file)
            line = 0
            last: tuple[int, str] = (-(2**63), "")
            while found := _infos(database, wanted, last):
                last = (found[-1]["timestamp_ms"], found[-1]["request_id"])
                for record in _records(database, columns, found, line):
                    line += 1
                    yield record
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file.name} cannot be read as an MLflow database ({error}).", _DAMAGED) from None


def _check_whole(database: sqlite3.Connection, file: Path) -> None:
    """Raises DataError for a file that is shorter than it says, or, where that is soon found out, damaged:
    SQLite by itself reads what is left of a file without a word."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header = stream.read(100)
    if len(header) == 100 and header[24:28] == header[92:96]:  # SQLite's sign that the count is current
        page = int.from_bytes(header[16:18], "big")
        stated = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
        if size < stated:
            raise DataError(f"{file.name} is cut off: {size} bytes of {stated}.", "Copy it again.")
    if size <= _QUICK_CHECK and (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise DataError(f"{file.name} is damaged ({' '.join(str(found).split())[:200]}).", _DAMAGED)


def _open(file: Path) -> sqlite3.Connection:
    name = quote(str(file.absolute()))
    database = sqlite3.connect(f"file:{name}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogatepass")
    return database


def _names(database: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in database.execute(f"PRAGMA table_info({table})")}


def _columns(database: sqlite3.Connection, file: Path) -> dict[str, set[str]]:
    columns = {table: _names(database, table) for table in ("trace_info", "assessments", "spans")}
    if "request_id" not in columns["trace_info"]:
        tables = [
            row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        raise DataError(
            f"{file.name} is no MLflow database with traces; its tables: {', '.join(tables)[:200] or 'none'}.",
            "Give the file of MLflow's --backend-store-uri, written by MLflow 2.14 or newer.",
        )
    return columns


def _experiments(
    database: sqlite3.Connection, wanted: Sequence[str | int] | None, file: Path
) -> list[int] | None:
    if wanted is None:
        return None
    known = {str(row["experiment_id"]): row["name"] for row in database.execute("SELECT * FROM experiments")}
    return [int(one) for one in chosen(known, wanted, file.name)]


def chosen(known: Mapping[str, str], wanted: Sequence[str | int], where: str) -> list[str]:
    """The ids of the wanted experiments, given by name or id.

    Raises:
        NotFound: one does not exist.
    """
    by_name = {name: identity for identity, name in known.items()}
    found = []
    for one in map(str, wanted):
        if one not in known and one not in by_name:
            listed = ", ".join(map(repr, by_name))[:300] or "none"
            raise NotFound(
                f"{where} has no experiment {one!r}; there are: {listed}.{nearest(one, by_name)}",
                "Give a name or an id of these, or leave experiments out.",
            )
        found.append(by_name.get(one, one))
    return found


def _infos(
    database: sqlite3.Connection, experiments: list[int] | None, last: tuple[int, str]
) -> list[sqlite3.Row]:
    where, values = "(timestamp_ms, request_id) > (?, ?)", [*last]
    if experiments is None:
        where += (
            " AND experiment_id IN (SELECT experiment_id FROM experiments WHERE lifecycle_stage = 'active')"
        )
    else:
        where += f" AND experiment_id IN ({', '.join('?' * len(experiments))})"
        values += experiments
    query = f"SELECT * FROM trace_info WHERE {where} ORDER BY timestamp_ms, request_id LIMIT {BATCH}"  # noqa: S608
    return database.execute(query, values).fetchall()


def _records(
    database: sqlite3.Connection, columns: Mapping[str, set[str]], infos: list[sqlite3.Row], line: int
) -> Iterator[Record | Skipped]:
    ids = [row["request_id"] for row in infos]

    def of(table: str, key: str, order: str) -> dict[str, list[sqlite3.Row]]:
        found: dict[str, list[sqlite3.Row]] = {one: [] for one in ids}
        marks = ", ".join("?" * len(ids))
        query = f"SELECT * FROM {table} WHERE {key} IN ({marks}) ORDER BY {order}"  # noqa: S608
        for row in database.execute(query, ids):
            found[row[key]].append(row)
        return found

    tags, metadata = of("trace_tags", "request_id", "key"), of("trace_request_metadata", "request_id", "key")
    words = of("assessments", "trace_id", "created_timestamp") if columns["assessments"] else {}
    spans = of("spans", "trace_id", "start_time_unix_nano") if columns["spans"] else {}
    for number, row in enumerate(infos, line + 1):
        one = row["request_id"]
        try:
            yield record_of(
                _info(row, tags[one], metadata[one]),
                [json.loads(span["content"]) for span in spans.get(one, ())],
                [_said(word) for word in words.get(one, ())],
                number,
            )
        except DataError as error:
            yield Skipped(number, one, error.message)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            yield Skipped(number, one, f"it is not as MLflow writes it ({type(error).__name__}: {error})")


def _info(row: sqlite3.Row, tags: Sequence[sqlite3.Row], metadata: Sequence[sqlite3.Row]) -> Info:
    """MLflow 3.12 and newer keep the name, the session, tokens and costs in columns of their own; they are
    given the place that MLflow's own client shows them in."""
    cells = dict(row)
    facts = {entry["key"]: entry["value"] for entry in metadata}
    named = {entry["key"]: entry["value"] for entry in tags}
    if cells.get("trace_name") is not None:
        named[NAME] = cells["trace_name"]
    if cells.get("session_id") is not None:
        facts[SESSION] = cells["session_id"]
    for key, columns in (("mlflow.trace.tokenUsage", _TOKENS), ("mlflow.trace.cost", _COSTS)):
        counted = {column: cells[column] for column in columns if cells.get(column) is not None}
        if counted:
            facts[key] = json.dumps(counted)
    return Info(
        id=cells["request_id"],
        experiment=str(cells["experiment_id"]),
        created_ms=cells["timestamp_ms"],
        duration_ms=cells["execution_time_ms"],
        state=str(cells["status"]),
        tags=named,
        metadata=facts,
        client_request_id=cells.get("client_request_id"),
        request_preview=cells.get("request_preview") or facts.get("mlflow.traceInputs"),
        response_preview=cells.get("response_preview") or facts.get("mlflow.traceOutputs"),
    )


def _said(row: sqlite3.Row) -> Said:
    cells: dict[str, Any] = dict(row)
    return Said(
        id=cells["assessment_id"],
        kind=cells["assessment_type"],
        name=cells["name"],
        value=json.loads(cells["value"]),
        error=json.loads(cells["error"]) if cells["error"] else None,
        rationale=cells["rationale"],
        source_type=str(cells["source_type"]),
        source_id=cells["source_id"],
        created_ms=cells["created_timestamp"],
        overrides=cells["overrides"],
        valid=bool(cells["valid"]),
        metadata=json.loads(cells["assessment_metadata"]) if cells["assessment_metadata"] else {},
        span_id=cells["span_id"],
    )
