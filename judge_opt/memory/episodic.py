"""Episodic memory: labelled examples, found again by what they are like. Inside a judge, as data.

What does not fit in a judge's JSON lives in a file of its own: see `episode_store`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from judge_opt.core.errors import DataError, IntegrityError
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import Vote
from judge_opt.memory.episode import Cut as Cut
from judge_opt.memory.episode import Episode as Episode
from judge_opt.memory.index import ExactIndex
from judge_opt.memory.retrieval import Candidate, Episodes
from judge_opt.memory.vectors import PIECES, ItemEmbedder, Vectors


class EpisodicMemory(Episodes):
    """Episodes with their vectors, never changed after it was made: learning more makes another one.

    Everything about it depends on the set of its episodes only: rows are held by id, so adding and removing
    commute, and what is left after a removal is, byte for byte, what was never added to. The index is built
    from the vectors when it is first asked, and never stored.

    Args:
        episodes: in any order; kept sorted by id.
        vectors: shape (n, d), float32, of at most unit length, from an embedder named `embedder`, in the
            order of `episodes`.
        pieces: see `ItemEmbedder`, which made the vectors.

    Raises:
        IntegrityError: the numbers of episodes and vectors differ.
        DataError: two episodes have one id.
    """

    def __init__(
        self, episodes: Sequence[Episode], vectors: Vectors, embedder: str, pieces: int = PIECES
    ) -> None:
        if len(episodes) != len(vectors):
            raise IntegrityError(
                f"Episodic memory holds {len(episodes)} examples but {len(vectors)} vectors.",
                "Align the judge again.",
            )
        order = sorted(range(len(episodes)), key=lambda i: episodes[i].id)
        self.episodes = tuple(episodes[i] for i in order)
        for one, other in zip(self.episodes, self.episodes[1:], strict=False):
            if one.id == other.id:
                raise DataError(
                    f"Two examples have the id {one.id!r}.",
                    "Give each item one id; several raters are votes.",
                )
        rows = np.asarray(vectors, dtype=np.float32)
        self.vectors = np.ascontiguousarray(rows if order == list(range(len(order))) else rows[order])
        self.embedder = embedder
        self.pieces = pieces
        self._index: ExactIndex | None = None
        self._groups: dict[str, list[int]] | None = None

    @classmethod
    def remember(cls, episodes: Sequence[Episode], space: ItemEmbedder) -> "EpisodicMemory":
        """Embed examples (equal texts once), and note on each which of its texts were too long to embed
        whole."""
        vectors = space.embed([episode.parts for episode in episodes])
        noted = [replace(episode, cuts=space.cuts(episode.parts)) for episode in episodes]
        return cls(noted, vectors, space.embedder.name, space.pieces)

    def __len__(self) -> int:
        return len(self.episodes)

    def __deepcopy__(self, memo: dict[int, object]) -> "EpisodicMemory":
        return self  # never changed after it was made

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    def ids(self) -> Iterator[str]:
        return (episode.id for episode in self.episodes)

    def episode(self, key: int) -> Episode:
        return self.episodes[key]

    def plus(self, other: "EpisodicMemory") -> "EpisodicMemory":
        """This memory with the examples of another one; its version of an example takes the place of ours.

        Raises:
            IntegrityError: the two were made with different embedding models.
        """
        if not len(other):
            return self
        mine, theirs = (self.embedder, self.pieces), (other.embedder, other.pieces)
        if len(self) and (mine != theirs or self.dimension != other.dimension):
            raise IntegrityError(
                f"Examples embedded with {other.embedder} ({other.dimension} dimensions, {other.pieces} pieces) "
                f"cannot join a memory of {self.embedder} ({self.dimension}, {self.pieces}).",
                "Embed them with the memory's own embedder.",
            )
        rest = self.minus(other.ids())
        vectors = np.concatenate([rest.vectors, other.vectors]) if len(rest) else other.vectors
        return EpisodicMemory(rest.episodes + other.episodes, vectors, other.embedder, other.pieces)

    def minus(self, ids: Iterable[str]) -> "EpisodicMemory":
        """This memory without some examples; ids that it does not hold are passed over."""
        gone = set(ids)
        kept = [i for i, episode in enumerate(self.episodes) if episode.id not in gone]
        if len(kept) == len(self):
            return self
        return EpisodicMemory(
            [self.episodes[i] for i in kept], self.vectors[kept], self.embedder, self.pieces
        )

    def keeping(self, keep: Callable[[Vote], bool], value_type: ValueType) -> "EpisodicMemory":
        """This memory with those votes only that `keep` accepts; an example that is left without a majority
        goes. Nothing is embedded. See `Episode.keeping`.

        Raises:
            DataError: a memory of an earlier release, which did not keep single votes.
        """
        left = [(i, e.keeping(keep, value_type)) for i, e in enumerate(self.episodes)]
        kept = [(i, e) for i, e in left if e is not None]
        if [e for _, e in kept] == list(self.episodes):
            return self
        vectors = self.vectors[[i for i, _ in kept]]
        return EpisodicMemory([e for _, e in kept], vectors, self.embedder, self.pieces)

    def _candidates(self, query: Vectors, n: int, not_group: str | None) -> list[Candidate]:
        if not len(self):
            return []
        if self._index is None:
            index = ExactIndex(self.dimension)
            index.add(np.arange(len(self), dtype=np.int64), self.vectors)
            self._index = index
        without = np.asarray(self._siblings(not_group), dtype=np.int64)
        keys = sorted(self._index.search(query, n, without).tolist())
        return [Candidate(key, key, self.vectors[key]) for key in keys]

    def _siblings(self, group: str | None) -> list[int]:
        if group is None:
            return []
        if self._groups is None:
            groups: dict[str, list[int]] = {}
            for place, episode in enumerate(self.episodes):
                groups.setdefault(episode.group, []).append(place)
            self._groups = groups
        return self._groups.get(group, [])
