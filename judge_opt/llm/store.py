"""The call store: every reply that was bought, and the ledger of what was asked. One SQLite file.

A reply and its ledger row are one row, which is on the disk before the caller sees the reply: a process that
is killed at any point loses only the calls that were in flight. Rows for cache hits cost nothing to lose, so
they wait in memory for the next transaction (or for 256 of them).

Every row carries the SHA-256 of its content. A row that does not match is an IntegrityError, never a
reply and never silently bought again: the file was edited or the disk is failing, and both must be seen.
"""

import asyncio
import hashlib
import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from judge_opt.core.errors import IntegrityError
from judge_opt.core.forks import no_fork
from judge_opt.core.hashing import canonical_json
from judge_opt.core.killpoints import reach
from judge_opt.llm.commits import Entry, GroupCommit
from judge_opt.llm.database import COLUMNS, CallDatabase, transaction
from judge_opt.llm.ledger import LedgerLine, LedgerRow, ledger_values

PART = "#"
"""Between the id of a run and the name of a part of it, in the ledger."""
_AFTER_PART = chr(ord(PART) + 1)
_HITS_HELD = 256
_REPLY = "SELECT response, sha FROM calls WHERE key = ? AND response IS NOT NULL"
_NO_REPLY = (None, None)
_SUMMARY = """
SELECT purpose, model, SUM(cached = 0 AND outcome = 'ok'), SUM(cached = 0 AND outcome <> 'ok'),
       SUM(attempts * (cached = 0)), SUM(cached),
       SUM(prompt_tokens * (cached = 0)), SUM(completion_tokens * (cached = 0)),
       TOTAL(usd * (cached = 0)), SUM(cached = 0 AND outcome = 'ok' AND usd IS NULL),
       TOTAL(seconds * (cached = 0))
FROM calls WHERE ? IS NULL OR run_id = ? OR (run_id > ? AND run_id < ?) GROUP BY purpose, model ORDER BY purpose, model
"""


class CallStore:
    """Replies, ledger and embedding vectors. Safe from many threads and many processes at once.

    Reads have connections of their own, so that none waits for a commit on its way to the disk.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.

    Raises:
        IntegrityError: the file is no database, is damaged, or was written by a newer judge_opt.
        JudgeOptError: the file cannot be read or written (disk full, read-only folder).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._database = CallDatabase(self.path)
        self._start()
        with self._database.use():
            pass

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply under `key`, or None."""
        with self._database.use(brief=True) as db:
            row = db.execute(_REPLY, (key,)).fetchone()
        if row is None:
            return None
        self._verify(row[1], f"reply {key[:12]}", key, row[0])
        reply: dict[str, Any] = orjson.loads(row[0])
        return reply

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that have a reply."""
        found: set[str] = set()
        todo = list(keys)
        with self._database.use() as db:
            for start in range(0, len(todo), 500):
                part = todo[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key FROM calls WHERE response IS NOT NULL AND key IN ({marks})"  # noqa: S608 - question marks
                found.update(row[0] for row in db.execute(query, part))
        return found

    def put(self, reply: dict[str, Any], row: LedgerRow) -> dict[str, Any]:
        """Commit a bought reply and its ledger row together; on the disk when this returns.

        Returns:
            The reply under the row's key: this very one, or the one that another process stored first, so that
            every process goes on with the same bytes.
        """
        entry = _entry(reply, row)
        self._queue().commit(entry)
        return self._committed(entry, reply)

    async def aput(self, reply: dict[str, Any], row: LedgerRow) -> dict[str, Any]:
        """As `put`, without blocking the event loop. Once begun, a cancellation does not undo it."""
        entry = _entry(reply, row)
        await self._acommit(entry)
        return self._committed(entry, reply)

    def record(self, row: LedgerRow) -> None:
        """Book a call without a reply: a failure (durable at once) or a cache hit (held in memory)."""
        if not row.cached:
            self._queue().commit(Entry(row.key, ledger_values(row)))
            return
        queue = self._queue()
        self._held.append(ledger_values(row))
        if len(self._held) >= _HITS_HELD:
            queue.commit(Entry())

    async def arecord(self, row: LedgerRow) -> None:
        """As `record`, without blocking the event loop."""
        if not row.cached:
            await self._acommit(Entry(row.key, ledger_values(row)))
            return
        queue = self._queue()
        self._held.append(ledger_values(row))
        if len(self._held) >= _HITS_HELD:
            queue.commit_soon(Entry())

    def flush(self) -> None:
        """Write the cache hits that are held in memory."""
        queue = self._queue()
        if self._held:
            queue.commit(Entry())

    def summary(self, run_id: str | None = None) -> list[LedgerLine]:
        """Sums by purpose and model, of one run with its parts (`Session.part`) or of everything, ordered by
        purpose and model."""
        self.flush()
        below = (f"{run_id}{PART}", f"{run_id}{_AFTER_PART}")
        with self._database.use() as db:
            rows = db.execute(_SUMMARY, (run_id, run_id, *below)).fetchall()
        return [LedgerLine(*row) for row in rows]

    def get_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """float32 bytes by text hash, for those of `hashes` that are stored."""
        found: dict[str, bytes] = {}
        with self._database.use() as db:
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
        with self._database.use(writing=True) as db, transaction(db):
            db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Write what is held and close the file. The store opens it again when it is used again."""
        self.flush()
        self._commits.close()
        self._database.close()

    def _verify(self, sha: str, what: str, *content: str | bytes) -> None:
        if _digest(*content) != sha:
            raise IntegrityError(
                f"{self.path}: {what} does not match its hash.",
                "Restore the file from a backup, or move it away to buy its calls again.",
            )

    def _start(self) -> None:
        """Queues of this process: a fork begins with its own."""
        self._pid = os.getpid()
        self._held: deque[tuple[Any, ...]] = deque()
        self._commits = GroupCommit(self._write)

    def _own(self) -> None:
        if self._pid != os.getpid():
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

    def _committed(self, entry: Entry, reply: dict[str, Any]) -> dict[str, Any]:
        reach("llm.committed")
        if entry.inserted:
            return reply
        stored = self.get(entry.key)
        assert stored is not None
        return stored

    def _write(self, batch: Sequence[Entry]) -> None:
        """One statement, which is a transaction, for `batch` and for the cache hits that are held."""
        hits: list[tuple[Any, ...]] = []
        first = {entry.key: entry for entry in reversed(batch) if entry.reply is not None}
        for entry in batch:
            entry.inserted = first.get(entry.key) is entry
        with no_fork(), self._database.use(writing=True) as db:
            before = db.total_changes
            try:
                while self._held and len(hits) < _HITS_HELD:
                    hits.append(self._held.popleft())
                while rows := _rows(batch, hits):
                    try:
                        db.execute(_statement(len(rows) // len(COLUMNS)), rows)
                        break
                    except sqlite3.IntegrityError:
                        if not self._give_way(batch):
                            raise
                        before = db.total_changes
            except BaseException as error:
                if isinstance(error, Exception) or db.total_changes == before:
                    self._held.extendleft(reversed(hits))
                else:  # Ctrl-C, and the statement had been carried out
                    _mark(batch)
                raise
        _mark(batch)

    def _give_way(self, batch: Sequence[Entry]) -> bool:
        """Insert no reply where another process was first with one; False where none was."""
        taken = self.holds(entry.key for entry in batch if entry.inserted)
        for entry in batch:
            entry.inserted = entry.inserted and entry.key not in taken
        return bool(taken)


def _mark(batch: Sequence[Entry]) -> None:
    """Say of each entry that it is stored."""
    for entry in batch:
        entry.done = True


def _rows(batch: Sequence[Entry], hits: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The values of all rows, one after the other. They are as many as a power of two: so few statements are
    ever prepared. Rows of NULL are passed over."""
    values: list[Any] = []
    for entry in batch:
        if entry.row is not None:
            values += entry.row
            values += entry.reply if entry.reply is not None and entry.inserted else _NO_REPLY
    for hit in hits:
        values += hit
        values += _NO_REPLY
    count = len(values) // len(COLUMNS)
    return values + [None] * (((1 << max(count - 1, 0).bit_length()) - count) * len(COLUMNS)) if count else []


@cache
def _statement(count: int) -> str:
    """Inserts `count` rows."""
    into = f"INSERT INTO calls ({', '.join(COLUMNS)})"
    one = f"({','.join('?' * len(COLUMNS))})"
    if count == 1:
        return f"{into} VALUES {one}"
    return f"{into} SELECT * FROM (VALUES {','.join([one] * count)}) WHERE column1 IS NOT NULL"  # noqa: S608


def _entry(reply: Mapping[str, Any], row: LedgerRow) -> Entry:
    try:
        body = orjson.dumps(reply, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # text that UTF-8 cannot carry
        body = canonical_json(reply)
    return Entry(row.key, ledger_values(row), (_digest(row.key, body), body))


def _digest(*content: str | bytes) -> str:
    """Over the row's key too: a reply that was moved under another key does not match."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\n")
    return digest.hexdigest()
