"""Examples and vectors for the tests of episodic memory: no model, vectors that look like a text's hash."""

import hashlib

import numpy as np

from judge_opt.core.values import categories
from judge_opt.labels.examples import Vote
from judge_opt.memory.episode import Episode

LABELS = categories("good", "bad")
EMBEDDER = "words"
DIMENSION = 16


class WordEmbedder:
    """The mean of random directions, one a word; counts what it is asked to embed, and reads 12 words."""

    name = EMBEDDER
    window = 12

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked += texts
        return np.stack([vector(text) for text in texts]) if texts else np.zeros((0, DIMENSION), np.float32)

    def pieces(self, text):
        words = text.split()
        parts = [" ".join(words[i : i + self.window]) for i in range(0, len(words), self.window)]
        return parts if len(parts) > 1 else [text]


def vector(text):
    total = np.zeros(DIMENSION)
    for word in text.split() or [""]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        total += np.random.default_rng(seed).normal(size=DIMENSION)
    return (total / np.linalg.norm(total)).astype(np.float32)


def episode(i, text=None, label=None, group=None, **more):
    """Example `i`: two to a group."""
    vote = Vote("ann", label or ("good" if i % 2 else "bad"), f"reason {i}", f"a{i}")
    parts = {"outputs": f"item {i} about thing {i % 7}" if text is None else text}
    return Episode.of_votes(f"e{i:05}", group or f"g{i // 2}", parts, [vote], LABELS, **more)


def matrix(episodes):
    return np.stack([vector(e.parts["outputs"]) for e in episodes])
