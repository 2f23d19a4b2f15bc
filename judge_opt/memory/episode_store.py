"""A large episodic memory: rows in an SQLite file, a faiss index beside it.

    with EpisodeStore.open("labels.db", space) as memory:
        memory.remember(episodes)
        memory.nearest(vector, 5)

The rows are the truth. The index holds keys and vectors only, follows every change one by one, and is saved now
and then; one that is missing, old or damaged is brought up to date, or built again, from the rows. Nothing of
the rows stays in this process: a million examples need the index (about 0.5 GB), and no Python object each.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from judge_opt.core.errors import NotFound
from judge_opt.core.killpoints import reach
from judge_opt.memory.episode import Episode
from judge_opt.memory.episode_rows import EpisodeRows
from judge_opt.memory.index import VectorIndex, build_index, wants_rebuilding
from judge_opt.memory.index_file import IndexFile
from judge_opt.memory.retrieval import Candidate, Episodes
from judge_opt.memory.vectors import PIECES, ItemEmbedder, Vectors

logger = logging.getLogger(__name__)
_REPLAY_SHARE = 0.5
"""Where an index has missed more than this share of the rows, building it again is quicker."""


class EpisodeStore(Episodes):
    """Examples in a file. Safe from many threads and many processes at once; each process follows what the
    others commit.

    Args:
        path: of the rows; made where it does not exist. The index is kept beside it.
        embedder: name of the embedding model.
        dimension: of its vectors.
        pieces: see `ItemEmbedder`.

    Raises:
        IntegrityError: the rows were made with another embedding model or dimension, or are damaged.
        JudgeOptError: the file cannot be read or written.
    """

    def __init__(self, path: Path | str, embedder: str, dimension: int, pieces: int = PIECES) -> None:
        self.path = Path(path)
        self.embedder = embedder
        self.pieces = pieces
        self._dimension = dimension
        self._lock = threading.RLock()
        self._rows = EpisodeRows(self.path, embedder, dimension, pieces)
        about = {
            "made": self._rows.made,
            "embedder": embedder,
            "dimension": dimension,
            "pieces": pieces,
        }
        self._file = IndexFile(self.path, about)
        self._index: VectorIndex | None = None
        self._seen = -1  # the last change that the index has
        self._digest = 0  # of the rows then
        self._saved = -1
        self._version = -1

    @classmethod
    def open(cls, path: Path | str, space: ItemEmbedder) -> "EpisodeStore":
        """The store at `path` for items that `space` embeds."""
        width = space.embed([dict.fromkeys(space.parts, "dimension")]).shape[1]
        return cls(path, space.embedder.name, width, space.pieces)

    @classmethod
    def existing(
        cls, path: Path | str, embedder: str, dimension: int, pieces: int = PIECES
    ) -> "EpisodeStore":
        """As the constructor, of a file that has to be there.

        Raises:
            NotFound: it is not.
        """
        if not Path(path).is_file():
            raise NotFound(
                f"The episodic memory {path} is not there.",
                "Put the file back where it was, or build the memory again from the labels.",
            )
        return cls(path, embedder, dimension, pieces)

    # -- what every episodic memory has --------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        return self._dimension

    def __len__(self) -> int:
        return len(self._rows)

    def __deepcopy__(self, memo: dict[int, object]) -> "EpisodeStore":
        return self  # a file; a copy of the judge that uses it uses the same one

    def ids(self) -> Iterator[str]:
        return self._rows.ids()

    def episode(self, key: int) -> Episode:
        """Raises:
        NotFound: it was removed since its key was found.
        """
        found = self._rows.episodes([key]).get(key)
        if found is None:
            raise NotFound(f"{self.path}: row {key} was removed.", "Ask again.")
        return found

    def _candidates(self, query: Vectors, n: int, not_group: str | None) -> list[Candidate]:
        with self._lock:
            index = self._followed()
            without: list[int] = [] if not_group is None else self._rows.keys_of(group=not_group)
            keys = index.search(query, n, np.asarray(without, dtype=np.int64))
        return self._rows.candidates(keys.tolist())

    # -- changes -------------------------------------------------------------------------------------------

    def add(self, episodes: Sequence[Episode], vectors: Vectors) -> int:
        """Add examples, or replace those of the same ids; on the disk when this returns. One that is there
        already, the same in every byte, costs nothing.

        Args:
            vectors: shape (len(episodes), d).

        Returns:
            how many were written.

        Raises:
            DataError: two of them have one id, or the vectors are of another dimension.
        """
        return self._changed(self._rows.put(episodes, vectors))

    def remember(self, episodes: Sequence[Episode], space: ItemEmbedder, part: int = 512) -> int:
        """Embed examples and add them, `part` in a transaction; killed and begun again, what was added is not
        written again. See `EpisodicMemory.remember`."""
        written = 0
        for start in range(0, len(episodes), part):
            some = episodes[start : start + part]
            vectors = space.embed([episode.parts for episode in some])
            written += self.add([replace(e, cuts=space.cuts(e.parts)) for e in some], vectors)
        return written

    def remove(self, ids: Iterable[str]) -> int:
        """Take examples away; on the disk when this returns. Ids that are not there are passed over.

        Returns:
            how many were removed.
        """
        return self._changed(self._rows.remove(ids))

    def _changed(self, rows: int) -> int:
        if rows:
            with self._lock:
                if self._index is not None:
                    self._follow(self._index)
        return rows

    @property
    def digest(self) -> str:
        """64 hex digits that depend on the set of examples and their vectors only."""
        return self._rows.digest

    def check(self) -> list[str]:
        """Every row read again: what is wrong, in words."""
        return self._rows.check()

    # -- the index -----------------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """The index that is in use: its kind and its settings."""
        with self._lock:
            return self._followed().describe()

    def rebuild(self) -> None:
        """Build the index anew from the rows, and save it."""
        with self._lock:
            self._build()
            self.save()

    def save(self) -> None:
        """Write the index beside the rows, where it has changed since. Without this nothing is lost: the next
        process brings an old index up to date."""
        with self._lock:
            if self._index is not None and self._saved != self._seen:
                self._file.save(self._index, self._seen, self._digest)
                self._saved = self._seen
                self._rows.trim(self._seen)
                reach("memory.log_trimmed")

    def close(self) -> None:
        """Save the index, and close the file."""
        with self._lock:
            self.save()
            self._rows.close()

    def __enter__(self) -> "EpisodeStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _followed(self) -> VectorIndex:
        """The index, with everything that was committed."""
        if self._index is None:
            self._version = self._rows.version()
            loaded = self._file.load()
            if loaded is None:
                return self._build()
            index, self._seen, self._digest = loaded
            self._saved = self._seen
            return self._follow(index)
        version = self._rows.version()
        if version != self._version:
            self._version = version
            return self._follow(self._index)
        return self._index

    def _follow(self, index: VectorIndex) -> VectorIndex:
        """Bring `index` up to date."""
        changes = self._rows.changes(self._seen)
        missed = len(changes.added) + len(changes.removed)
        if not changes.whole or changes.before != self._digest:
            logger.warning("%s: the index is of other rows: it is built again from the rows", self.path)
            return self._build()
        if missed > max(1000, _REPLAY_SHARE * len(self)):
            return self._build()
        self._index = None  # where a change fails half-way, the next one who asks begins with the file
        index.remove(np.asarray(changes.removed, dtype=np.int64))
        index.add(*self._rows.vectors(changes.added))
        if wants_rebuilding(index):
            logger.info("%s: %d examples want another index, which is built", self.path, len(index))
            return self._build()
        self._index, self._seen, self._digest = index, changes.seq, changes.digest
        return index

    def _build(self) -> VectorIndex:
        logger.info("%s: the index is built from %d rows", self.path, len(self))
        with self._rows.moment():
            seen, digest = self._rows.state()
            index = build_index(self._dimension, len(self._rows), self._rows.sample, self._rows.blocks())
        self._index, self._seen, self._digest, self._saved = index, seen, digest, -1
        return index
