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

SCHEMA_VERSION = 1
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
_LEDGER = ", ".join(LEDGER_COLUMNS)
ENTRY_COLUMNS = ("reply_key", "response", "sha", *LEDGER_COLUMNS)
"""A reply and a ledger row in one; either may be all NULL."""
_ONE_STATEMENT = f"""
CREATE TEMP VIEW entry AS SELECT {", ".join(f"NULL AS {name}" for name in ENTRY_COLUMNS)};
CREATE TEMP TRIGGER entry_reply INSTEAD OF INSERT ON entry WHEN NEW.reply_key IS NOT NULL
BEGIN INSERT OR IGNORE INTO replies VALUES (NEW.reply_key, NEW.response, NEW.sha); END;
CREATE TEMP TRIGGER entry_row INSTEAD OF INSERT ON entry WHEN NEW.time IS NOT NULL
BEGIN INSERT INTO ledger ({_LEDGER}) VALUES ({", ".join(f"NEW.{name}" for name in LEDGER_COLUMNS)}); END;
"""  # noqa: S608 - our own names
"""Makes of a whole transaction one INSERT, of replies and ledger rows together. Each statement, and each
row of an `executemany`, lets go of Python's lock and has to win it back, for which the thread that commits
for a busy event loop can wait up to 5 ms each time."""


class CallDatabase:
    """Connections to the file. Safe from many threads and many processes at once, also after a fork.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start()

    @contextlib.contextmanager
    def use(self, writing: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile. Readers take an idle one and wait for nobody: a
        lock that is held while the system works is what threads pile up at."""
        self._own()
        idle = self._writers if writing else self._readers
        with self._write_lock if writing else contextlib.nullcontext():
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
