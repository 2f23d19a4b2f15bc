"""The lab's embedding model: words by hash, and a part of the meaning.

Nearness is partly shared topic and wording and partly shared features, as it is for a real embedding
model; nothing in it knows which features matter.
"""

import hashlib
import math
import re
from functools import lru_cache
from operator import mul

from judge_opt.testing.lab.items import Found, find_items
from judge_opt.testing.lab.lexicon import FEATURES

WORDS = 48
"""Dimensions for words; the lexicon's features have one each besides."""

DIMENSION = WORDS + len(FEATURES)
MEANING = 0.35
"""Length of a feature's part, where a word's is 1 over the root of the number of words."""


def embed(text: str, meaning: float = MEANING) -> list[float]:
    """A unit vector of `DIMENSION` numbers; the same text has the same vector."""
    items = find_items(text)
    shown = frozenset[str]().union(*(item.shown for item in items)) if items else frozenset[str]()
    return list(_vector(" ".join(text.lower().split()), shown, meaning))


def similarity(a: Found, b: Found) -> float:
    """Cosine of two items' embeddings, in [-1, 1]."""
    return float(sum(map(mul, _vector(a.text.lower(), a.shown), _vector(b.text.lower(), b.shown))))


@lru_cache(maxsize=20_000)
def _vector(text: str, shown: frozenset[str], meaning: float = MEANING) -> tuple[float, ...]:
    vector = [0.0] * DIMENSION
    words = re.findall(r"[a-z]{3,}", text)
    for word in words:
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % WORDS] += (1.0 if digest[1] % 2 else -1.0) / math.sqrt(len(words))
    for place, key in enumerate(FEATURES):
        if key in shown:
            vector[WORDS + place] = meaning
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        vector[0] = length = 1.0
    return tuple(value / length for value in vector)
