"""The call store: every reply that was bought, and the ledger of what was asked. One SQLite file.

A reply and its ledger row are committed in one transaction, on the disk, before the caller sees the
reply: a process that is killed at any point loses only the calls that were in flight. Rows for cache hits
cost nothing to lose, so they wait in memory for the next transaction (or for 256 of them).

Every row carries the SHA-256 of its content. A row that does not match is an IntegrityError, never a
reply and never silently bought again: the file was edited or the disk is failing, and both must be seen.
"""

import asyncio
import hashlib
import os
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
from judge_opt.llm.database import ENTRY_COLUMNS, CallDatabase, transaction
from judge_opt.llm.ledger import LEDGER_COLUMNS, LedgerLine, LedgerRow, ledger_values

PART = "#"
"""Between the id of a run and the name of a part of it, in the ledger."""
_AFTER_PART = chr(ord(PART) + 1)
_HITS_HELD = 256
_NO_REPLY = (None,) * 3
_NO_ROW = (None,) * len(LEDGER_COLUMNS)
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
        with self._database.use() as db:
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
        with self._database.use() as db:
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
            self._queue().commit(Entry(None, ledger_values(row)))
            return
        queue = self._queue()
        self._held.append(ledger_values(row))
        if len(self._held) >= _HITS_HELD:
            queue.commit(Entry(None, None))

    async def arecord(self, row: LedgerRow) -> None:
        """As `record`, without blocking the event loop."""
        if not row.cached:
            await self._acommit(Entry(None, ledger_values(row)))
            return
        queue = self._queue()
        self._held.append(ledger_values(row))
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
        with no_fork(), self._database.use(writing=True) as db:
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
        with self._database.use() as db:
            row = db.execute("SELECT response FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


@cache
def _insert(count: int) -> tuple[str, int]:
    """The statement for `count` entries, and how many values are missing: it has room for the next power
    of two, so that few statements are ever prepared."""
    room = 1 << max(count - 1, 0).bit_length()
    one = f"({','.join('?' * len(ENTRY_COLUMNS))})"
    return f"INSERT INTO entry VALUES {','.join([one] * room)}", (room - count) * len(ENTRY_COLUMNS)  # noqa: S608


def _entry(key: str, reply: Mapping[str, Any], row: LedgerRow) -> Entry:
    try:
        body = orjson.dumps(reply, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # text that UTF-8 cannot carry
        body = canonical_json(reply)
    return Entry((key, body, _digest(key, body)), ledger_values(row))


def _digest(*content: str | bytes) -> str:
    """Over the row's key too: a reply that was moved under another key does not match."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\n")
    return digest.hexdigest()
