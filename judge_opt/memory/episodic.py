"""Episodic memory: labelled examples, found again by what they are like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import IntegrityError
from judge_opt.core.results import Value
from judge_opt.memory.vectors import Vectors

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Episode:
    """One labelled example.

    Attributes:
        id, group: of the trace it came from.
        parts: variable name to value: what the judge saw of the item.
        gold: the raters' majority.
        votes: label (text form) to number of raters.
        rationale: a rater's reason for the gold value, or None.
        missed: the untouched judge had it wrong, or could not judge it.
        sources: assessment ids that it stands on.
    """

    id: str
    group: str
    parts: Mapping[str, Any]
    gold: Value
    votes: Mapping[str, int]
    rationale: str | None = None
    missed: bool = False
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "group": self.group,
            "parts": dict(self.parts),
            "gold": self.gold,
            "votes": dict(self.votes),
            "rationale": self.rationale,
            "missed": self.missed,
            "sources": list(self.sources),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Episode":
        return cls(**{**data, "sources": tuple(data["sources"])})


class EpisodicMemory:
    """Episodes with their vectors. The episodes are the truth; the faiss index is built from the vectors
    when it is first asked, and never stored.

    Args:
        episodes: in a fixed order (by id).
        vectors: shape (n, d), float32, of at most unit length, from an embedder named `embedder`.

    Raises:
        IntegrityError: the numbers of episodes and vectors differ.
    """

    def __init__(self, episodes: Sequence[Episode], vectors: Vectors, embedder: str) -> None:
        if len(episodes) != len(vectors):
            raise IntegrityError(
                f"Episodic memory holds {len(episodes)} examples but {len(vectors)} vectors.",
                "Align the judge again.",
            )
        self.episodes = tuple(episodes)
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.embedder = embedder
        self._index: Any = None

    def __len__(self) -> int:
        return len(self.episodes)

    def __deepcopy__(self, memo: dict[int, Any]) -> "EpisodicMemory":
        return self  # never changed after it was made

    def similarities(self, queries: Vectors, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Inner products and positions of the `k` nearest episodes, nearest first, shape (n, k)."""
        if self._index is None:
            import faiss

            self._index = faiss.IndexFlatIP(self.vectors.shape[1])
            self._index.add(self.vectors)
        scores, places = self._index.search(
            np.ascontiguousarray(queries, dtype=np.float32), min(k, len(self))
        )
        # faiss sums in an order that depends on the batch: rounded, so that ties fall alike everywhere.
        return np.round(scores.astype(np.float64), 5), places

    def nearest(
        self, query: Vectors, k: int, *, not_group: str | None = None, floor: float = -1.0
    ) -> list[tuple[int, float]]:
        """(position, similarity) of the `k` nearest episodes, nearest first.

        Args:
            query: shape (d,).
            not_group: leave out episodes of this group: the item itself or its siblings.
            floor: leave out what is less similar than this: nothing is better than something irrelevant.
        """
        siblings = sum(e.group == not_group for e in self.episodes) if not_group is not None else 0
        scores, places = self.similarities(query[None, :], k + siblings)
        found = [
            (int(i), float(s))
            for s, i in zip(scores[0], places[0], strict=True)
            if s >= floor and self.episodes[i].group != not_group
        ]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]

    def examples(
        self,
        query: Vectors,
        k: int,
        *,
        not_group: str | None = None,
        floor: float = 0.2,
        diversity: float = 0.1,
    ) -> list[tuple[int, float]]:
        """Episodes to show the judge: near, but not the same thing over again (maximal marginal relevance,
        Carbonell and Goldstein, SIGIR 1998), most similar first.

        Args:
            diversity: weight in [0, 1] of the similarity to what is already chosen.
        """
        pool = self.nearest(query, 4 * k, not_group=not_group, floor=floor)
        chosen: list[tuple[int, float]] = []
        while pool and len(chosen) < k:
            best = max(
                pool,
                key=lambda c: (
                    (1 - diversity) * c[1]
                    - diversity
                    * max((float(self.vectors[c[0]] @ self.vectors[i]) for i, _ in chosen), default=0.0),
                    -c[0],
                ),
            )
            pool.remove(best)
            chosen.append(best)
        return sorted(chosen, key=lambda pair: (-pair[1], pair[0]))
