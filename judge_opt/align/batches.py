"""Which labelled rows are shown to the reflection LM together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from judge_opt.align.rows import TrainingRow
from judge_opt.core.results import Scored
from judge_opt.memory.vectors import Vectors

Ints = npt.NDArray[np.int64]
SMALLEST = 5
"""Rows that a batch needs: of fewer nothing general can be read."""


def batches(rows: Sequence[TrainingRow], vectors: Vectors, n: int, seed: int) -> list[list[int]]:
    """Rows dealt into `n` batches, or fewer where there are too few groups: whole groups, contrasting pairs
    together, labels and the judge's mistakes spread evenly.

    A contrasting pair is a row and the nearest one that has another label. What they differ in is what the
    experts look at.

    Args:
        vectors: of the rows, shape (len(rows), d).

    Returns:
        positions, each in one batch, in the order in which they are to be shown: pairs with a mistake of the
        judge first.
    """
    pairs = contrasts(rows, vectors)
    home = {group: group for group in (row.example.group for row in rows)}

    def root(group: str) -> str:
        while home[group] != group:
            group = home[group]
        return group

    # A pair joins two groups only while what is joined stays far smaller than a batch.
    size = {group: sum(row.example.group == group for row in rows) for group in home}
    for i, j in pairs:
        a, b = root(rows[i].example.group), root(rows[j].example.group)
        if a != b and size[a] + size[b] <= max(2, len(rows) // (3 * n)):
            home[b] = a
            size[a] += size[b]
    blocks: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        blocks.setdefault(root(row.example.group), []).append(i)
    n = max(1, min(n, len(blocks), len(rows) // SMALLEST))
    names = sorted(blocks)
    np.random.default_rng(seed).shuffle(names)
    names.sort(key=lambda name: -len(blocks[name]))
    dealt: list[list[int]] = [[] for _ in range(n)]
    for name in names:
        block = blocks[name]
        kinds = [_kind(rows[i]) for i in block]

        def crowd(b: int, kinds: list[tuple[object, bool]] = kinds) -> tuple[int, int, int]:
            alike = sum(_kind(rows[i]) in kinds for i in dealt[b])
            return (len(dealt[b]) - min(len(d) for d in dealt) > len(kinds), alike, len(dealt[b]))

        dealt[min(range(n), key=lambda b: (*crowd(b), b))] += block
    return [_shown(batch, rows, pairs) for batch in dealt]


def contrasts(rows: Sequence[TrainingRow], vectors: Vectors) -> list[tuple[int, int]]:
    """Disjoint pairs of rows with different labels, each with the nearest that is left; rows that the judge
    got wrong choose first."""
    similar = np.round(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 5)
    free = set(range(len(rows)))
    found = []
    for i in sorted(range(len(rows)), key=lambda i: (not wrong(rows[i]), rows[i].example.id)):
        others = [j for j in free if j != i and rows[j].gold != rows[i].gold]
        if i not in free or not others:
            continue
        j = max(others, key=lambda j: (similar[i, j], rows[j].example.id))
        free -= {i, j}
        found.append((i, j))
    return found


def wrong(row: TrainingRow) -> bool:
    """True where the untouched judge did not give the experts' label."""
    return not (isinstance(row.judged, Scored) and row.judged.value == row.gold)


def _kind(row: TrainingRow) -> tuple[object, bool]:
    return repr(row.gold), wrong(row)


def _shown(batch: list[int], rows: Sequence[TrainingRow], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Pairs first, then the rest; a reason of an expert before none."""
    inside = set(batch)
    order: list[int] = []
    for pair in pairs:
        if inside >= set(pair):
            order += pair
    rest = [i for i in batch if i not in set(order)]
    rest.sort(key=lambda i: (not wrong(rows[i]), rows[i].example.rationale is None, rows[i].example.id))
    return order + rest
