"""Parts that stand anywhere in a file, put together by trace: in a temporary database, not in memory."""

import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from types import TracebackType
from typing import Any, Self

Part = tuple[str, int, Any]
"""What it is, the line that it came from, and its JSON value."""

_CACHE_KIB = 32 * 1024


class Parts:
    """Takes parts in any order and gives them back trace by trace, in the order of the traces' first parts.

    The database has no name: SQLite keeps it in a temporary file that goes away with the connection.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};"
            "CREATE TABLE trace (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);"
            "CREATE TABLE part (seq INTEGER PRIMARY KEY, trace INTEGER, kind TEXT, line INTEGER, body TEXT);"
            "CREATE TABLE step (id TEXT PRIMARY KEY, trace INTEGER) WITHOUT ROWID;"
            "CREATE TABLE late (seq INTEGER PRIMARY KEY, step TEXT, kind TEXT, line INTEGER, body TEXT);"
            "BEGIN;"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, trace_id: str, kind: str, line: int, body: Any, step: str | None = None) -> None:
        """Keeps one part; `body` is any JSON value.

        Args:
            step: the id of the step that the part is, so that `add_to_step` finds its trace.
        """
        number = self._number(trace_id)
        self._database.execute(
            "INSERT INTO part (trace, kind, line, body) VALUES (?, ?, ?, ?)",
            (number, kind, line, json.dumps(body)),
        )
        if step is not None:
            self._database.execute("INSERT OR IGNORE INTO step VALUES (?, ?)", (json.dumps(step), number))

    def add_to_step(self, step: str, kind: str, line: int, body: Any) -> None:
        """Keeps a part of which only the step is known; its trace may come later, or not at all."""
        self._database.execute(
            "INSERT INTO late (step, kind, line, body) VALUES (?, ?, ?, ?)",
            (json.dumps(step), kind, line, json.dumps(body)),
        )

    def by_trace(self) -> Iterator[tuple[str, list[Part]]]:
        """Each trace id with its parts, in the order in which they were added. What belongs to a step that
        never came stands under the step's own id."""
        unknown = self._database.execute(
            "SELECT DISTINCT step FROM late WHERE step NOT IN (SELECT id FROM step)"
        )
        for (step,) in unknown.fetchall():
            number = self._number(json.loads(step))
            self._database.execute("INSERT INTO step VALUES (?, ?)", (step, number))
        self._database.execute(
            "INSERT INTO part (trace, kind, line, body) SELECT step.trace, kind, line, body "
            "FROM late JOIN step ON step.id = late.step ORDER BY seq"
        )
        self._database.executescript(
            "DELETE FROM late; CREATE INDEX IF NOT EXISTS of_trace ON part (trace, seq)"
        )
        found = self._database.execute(
            "SELECT trace.id, kind, line, body FROM part JOIN trace ON trace.number = part.trace "
            "ORDER BY part.trace, part.seq"
        )
        for key, rows in groupby(found, key=lambda row: row[0]):
            yield json.loads(key), [(kind, line, json.loads(body)) for _, kind, line, body in rows]

    def _number(self, trace_id: str) -> int:
        key = json.dumps(trace_id)  # ASCII: SQLite takes no lone surrogates
        self._database.execute("INSERT OR IGNORE INTO trace (id) VALUES (?)", (key,))
        [number] = self._database.execute("SELECT number FROM trace WHERE id = ?", (key,)).fetchone()
        return int(number)
