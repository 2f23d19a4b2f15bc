"""Vectors that look like those of real texts, as many as wanted.

The texts are the sentences of the shared data (20 to 600 characters, each once), embedded with the local MiniLM;
500 of them, drawn by seed, are the queries and stand in no memory. Of the others, each made vector is one real
vector, moved: its cosine to the real one is drawn from the real distances between nearest neighbours, and the
direction of the move from a normal distribution with the covariance of the real vectors, so that it stays in
the directions in which texts differ.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
DIMENSION = 384
QUERIES = 500
BLOCK = 50_000


def sentences(data: Path) -> list[str]:
    """Every sentence of the shared data, each once, sorted."""
    found: set[str] = set()
    for file in sorted(data.glob("*.jsonl")):
        for line in file.open(encoding="utf-8"):
            row = json.loads(line)
            texts = [*_strings(row["inputs"]), *_strings(row["outputs"])]
            texts += [label.get("rationale") or "" for label in row["human"]]
            for text in texts:
                parts = (part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text))
                found.update(part for part in parts if 20 <= len(part) <= 600)
    return sorted(found)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def split(real: Floats) -> tuple[Floats, Floats]:
    """(queries, the others)."""
    order = np.random.default_rng(0).permutation(len(real))
    return real[order[:QUERIES]], real[order[QUERIES:]]


def near(queries: Floats, rows: Floats, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Exact: similarities and places of the `k` nearest rows, nearest first, shape (n, k)."""
    import faiss

    best = np.full((len(queries), k), -2, np.float32)
    places = np.zeros((len(queries), k), np.int64)
    for start in range(0, len(rows), BLOCK):
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(np.ascontiguousarray(rows[start : start + BLOCK]))
        scores, found = index.search(queries, min(k, index.ntotal))
        both = np.concatenate([best, scores], axis=1)
        where = np.concatenate([places, found + start], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        best, places = np.take_along_axis(both, order, 1), np.take_along_axis(where, order, 1)
    return best, places


def neighbour_cosines(real: Floats) -> Floats:
    """Each real vector's cosine to its nearest neighbour."""
    found: Floats = near(real, real, 2)[0][:, 1]
    return found


def made(real: Floats, n: int, seed: int = 1) -> Iterator[Floats]:
    """`n` vectors, a block at a time. The first ones are the same whatever `n` is."""
    cosines = neighbour_cosines(real)
    centred = real - real.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    shape = ((spread / np.sqrt(len(real)))[:, None] * axes).astype(np.float32)
    for block, start in enumerate(range(0, n, BLOCK)):
        rng = np.random.default_rng([seed, block])
        source = real[rng.integers(0, len(real), BLOCK)]
        cosine = np.clip(rng.choice(cosines, BLOCK), 0, 0.995)[:, None].astype(np.float32)
        move = rng.standard_normal((BLOCK, real.shape[1]), dtype=np.float32) @ shape
        move -= (move * source).sum(axis=1, keepdims=True) * source
        move /= np.linalg.norm(move, axis=1, keepdims=True)
        yield (cosine * source + np.sqrt(1 - cosine**2) * move)[: n - start]


def write(real: Floats, n: int, path: Path) -> None:
    """`made`, to a file of float32 rows."""
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        for block in made(real, n):
            stream.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
    part.rename(path)


def read(path: Path) -> Floats:
    """A file of float32 rows, mapped."""
    rows: Floats = np.memmap(path, dtype="<f4", mode="r").reshape(-1, DIMENSION)
    return rows
