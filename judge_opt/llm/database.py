"""The SQLite file of a call store: its tables, its connections, its errors.

Readers have connections of their own, so that none waits for a commit on its way to the disk.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.llm.ledger import LEDGER_COLUMNS

SCHEMA_VERSION = 2
_CROSSED_A_FORK: list[sqlite3.Connection] = []
"""Kept for ever: closing the parent's connection in a child would drop the parent's locks."""

_CALLS = """
CREATE TABLE calls (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, run_id TEXT NOT NULL, purpose TEXT NOT NULL,
  model TEXT NOT NULL, key TEXT NOT NULL, cached INTEGER NOT NULL, answered TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, outcome TEXT NOT NULL, sha TEXT, response BLOB
);
CREATE UNIQUE INDEX calls_by_reply ON calls (key) WHERE response IS NOT NULL;
CREATE INDEX calls_by_run ON calls (run_id);
"""
"""One row a call. The first call that was answered under a key holds the reply, for all others: so a reply and
its ledger row are one row, whose commit changes few pages."""

_VECTORS = """
CREATE TABLE vectors (
  model TEXT NOT NULL, text_sha TEXT NOT NULL, vector BLOB NOT NULL, sha TEXT NOT NULL,
  PRIMARY KEY (model, text_sha)
) WITHOUT ROWID;
"""
_LEDGER = ", ".join(LEDGER_COLUMNS)
_VIEWS = f"""
CREATE VIEW ledger AS SELECT seq, {_LEDGER} FROM calls;
CREATE VIEW replies AS SELECT key, response, sha FROM calls WHERE response IS NOT NULL;
"""  # noqa: S608 - our own names
"""For people who read the file with SQL of their own."""

_MERGE = f"""
ALTER TABLE ledger RENAME TO ledger_1;
DROP INDEX ledger_by_run;
{_CALLS}
INSERT INTO calls (seq, {_LEDGER}) SELECT seq, {_LEDGER} FROM ledger_1 ORDER BY seq;
CREATE TEMP TABLE first_answered AS
  SELECT min(seq) AS seq, key FROM ledger_1 WHERE cached = 0 AND outcome = 'ok' GROUP BY key;
UPDATE calls SET response = replies.response, sha = replies.sha
  FROM first_answered JOIN replies ON replies.key = first_answered.key WHERE calls.seq = first_answered.seq;
INSERT INTO calls ({_LEDGER}, sha, response)
  SELECT 0.0, '', '', '', key, 1, '', 0, 0, 0.0, 0.0, 0, 'ok', sha, response FROM replies
  WHERE key NOT IN (SELECT key FROM first_answered);
DROP TABLE first_answered;
DROP TABLE ledger_1;
DROP TABLE replies;
{_VIEWS}
"""  # noqa: S608 - our own names
"""From schema 1, which held replies and ledger in two tables. A reply without a ledger row gets one that
counts for nothing."""

_STEPS = {0: _CALLS + _VECTORS + _VIEWS, 1: _MERGE}
"""What makes the newest schema of an older one; 0 is an empty file."""

COLUMNS = (*LEDGER_COLUMNS, "sha", "response")
"""Of a row that is written."""


class CallDatabase:
    """Connections to the file. Safe from many threads and many processes at once, also after a fork.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start()

    @contextlib.contextmanager
    def use(self, writing: bool = False, brief: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile. Readers take an idle one and wait for nobody: a
        lock that is held while the system works is what threads pile up at. Where nobody writes, one that reads a
        single row (`brief`) takes the writers', which need not read again what it wrote itself."""
        self._own()
        lock = self._write_lock
        locked = (writing or brief) and lock.acquire(blocking=writing)
        idle = self._writers if locked else self._readers
        try:
            try:
                try:
                    connection = idle.pop()
                except IndexError:
                    connection = self._open()
                try:
                    yield connection
                finally:
                    idle.append(connection)
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
        finally:
            if locked:
                lock.release()

    def close(self) -> None:
        """Close the connections that are idle; they open again when they are used."""
        with self._write_lock:
            while self._writers:
                self._writers.pop().close()
        while self._readers:
            self._readers.pop().close()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._write_lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._writers: deque[sqlite3.Connection] = deque()

    def _own(self) -> None:
        if self._pid != os.getpid():
            _CROSSED_A_FORK.extend((*self._readers, *self._writers))
            self._start()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA temp_store = MEMORY")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version < SCHEMA_VERSION:
                _enter_wal(db)
                with transaction(db):
                    version = db.execute("PRAGMA user_version").fetchone()[0]
                    if version < SCHEMA_VERSION:  # no other process was faster
                        for statement in _STEPS[version].split(";"):
                            db.execute(statement)
                        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                        version = SCHEMA_VERSION
            if version > SCHEMA_VERSION:
                raise IntegrityError(
                    f"{self.path}: was written by a newer judge_opt (schema {version}).",
                    "Upgrade judge_opt, or choose another JUDGE_OPT_HOME.",
                )
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A write transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


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
