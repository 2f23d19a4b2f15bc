"""What every episodic memory does, wherever its rows are: find what is near, and choose what to show."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.memory.episode import Episode
from judge_opt.memory.vectors import Vectors

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]
_SPARE = 12
_MOST = 4096
"""Most candidates looked at to break a tie alike."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that an index found.

    Attributes:
        key: of the row, see `Episodes.episode`.
        order: what breaks ties: the same in every memory of the same examples.
        vector: shape (d,).
    """

    key: int
    order: Any
    vector: Vectors


class Episodes(ABC):
    """Labelled examples with their vectors.

    Attributes:
        embedder: name of the embedding model.
        pieces: most pieces of a long text that stand in a vector (see `ItemEmbedder`).
    """

    embedder: str
    pieces: int

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of a vector."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def ids(self) -> Iterator[str]:
        """Ids of all examples, sorted."""

    @abstractmethod
    def episode(self, key: int) -> Episode:
        """The example under a key that `nearest` or `examples` gave."""

    @abstractmethod
    def _candidates(self, query: Vectors, n: int, not_group: str | None) -> list[Candidate]:
        """About the `n` nearest rows that are not of the group, in any order; all where there are fewer."""

    def nearest(
        self, query: Vectors, k: int, *, not_group: str | None = None, floor: float = -1.0
    ) -> list[tuple[int, float]]:
        """(key, similarity) of the `k` nearest episodes, nearest first.

        Similarities are inner products, computed anew from the rows' vectors and rounded to five decimals:
        they do not depend on the index or on what else was asked. Equal ones are ordered by id, also where
        not all of them fit among the `k` (as long as no more than about 4,000 are equal).

        Args:
            query: shape (d,).
            not_group: leave out episodes of this group: the item itself or its siblings.
            floor: leave out what is less similar than this: nothing is better than something irrelevant.
        """
        return [(found.key, similarity) for found, similarity in self._nearest(query, k, not_group, floor)]

    def examples(
        self,
        query: Vectors,
        k: int,
        *,
        not_group: str | None = None,
        floor: float = 0.2,
        diversity: float = 0.1,
        balance: float = 0.03,
        informative: float = 0.03,
    ) -> list[tuple[int, float]]:
        """Episodes to show the judge: near, but not the same thing over again (maximal marginal relevance,
        Carbonell and Goldstein, SIGIR 1998), and among about equally near ones those that the judge missed
        and an expert gave the reason of, and those of labels not shown yet. Most similar first.

        Args:
            diversity: weight in [0, 1] of the similarity to what is already chosen.
            balance: what an example loses, in similarity, where all that is chosen so far has its label; in
                proportion where some has.
            informative: what an example gains, in similarity, that the judge missed and that has a reason;
                half of it where it has no reason.
        """
        pool = []
        for found, similarity in self._nearest(query, 4 * k, not_group, floor):
            episode = self.episode(found.key)
            gain = informative * (1.0 if episode.rationale else 0.5) if episode.missed else 0.0
            pool.append((found, similarity, (1 - diversity) * (similarity + gain), repr(episode.gold)))
        chosen: list[tuple[Candidate, float, float, str]] = []
        while pool and len(chosen) < k:
            shown = np.asarray([found.vector for found, *_ in chosen], dtype=np.float64)
            labels = [label for *_, label in chosen]
            scores = []
            for found, _, worth, label in pool:
                again = float((shown * found.vector).sum(axis=1).max()) if chosen else 0.0
                alike = labels.count(label) / len(labels) if labels else 0.0
                scores.append((round(worth - diversity * again - balance * alike, 6), -again))
            # The pool is ordered by similarity and id, so the first of the best is the same everywhere.
            chosen.append(pool.pop(scores.index(max(scores))))
        shown_first = sorted(chosen, key=lambda c: (-c[1], c[0].order))
        return [(found.key, similarity) for found, similarity, *_ in shown_first]

    def _nearest(
        self, query: Vectors, k: int, not_group: str | None, floor: float
    ) -> list[tuple[Candidate, float]]:
        n = 2 * k + _SPARE  # an approximate index may not have the nearest first
        while True:
            found = self._candidates(query, n, not_group)
            scores = similarities([c.vector for c in found], query)
            ranked = sorted(zip(found, scores, strict=True), key=lambda pair: (-pair[1], pair[0].order))
            # Where the last of them ties with the k-th, others that were not fetched may tie as well.
            tied = len(found) >= n and len(ranked) > k and ranked[-1][1] >= ranked[k - 1][1] - 2e-5
            if not tied or n >= _MOST:
                return [(c, float(s)) for c, s in ranked[:k] if s >= floor]
            n *= 4


def similarities(vectors: Sequence[Vectors], query: Vectors) -> Floats:
    """Inner products, rounded to five decimals. Summed row by row, so that a row's is the same in any
    company: a matrix product sums in an order that depends on the shape."""
    if not len(vectors):
        return np.zeros(0)
    rows = np.asarray(vectors, dtype=np.float32).astype(np.float64)
    found: Floats = np.round((rows * query.astype(np.float64)).sum(axis=1), 5)
    return found
