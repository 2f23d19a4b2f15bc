"""Labelled examples in an SQLite file: the truth of a large episodic memory.

Each row carries the SHA-256 of its content, compared whenever it is read. What was committed is on the disk
(WAL, `synchronous=FULL`). A log of changes says what an index that is older than the rows has missed.

Ids and groups are stored as UTF-8 bytes: text with lone surrogates has bytes too, and bytes sort as text does.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from judge_opt.core.errors import DataError, IntegrityError
from judge_opt.core.hashing import canonical_json
from judge_opt.core.killpoints import reach
from judge_opt.memory.episode import Episode
from judge_opt.memory.episode_database import AGAIN, EpisodeDatabase
from judge_opt.memory.retrieval import Candidate, Keys
from judge_opt.memory.vectors import Vectors

_PART = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to the rows since some moment.

    Attributes:
        seq: of the last change.
        digest: of the rows now; see `EpisodeRows.digest`.
        before: of the rows then, worked out from the log.
        added, removed: keys; a row that came and went is in neither.
        whole: False where the log does not reach back that far.
    """

    seq: int
    digest: int
    before: int
    added: tuple[int, ...]
    removed: tuple[int, ...]
    whole: bool


class EpisodeRows(EpisodeDatabase):
    """The rows of one memory. See `EpisodeDatabase` for how it is opened."""

    # -- reading -------------------------------------------------------------------------------------------

    def candidates(self, keys: Iterable[int]) -> list[Candidate]:
        """The rows under those keys that there are, ties ordered by id.

        Raises:
            IntegrityError: a row does not match its hash.
        """
        columns = "key, id, vector, body, sha"
        return [
            Candidate(key, bytes(id_), self._vector(key, vector, body, sha))
            for key, id_, vector, body, sha in self._rows(columns, keys)
        ]

    def episodes(self, keys: Sequence[int]) -> dict[int, Episode]:
        """The examples under those keys that there are.

        Raises:
            IntegrityError: a row does not match its hash.
        """
        found = {}
        for key, vector, body, sha in self._rows("key, vector, body, sha", keys):
            self._vector(key, vector, body, sha)
            found[key] = Episode.from_json(json.loads(body))
        return found

    def ids(self) -> Iterator[str]:
        """All ids, sorted, a part at a time."""
        last = b""
        first = True
        while True:
            with self._lock, self._telling():
                part = self._db.execute(
                    "SELECT id FROM episodes WHERE id > ? OR (? AND id = ?) ORDER BY id LIMIT 10000",
                    (last, first, last),
                ).fetchall()
            if not part:
                return
            yield from (_text(row[0]) for row in part)
            last, first = bytes(part[-1][0]), False

    def keys_of(self, *, ids: Iterable[str] = (), group: str | None = None) -> list[int]:
        """Keys of examples by id, or of a group."""
        with self._lock, self._telling():
            if group is not None:
                rows = self._db.execute("SELECT key FROM episodes WHERE grp = ?", (_bytes(group),)).fetchall()
                return [row[0] for row in rows]
            found = []
            for part in _parts([_bytes(i) for i in ids]):
                marks = ",".join("?" * len(part))
                query = f"SELECT key FROM episodes WHERE id IN ({marks})"  # noqa: S608 - question marks
                found += [row[0] for row in self._db.execute(query, part)]
            return found

    def blocks(self, rows: int = 10_000) -> Iterator[tuple[Keys, Vectors]]:
        """All keys and vectors, by key, a block at a time."""
        last = -1
        while True:
            with self._lock, self._telling():
                part = self._db.execute(
                    "SELECT key, vector FROM episodes WHERE key > ? ORDER BY key LIMIT ?", (last, rows)
                ).fetchall()
            if not part:
                return
            last = part[-1][0]
            yield np.asarray([row[0] for row in part], dtype=np.int64), self._matrix([r[1] for r in part])

    def sample(self, rows: int) -> Vectors:
        """Vectors of the rows with the smallest hashes: random, and the same for the same set of rows."""
        with self._lock, self._telling():
            part = self._db.execute("SELECT vector FROM episodes ORDER BY sha LIMIT ?", (rows,)).fetchall()
        return self._matrix([row[0] for row in part])

    def vectors(self, keys: Sequence[int]) -> tuple[Keys, Vectors]:
        """Keys and vectors of those rows that there are."""
        found = self._rows("key, vector", keys)
        return np.asarray([row[0] for row in found], dtype=np.int64), self._matrix([r[1] for r in found])

    def changes(self, since: int) -> Changes:
        """What an index that has seen everything up to `since` has missed."""
        with self.moment():
            about = self._about()
            rows = self._db.execute(
                "SELECT seq, key, added, sha FROM changes WHERE seq > ? ORDER BY seq", (since,)
            ).fetchall()
        trimmed, digest = int(about["trimmed"]), int(about["digest"])
        added: dict[int, None] = {}
        removed: dict[int, None] = {}
        before = digest
        for _, key, came, sha in rows:
            before += -_number(sha) if came else _number(sha)
            if came:
                added[key] = None
            elif key in added:
                del added[key]
            else:
                removed[key] = None
        seq = rows[-1][0] if rows else max(since, trimmed)
        return Changes(seq, digest, before % 2**256, tuple(added), tuple(removed), since >= trimmed)

    def check(self) -> list[str]:
        """Everything read again: what is wrong, in words; [] where all is right."""
        wrong, total, count, last = [], 0, 0, -1
        while True:
            with self._lock, self._telling():
                part = self._db.execute(
                    "SELECT key, id, grp, vector, body, sha FROM episodes WHERE key > ? ORDER BY key LIMIT 1000",
                    (last,),
                ).fetchall()
            if not part:
                break
            for key, id_, group, vector, body, sha in part:
                try:
                    self._vector(key, vector, body, sha)
                    example = json.loads(body)
                    if (_bytes(example["id"]), _bytes(example["group"])) != (id_, group):
                        raise IntegrityError(f"{self.path}: row {key} is filed under another id or group.")
                except (IntegrityError, ValueError, KeyError) as error:
                    wrong.append(str(error))
                total, count, last = total + _number(sha), count + 1, key
        about = self._about()
        if str(total % 2**256) != about["digest"] or str(count) != about["count"]:
            wrong.append(
                f"{self.path}: the rows are not those that were committed ({count} of {about['count']})."
            )
        return wrong

    # -- writing -------------------------------------------------------------------------------------------

    def put(self, episodes: Sequence[Episode], vectors: Vectors) -> int:
        """Add examples, or replace those of the same ids, in one transaction. One that is there already, the
        same in every byte, is left alone.

        Returns:
            how many were written.

        Raises:
            DataError: two of them have one id, or a vector is not of this memory's dimension or not finite.
        """
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        if rows.shape != (len(episodes), self.dimension) or not np.isfinite(rows).all():
            raise DataError(
                f"{len(episodes)} examples came with vectors of shape {rows.shape}; this memory wants finite "
                f"ones of {self.dimension} dimensions.",
                f"Embed them with {self.embedder}.",
            )
        made = []
        for episode, row in zip(episodes, rows, strict=True):
            vector, body = row.tobytes(), canonical_json(episode.to_json())
            made.append((_bytes(episode.id), _bytes(episode.group), vector, body, _sha(vector, body)))
        if len({row[0] for row in made}) != len(made):
            raise DataError("Two examples have one id.", "Give each item one id; several raters are votes.")
        written = 0
        with self._lock, self._telling(), self._writing():
            there: dict[bytes, bytes] = {}
            for part in _parts([row[0] for row in made]):
                marks = ",".join("?" * len(part))
                query = f"SELECT id, sha FROM episodes WHERE id IN ({marks})"  # noqa: S608 - question marks
                there.update((bytes(i), bytes(s)) for i, s in self._db.execute(query, part))
            fresh = [row for row in made if there.get(row[0]) != row[4]]
            self._take([row[0] for row in fresh if row[0] in there])
            if fresh:
                first = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'episodes'").fetchone()
                start = (first[0] if first else 0) + 1
                keyed = [(start + i, *row) for i, row in enumerate(fresh)]
                self._db.executemany("INSERT INTO episodes VALUES (?, ?, ?, ?, ?, ?)", keyed)
                self._db.executemany(
                    "INSERT INTO changes (key, added, sha) VALUES (?, 1, ?)", [(r[0], r[5]) for r in keyed]
                )
                self._count(len(fresh), sum(_number(row[4]) for row in fresh))
            written = len(fresh)
            reach("memory.before_commit")
        reach("memory.rows_committed")
        return written

    def remove(self, ids: Iterable[str]) -> int:
        """Take examples away, in one transaction; ids that are not there are passed over.

        Returns:
            how many were removed.
        """
        with self._lock, self._telling(), self._writing():
            gone = self._take([_bytes(i) for i in ids])
            reach("memory.before_commit")
        reach("memory.rows_committed")
        return gone

    def trim(self, seq: int) -> None:
        """Forget changes up to `seq`: an index on the disk has them."""
        with self._lock, self._telling(), self._writing():
            self._db.execute("DELETE FROM changes WHERE seq <= ?", (seq,))
            self._db.execute(
                "UPDATE about SET value = MAX(CAST(value AS INTEGER), ?) WHERE name = 'trimmed'", (seq,)
            )

    # -- inside --------------------------------------------------------------------------------------------

    def _take(self, ids: Sequence[bytes]) -> int:
        gone = []
        for part in _parts(ids):
            marks = ",".join("?" * len(part))
            query = f"SELECT key, sha FROM episodes WHERE id IN ({marks})"  # noqa: S608 - question marks
            gone += self._db.execute(query, part).fetchall()
        if gone:
            self._db.executemany("DELETE FROM episodes WHERE key = ?", [(key,) for key, _ in gone])
            self._db.executemany("INSERT INTO changes (key, added, sha) VALUES (?, 0, ?)", gone)
            self._count(-len(gone), -sum(_number(sha) for _, sha in gone))
        return len(gone)

    def _count(self, rows: int, hashes: int) -> None:
        about = self._about()
        digest = (int(about["digest"]) + hashes) % 2**256
        self._db.executemany(
            "UPDATE about SET value = ? WHERE name = ?",
            [(str(int(about["count"]) + rows), "count"), (str(digest), "digest")],
        )

    def _rows(self, columns: str, keys: Iterable[int]) -> list[Any]:
        found: list[Any] = []
        with self._lock, self._telling():
            for part in _parts([int(key) for key in keys]):
                marks = ",".join("?" * len(part))
                query = f"SELECT {columns} FROM episodes WHERE key IN ({marks})"  # noqa: S608 - our own names
                found += self._db.execute(query, part).fetchall()
        return found

    def _vector(self, key: int, vector: bytes, body: bytes, sha: bytes) -> Vectors:
        if not (isinstance(vector, bytes) and isinstance(body, bytes) and _sha(vector, body) == sha):
            raise IntegrityError(f"{self.path}: the example of row {key} does not match its hash.", AGAIN)
        return np.frombuffer(vector, dtype="<f4")

    def _matrix(self, vectors: Sequence[bytes]) -> Vectors:
        return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), self.dimension)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return bytes(data).decode("utf-8", "surrogatepass")


def _sha(vector: bytes, body: bytes) -> bytes:
    digest = hashlib.sha256(vector)
    digest.update(body)
    return digest.digest()


def _number(sha: bytes) -> int:
    return int.from_bytes(sha, "big")


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _PART):
        yield items[start : start + _PART]
