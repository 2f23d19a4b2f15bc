"""An item as a vector: each part embedded on its own, the parts side by side.

Side by side, the inner product of two items is the weighted mean of their parts' similarities, so that a
short part (which aspect? which question?) is not drowned by a long one (see benchmarks/item_vectors).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from judge_opt.core.text import encodable
from judge_opt.judges.rendering import value_text

Vectors = npt.NDArray[np.float32]


class TextEmbedder(Protocol):
    """What memory needs of an embedder (see `judge_opt.llm.embed`)."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: list[str]) -> Vectors: ...


class ItemEmbedder:
    """Embeds items part by part.

    Args:
        embedder: for texts; returns unit vectors, shape (n, d).
        parts: the parts' names, in order; the result has len(parts) * d dimensions.
        weights: one a part, not negative; equal by default.
    """

    def __init__(
        self, embedder: TextEmbedder, parts: Sequence[str], weights: Mapping[str, float] | None = None
    ) -> None:
        self.embedder = embedder
        self.parts = tuple(parts)
        chosen = [float((weights or {}).get(part, 1.0)) for part in self.parts]
        self.scales = np.sqrt(np.asarray(chosen, dtype=np.float32) / max(sum(chosen), 1e-9))

    def embed(self, items: Sequence[Mapping[str, Any]]) -> Vectors:
        """Vectors of at most unit length, float32, shape (len(items), len(parts) * d). A part that an item
        lacks is zero. Equal texts are embedded once."""
        texts: dict[str, int] = {}
        places: list[list[int]] = []
        for item in items:
            row = []
            for part in self.parts:
                value = item.get(part)
                row.append(
                    -1 if value is None else texts.setdefault(encodable(value_text(value)), len(texts))
                )
            places.append(row)
        known = self.embedder.embed(list(texts)) if texts else np.zeros((0, 1), dtype=np.float32)
        width = known.shape[1]
        out = np.zeros((len(items), len(self.parts) * width), dtype=np.float32)
        for i, row in enumerate(places):
            for j, place in enumerate(row):
                if place >= 0:
                    out[i, j * width : (j + 1) * width] = known[place] * self.scales[j]
        return out
