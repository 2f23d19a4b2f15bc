"""Which examples are the same item, or nearly: rows that must not stand on two sides of a split.

Two examples are near-duplicates where

- the texts of all their fields, folded and cut into words, have a Jaccard similarity of at least 0.9 over
  their sets of 3-word shingles (so case, punctuation, white space and NFC/NFD make no difference), or
- their outputs are the same words, at least five of them: the same story under another question.

The search is exact, not MinHash: a pair that is missed would leak. It stays near-linear by prefix
filtering (Chaudhuri et al. 2006; Bayardo et al. 2007, "Scaling Up All Pairs Similarity Search"): two sets
that similar must share one of their rarest tenth of shingles, so only sets that do are compared.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge_opt.core.text import fold
from judge_opt.labels.examples import LabelledExample

THRESHOLD = 0.9
MIN_OUTPUT_WORDS = 5
"""Shorter outputs ("Yes.", "Positive") are alike by nature and say nothing of the item."""

_NUMERATOR, _DENOMINATOR = 9, 10  # THRESHOLD, in integers: no rounding at the boundary
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # scripts without spaces: one character, one word
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class Groups:
    """Union-find over 0 .. n-1; a set is named by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, one: int) -> int:
        parent = self._parent
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    def union(self, one: int, other: int) -> bool:
        """Joins two sets; False where they were one already."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low
        return low != high


def near_duplicate_links(examples: Sequence[LabelledExample]) -> list[tuple[int, int]]:
    """Pairs of positions that are near-duplicates: not every pair, but enough to connect every set of
    them, directly or in steps. Deterministic."""
    groups = Groups(len(examples))
    links: list[tuple[int, int]] = []

    def link(one: int, other: int) -> None:
        if groups.union(one, other):
            links.append((one, other))

    _same([_output_key(example) for example in examples], link)
    sets = _shingles([words(dict(example.fields)) for example in examples])
    representatives = _same([shingles.tobytes() for shingles in sets], link)
    _similar(sets, representatives, groups, link)
    return links


def words(value: Any) -> list[str]:
    """The folded words of every text in a JSON value, keys in sorted order. A text without words ("?!",
    an emoji) counts as one word."""
    found: list[str] = []
    for text in map(fold, _texts(value)):
        found += _WORD.findall(text) or [text]
    return found


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _texts(value[key])
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _output_key(example: LabelledExample) -> str:
    found = words(example.fields.get("outputs"))
    return " ".join(found) if len(found) >= MIN_OUTPUT_WORDS else ""


def _same(keys: Sequence[Any], link: Any) -> list[int]:
    """Links positions of equal keys ("" is no key), and returns the first position of each key."""
    first: dict[Any, int] = {}
    for position, key in enumerate(keys):
        if key != "" and first.setdefault(key, position) != position:
            link(first[key], position)
    return list(first.values())


def _shingles(texts: Sequence[list[str]]) -> list[NDArray[np.int64]]:
    """Each text's set of 3-word shingles as sorted numbers, the rarest shingle of the corpus first. A text of
    fewer words is one shingle."""
    vocabulary: dict[str, int] = {}
    numbered = []
    for text in texts:
        numbers = [vocabulary.setdefault(word, len(vocabulary) + 1) for word in text]
        numbered.append(np.array(numbers + [0] * (3 - len(numbers)), dtype=np.int64))
    if not numbered:
        return []
    # Two steps of pairing, so that a shingle's number never overflows and never collides.
    size = len(vocabulary) + 1
    ends = np.cumsum([len(numbers) - 2 for numbers in numbered])[:-1]
    pairs = np.concatenate([numbers[:-2] * size + numbers[1:-1] for numbers in numbered])
    pair_ids = np.unique(pairs, return_inverse=True)[1].reshape(-1)
    triples = pair_ids * size + np.concatenate([numbers[2:] for numbers in numbered])
    _, ids = np.unique(triples, return_inverse=True)
    sets = [np.unique(part) for part in np.split(ids.reshape(-1), ends)]
    counts = np.bincount(np.concatenate(sets))
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.lexsort((np.arange(len(counts)), counts))] = np.arange(len(counts))
    return [np.sort(rank[one]) for one in sets]


def _similar(sets: Sequence[NDArray[np.int64]], positions: Sequence[int], groups: Groups, link: Any) -> None:
    """Links positions whose sets are similar. Members of one group are compared with nothing in it again, so
    that a thousand variants of one template cost a thousand comparisons and not a million."""
    postings: defaultdict[int, dict[int, list[int]]] = defaultdict(dict)  # shingle -> group -> positions
    frozen = {position: frozenset(sets[position].tolist()) for position in positions}
    for position in sorted(positions, key=lambda p: (len(sets[p]), p)):
        mine = frozen[position]
        least = -(-_NUMERATOR * len(mine) // _DENOMINATOR)
        prefix = sets[position][: len(mine) - least + 1].tolist()
        for shingle in prefix:
            for members in list(postings[shingle].values()):
                if groups.find(members[0]) == groups.find(position):
                    continue
                for other in members:
                    if len(frozen[other]) >= least and _jaccard_reached(mine, frozen[other]):
                        link(other, position)
                        break
        for shingle in prefix:
            postings[shingle].setdefault(groups.find(position), []).append(position)


def _jaccard_reached(one: frozenset[int], other: frozenset[int]) -> bool:
    shared = len(one & other)
    return _DENOMINATOR * shared >= _NUMERATOR * (len(one) + len(other) - shared)
