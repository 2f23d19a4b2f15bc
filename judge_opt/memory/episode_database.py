"""The SQLite file of a large episodic memory: opened, checked against the embedding model, read and written."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from judge_opt.core.errors import IntegrityError, JudgeOptError

SCHEMA = 1
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE episodes (
  key INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, grp BLOB NOT NULL, vector BLOB NOT NULL,
  body BLOB NOT NULL, sha BLOB NOT NULL
);
CREATE INDEX episodes_by_group ON episodes (grp);
CREATE INDEX episodes_by_sha ON episodes (sha);
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL, added INTEGER NOT NULL, sha BLOB NOT NULL
);
"""
AGAIN = "Restore the file from a backup, or build the memory again from the labels."


class EpisodeDatabase:
    """One file. Safe from many threads and many processes at once.

    Args:
        path: the file; made where it does not exist.
        embedder: name of the embedding model.
        dimension: of its vectors.
        pieces: see `ItemEmbedder`.

    Raises:
        IntegrityError: the file was made with another embedding model, dimension or number of pieces; is no
            such file, damaged, or from a newer release.
    """

    def __init__(self, path: Path, embedder: str, dimension: int, pieces: int) -> None:
        self.path = Path(path)
        self.embedder = embedder
        self.dimension = dimension
        self.pieces = pieces
        self._lock = threading.RLock()
        with self._telling():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=60, cached_statements=64
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._begin()

    def _begin(self) -> None:
        asked = {
            "schema": str(SCHEMA),
            "embedder": self.embedder,
            "dimension": str(self.dimension),
            "pieces": str(self.pieces),
        }
        with self._writing():
            if not self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                for statement in _TABLES.split(";\n"):
                    self._db.execute(statement)
                start = {**asked, "made": os.urandom(16).hex(), "digest": "0", "count": "0", "trimmed": "0"}
                self._db.executemany("INSERT INTO about VALUES (?, ?)", start.items())
        found = self._about()
        if found.get("schema") != asked["schema"]:
            raise IntegrityError(
                f"{self.path}: is no episodic memory of schema {SCHEMA} (schema {found.get('schema')!r}).",
                "Upgrade judge_opt, or give another file.",
            )
        for name, what in (("embedder", "embedding model"), ("dimension", "dimension"), ("pieces", "pieces")):
            if found.get(name) != asked[name]:
                raise IntegrityError(
                    f"{self.path}: this memory was built with {what} {found.get(name)}, not {asked[name]}.",
                    f"Open it with {found.get(name)}, or build a memory of its own for the other one.",
                )

    def __len__(self) -> int:
        return int(self._about()["count"])

    @property
    def digest(self) -> str:
        """64 hex digits that depend on the set of examples and their vectors only: the sum of the rows'
        hashes, kept up with every change."""
        return f"{int(self._about()['digest']):064x}"

    @property
    def made(self) -> str:
        """A random name that this file got when it was made: keys mean something in this file only."""
        return self._about()["made"]

    def version(self) -> int:
        """Changes when another connection or process has committed."""
        with self._lock, self._telling():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Reads inside see the rows as they were at one moment."""
        with self._lock, self._telling():
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def state(self) -> tuple[int, int]:
        """The last change, and the digest as a number."""
        with self._lock, self._telling():
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
            return (last[0] if last else 0), int(self._about()["digest"])

    def close(self) -> None:
        with self._lock, self._telling():
            self._db.close()

    def _about(self) -> dict[str, str]:
        with self._lock, self._telling():
            return dict(self._db.execute("SELECT name, value FROM about").fetchall())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """SQLite's errors as ours, with the file's name."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.OperationalError | OSError) and "malformed" not in str(error):
                raise JudgeOptError(
                    f"{self.path}: the episodic memory cannot be read or written ({error}).",
                    "See that the folder can be written and the disk has room.",
                ) from error
            raise IntegrityError(f"{self.path}: the episodic memory is damaged ({error}).", AGAIN) from error
