"""Puts whole groups on the sides of a split, so that sizes and labels come out as asked for.

Exact allocation is a multi-dimensional knapsack; this is the greedy of iterative stratification (Sechidis
et al. 2011, "On the Stratification of Multi-Label Data") on groups: the largest group first, to the side
whose wanted label counts it brings nearest, then small groups fill what is left.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Value

_MANY_LABELS = 20
_BINS = 5
_UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that move as one: their positions and the class of each; `name` is its first row's id."""

    name: str
    positions: tuple[int, ...]
    classes: tuple[str, ...]


def label_classes(gold: Sequence[Value | None]) -> list[str]:
    """The class to stratify by: the label; for more than 20 distinct numbers the fifth of their range of
    ranks; for more than 20 distinct texts none."""
    distinct = set(gold)
    if len(distinct) <= _MANY_LABELS:
        return [str(value) for value in gold]
    numbers = [value for value in gold if isinstance(value, (int, float))]
    if len(numbers) < len(gold):
        return [""] * len(gold)
    edges = np.quantile(numbers, np.arange(1, _BINS) / _BINS)
    return [str(int(np.searchsorted(edges, number))) for number in numbers]


def allocate(blocks: Sequence[Block], targets: Mapping[str, int], seed: int) -> dict[str, list[Block]]:
    """The blocks of each side. Train is never larger than its target; the others come as near as they can.

    Deterministic in the set of blocks and the seed.
    """
    rows = sum(len(block.positions) for block in blocks)
    wanted = {name: size for name, size in targets.items() if size} | {_UNUSED: rows - sum(targets.values())}
    totals = Counter(label for block in blocks for label in block.classes)
    sides = {name: _Side(name, size, rows, totals) for name, size in wanted.items()}
    shuffled = sorted(blocks, key=lambda block: content_hash([seed, block.name]))
    for block in sorted(shuffled, key=lambda block: -len(block.positions)):
        _best_side(sides, block).take(block)
    _top_up(sides)
    return {name: sides[name].blocks if name in sides else [] for name in targets}


class _Side:
    def __init__(self, name: str, target: int, rows: int, totals: Mapping[str, int]) -> None:
        self.name = name
        self.target = target
        self.blocks: list[Block] = []
        self.filled = 0
        self.missing = {label: target * count / rows for label, count in totals.items()}

    @property
    def room(self) -> int:
        return self.target - self.filled

    def take(self, block: Block) -> None:
        self.blocks.append(block)
        self.filled += len(block.positions)
        for label in block.classes:
            self.missing[label] -= 1

    def gain(self, block: Block) -> float:
        """How much nearer to the wanted label counts the block brings this side, as a share of its size."""
        gain = 0.0
        for label, count in Counter(block.classes).items():
            gain += self.missing[label] ** 2 - (self.missing[label] - count) ** 2
        return gain / max(self.target, 1)


def _best_side(sides: Mapping[str, _Side], block: Block) -> _Side:
    size = len(block.positions)
    fitting = [side for side in sides.values() if side.room >= size]
    if fitting:
        return max(fitting, key=lambda side: side.gain(block))
    # It fits nowhere. Where it overshoots a held-out side by less than it fills, that side takes it.
    held_out = [side for side in sides.values() if side.name not in ("train", _UNUSED)]
    roomy = max(held_out, key=lambda side: side.room)
    spare = sides[_UNUSED]
    return roomy if 2 * roomy.room > size or not spare.target else spare


def _top_up(sides: Mapping[str, _Side]) -> None:
    """Unused blocks go where they bring a side nearer to its size: to train only where they fit."""
    spare = sides[_UNUSED]
    for block in list(spare.blocks):
        size = len(block.positions)
        takers = [
            side
            for side in sides.values()
            if side is not spare and (side.room >= size or (side.name != "train" and 2 * side.room > size))
        ]
        if takers:
            max(takers, key=lambda side: side.gain(block)).take(block)
            spare.blocks.remove(block)
