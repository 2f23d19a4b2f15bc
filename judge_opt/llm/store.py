"""The call store: every reply that was bought, and the ledger of what was asked. One SQLite file.

A reply and its ledger row are committed in one transaction, on the disk, before the caller sees the
reply: a process that is killed at any point loses only the calls that were in flight. Rows for cache hits
cost nothing to lose, so they wait in memory for the next transaction (or for 256 of them).

Every row carries the SHA-256 of its content. A row that does not match is an IntegrityError, never a
reply and never silently bought again: the file was edited or the disk is failing, and both must be seen.
"""

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.core.forks import no_fork
from judge_opt.core.hashing import canonical_json
from judge_opt.core.killpoints import reach
from judge_opt.llm.commits import Entry, GroupCommit
from judge_opt.llm.ledger import LedgerLine, LedgerRow

SCHEMA_VERSION = 1
PART = "#"
"""Between the id of a run and the name of a part of it, in the ledger."""
_AFTER_PART = chr(ord(PART) + 1)
_HITS_HELD = 256
_CROSSED_A_FORK: list[sqlite3.Connection] = []
"""Kept for ever: closing the parent's connection in a child would drop the parent's locks."""

_SCHEMA = """
CREATE TABLE replies (key TEXT PRIMARY KEY, response BLOB NOT NULL, sha TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, run_id TEXT NOT NULL, purpose TEXT NOT NULL,
  model TEXT NOT NULL, key TEXT NOT NULL, cached INTEGER NOT NULL, answered TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, outcome TEXT NOT NULL
);
CREATE INDEX ledger_by_run ON ledger (run_id);
CREATE TABLE vectors (
  model TEXT NOT NULL, text_sha TEXT NOT NULL, vector BLOB NOT NULL, sha TEXT NOT NULL,
  PRIMARY KEY (model, text_sha)
) WITHOUT ROWID;
"""
_COLUMNS = (
    "time", "run_id", "purpose", "model", "key", "cached", "answered", "prompt_tokens", "completion_tokens",
    "usd", "seconds", "attempts", "outcome",
)  # fmt: skip
_LEDGER = ", ".join(_COLUMNS)
_ENTRY = ("reply_key", "response", "sha", *_COLUMNS)
_NO_REPLY = (None,) * 3
_NO_ROW = (None,) * len(_COLUMNS)
_ONE_STATEMENT = f"""
CREATE TEMP VIEW entry AS SELECT {", ".join(f"NULL AS {name}" for name in _ENTRY)};
CREATE TEMP TRIGGER entry_reply INSTEAD OF INSERT ON entry WHEN NEW.reply_key IS NOT NULL
BEGIN INSERT OR IGNORE INTO replies VALUES (NEW.reply_key, NEW.response, NEW.sha); END;
CREATE TEMP TRIGGER entry_row INSTEAD OF INSERT ON entry WHEN NEW.time IS NOT NULL
BEGIN INSERT INTO ledger ({_LEDGER}) VALUES ({", ".join(f"NEW.{name}" for name in _COLUMNS)}); END;
"""  # noqa: S608 - our own names
"""Makes of a whole transaction one INSERT, of replies and ledger rows together. Each statement, and each
row of an `executemany`, lets go of Python's lock and has to win it back, for which the thread that commits
for a busy event loop can wait up to 5 ms each time."""
_SUMMARY = """
SELECT purpose, model, SUM(cached = 0 AND outcome = 'ok'), SUM(cached = 0 AND outcome <> 'ok'),
       SUM(attempts * (cached = 0)), SUM(cached),
       SUM(prompt_tokens * (cached = 0)), SUM(completion_tokens * (cached = 0)),
       TOTAL(usd * (cached = 0)), SUM(cached = 0 AND outcome = 'ok' AND usd IS NULL),
       TOTAL(seconds * (cached = 0))
FROM ledger WHERE ? IS NULL OR run_id = ? OR (run_id > ? AND run_id < ?) GROUP BY purpose, model ORDER BY purpose, model
"""


class CallStore:
    """Replies, ledger and embedding vectors. Safe from many threads and many processes at once.

    Reads have a connection of their own, so that none waits for a commit on its way to the disk.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.

    Raises:
        IntegrityError: the file is no database, is damaged, or was written by a newer judge_opt.
        JudgeOptError: the file cannot be read or written (disk full, read-only folder).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._start()
        with self._database():
            pass

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply under `key`, or None."""
        with self._database() as db:
            row = db.execute("SELECT response, sha FROM replies WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        self._verify(row[1], f"reply {key[:12]}", key, row[0])
        reply: dict[str, Any] = orjson.loads(row[0])
        return reply

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that have a reply."""
        found: set[str] = set()
        todo = list(keys)
        with self._database() as db:
            for start in range(0, len(todo), 500):
                part = todo[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key FROM replies WHERE key IN ({marks})"  # noqa: S608 - question marks
                found.update(row[0] for row in db.execute(query, part))
        return found

    def put(self, key: str, reply: dict[str, Any], row: LedgerRow) -> dict[str, Any]:
        """Commit a bought reply and its ledger row in one transaction; on the disk when this returns.

        Returns:
            The reply under `key`: this very one, or the one that another process stored first, so that
            every process goes on with the same bytes.
        """
        entry = _entry(key, reply, row)
        self._queue().commit(entry)
        return self._committed(entry, key, reply)

    async def aput(self, key: str, reply: dict[str, Any], row: LedgerRow) -> dict[str, Any]:
        """As `put`, without blocking the event loop. Once begun, a cancellation does not undo it."""
        entry = _entry(key, reply, row)
        await self._acommit(entry)
        return self._committed(entry, key, reply)

    def record(self, row: LedgerRow) -> None:
        """Book a call without a reply: a failure (durable at once) or a cache hit (held in memory)."""
        if not row.cached:
            self._queue().commit(Entry(None, _values(row)))
            return
        queue = self._queue()
        self._held.append(_values(row))
        if len(self._held) >= _HITS_HELD:
            queue.commit(Entry(None, None))

    async def arecord(self, row: LedgerRow) -> None:
        """As `record`, without blocking the event loop."""
        if not row.cached:
            await self._acommit(Entry(None, _values(row)))
            return
        queue = self._queue()
        self._held.append(_values(row))
        if len(self._held) >= _HITS_HELD:
            queue.commit_soon(Entry(None, None))

    def flush(self) -> None:
        """Write the cache hits that are held in memory."""
        queue = self._queue()
        if self._held:
            queue.commit(Entry(None, None))

    def summary(self, run_id: str | None = None) -> list[LedgerLine]:
        """Sums by purpose and model, of one run with its parts (`Session.part`) or of everything, ordered by
        purpose and model."""
        self.flush()
        below = (f"{run_id}{PART}", f"{run_id}{_AFTER_PART}")
        with self._database() as db:
            rows = db.execute(_SUMMARY, (run_id, run_id, *below)).fetchall()
        return [LedgerLine(*row) for row in rows]

    def get_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """float32 bytes by text hash, for those of `hashes` that are stored."""
        found: dict[str, bytes] = {}
        with self._database() as db:
            for start in range(0, len(hashes), 500):
                part = list(hashes[start : start + 500])
                marks = ",".join("?" * len(part))
                query = f"SELECT text_sha, vector, sha FROM vectors WHERE model = ? AND text_sha IN ({marks})"  # noqa: S608 - question marks
                for text_sha, vector, sha in db.execute(query, (model, *part)):
                    self._verify(sha, f"vector {text_sha[:12]}", model, text_sha, vector)
                    found[text_sha] = vector
        return found

    def put_vectors(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """Store float32 bytes by text hash; the vector that was stored first stays."""
        rows = [(model, name, data, _digest(model, name, data)) for name, data in vectors.items()]
        with self._database(writing=True) as db, _transaction(db):
            db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Write what is held and close the file. The store opens it again when it is used again."""
        self.flush()
        self._commits.close()
        with self._write_lock, self._read_lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def _verify(self, sha: str, what: str, *content: str | bytes) -> None:
        if _digest(*content) != sha:
            raise IntegrityError(
                f"{self.path}: {what} does not match its hash.",
                "Restore the file from a backup, or move it away to buy its calls again.",
            )

    def _start(self) -> None:
        """Locks and queues of this process: a fork begins with its own."""
        self._pid = os.getpid()
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._connections: dict[bool, sqlite3.Connection] = {}
        self._held: deque[tuple[Any, ...]] = deque()
        self._commits = GroupCommit(self._write)

    def _own(self) -> None:
        if self._pid != os.getpid():
            _CROSSED_A_FORK.extend(self._connections.values())
            self._start()

    def _queue(self) -> GroupCommit:
        self._own()
        return self._commits

    async def _acommit(self, entry: Entry) -> None:
        entry.future = asyncio.get_running_loop().create_future()
        self._queue().commit_soon(entry)
        await asyncio.shield(entry.future)
        if entry.error is not None:
            raise entry.error

    def _committed(self, entry: Entry, key: str, reply: dict[str, Any]) -> dict[str, Any]:
        reach("llm.committed")
        if entry.inserted:
            return reply
        stored = self.get(key)
        assert stored is not None
        return stored

    def _write(self, batch: Sequence[Entry]) -> None:
        """One transaction for `batch` and for the cache hits that are held."""
        hits: list[tuple[Any, ...]] = []
        with no_fork(), self._database(writing=True) as db:
            before = db.total_changes
            try:
                while self._held and len(hits) < _HITS_HELD:
                    hits.append(self._held.popleft())
                rows = [(entry.reply or _NO_REPLY) + (entry.row or _NO_ROW) for entry in batch]
                rows += [_NO_REPLY + hit for hit in hits]
                statement, missing = _insert(len(rows))
                db.execute(statement, [value for row in rows for value in row] + [None] * missing)
            except BaseException as error:
                if isinstance(error, Exception) or db.total_changes == before:
                    self._held.extendleft(reversed(hits))
                else:  # Ctrl-C, and the statement had been carried out
                    self._mark(batch, 0)
                raise
            booked = len(hits) + sum(entry.row is not None for entry in batch)
            new = db.total_changes - before - booked
        self._mark(batch, new)

    def _mark(self, batch: Sequence[Entry], new: int) -> None:
        """Say of each entry that it is stored, and whether its reply was the first under its key."""
        bought = [entry for entry in batch if entry.reply is not None]
        first: dict[str, bytes | None] = {}
        for entry in bought:
            key, body, _ = entry.reply  # type: ignore[misc]
            entry.inserted = new == len(bought) or (key not in first and self._body(key) == body)
            first.setdefault(key, body)
        for entry in batch:
            entry.done = True

    def _body(self, key: str) -> bytes | None:
        with self._database() as db:
            row = db.execute("SELECT response FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    @contextlib.contextmanager
    def _database(self, writing: bool = False) -> Iterator[sqlite3.Connection]:
        self._own()
        with self._write_lock if writing else self._read_lock:
            try:
                connection = self._connections.get(writing)
                if connection is None:
                    connection = self._connections[writing] = self._open()
                yield connection
            except sqlite3.OperationalError as error:
                raise JudgeOptError(
                    f"{self.path}: cannot be read or written ({error}).",
                    "Check the free disk space and that the folder is writable; what was stored is intact.",
                ) from error
            except sqlite3.DatabaseError as error:
                raise IntegrityError(
                    f"{self.path}: is damaged or is not a judge_opt call store ({error}).",
                    "Restore the file from a backup, or move it away to buy its calls again.",
                ) from error
            except OSError as error:
                raise JudgeOptError(
                    f"{self.path}: cannot be opened ({error}).", "Choose another folder."
                ) from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA temp_store = MEMORY")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                _enter_wal(db)
                db.execute("BEGIN IMMEDIATE")
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                    version = SCHEMA_VERSION
                db.execute("COMMIT")
            if version > SCHEMA_VERSION:
                raise IntegrityError(
                    f"{self.path}: was written by a newer judge_opt (schema {version}).",
                    "Upgrade judge_opt, or choose another JUDGE_OPT_HOME.",
                )
            db.executescript(_ONE_STATEMENT)
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A write transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@cache
def _insert(count: int) -> tuple[str, int]:
    """The statement for `count` entries, and how many values are missing: it has room for the next power
    of two, so that few statements are ever prepared."""
    room = 1 << max(count - 1, 0).bit_length()
    one = f"({','.join('?' * len(_ENTRY))})"
    return f"INSERT INTO entry VALUES {','.join([one] * room)}", (room - count) * len(_ENTRY)  # noqa: S608


def _entry(key: str, reply: Mapping[str, Any], row: LedgerRow) -> Entry:
    try:
        body = orjson.dumps(reply, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # text that UTF-8 cannot carry
        body = canonical_json(reply)
    return Entry((key, body, _digest(key, body)), _values(row))


def _digest(*content: str | bytes) -> str:
    """Over the row's key too: a reply that was moved under another key does not match."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\n")
    return digest.hexdigest()


def _enter_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. SQLite does not wait for its busy timeout here, so several processes
    that make the same file at once would otherwise fail."""
    deadline = time.monotonic() + 30
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _values(row: LedgerRow) -> tuple[Any, ...]:
    return (
        time.time(), row.run_id, row.purpose, row.model, row.key, int(row.cached), row.answered,
        row.prompt_tokens, row.completion_tokens, row.usd, row.seconds, row.attempts, row.outcome,
    )  # fmt: skip
