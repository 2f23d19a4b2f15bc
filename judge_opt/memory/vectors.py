"""An item as a vector: each part embedded on its own, the parts side by side.

Side by side, the inner product of two items is the weighted mean of their parts' similarities, so that a
short part (which aspect? which question?) is not drowned by a long one (see benchmarks/item_vectors).

A part that is longer than the model's window is embedded in pieces, and its vector is the direction of their
mean, weighted by length. At most `PIECES` of them are embedded, spread over the text; what was left out is
told (see `ItemEmbedder.cuts`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from judge_opt.core.text import encodable
from judge_opt.judges.rendering import value_text
from judge_opt.memory.episode import Cut

Vectors = npt.NDArray[np.float32]
PIECES = 8
"""Most pieces of one text that are embedded: bounds what a book costs, and how little one page of it counts."""


class TextEmbedder(Protocol):
    """What memory needs of an embedder (see `judge_opt.llm.embed`)."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: list[str]) -> Vectors: ...


@runtime_checkable
class Windowed(Protocol):
    """An embedder that says what its model can read at once."""

    def pieces(self, text: str) -> list[str]: ...


class ItemEmbedder:
    """Embeds items part by part.

    Args:
        embedder: for texts; returns unit vectors, shape (n, d). Where it is `Windowed`, long texts are
            embedded in pieces.
        parts: the parts' names, in order; the result has len(parts) * d dimensions.
        weights: one a part, not negative; equal by default.
        pieces: most pieces of one text that are embedded; 1 leaves it to the model to truncate.
    """

    def __init__(
        self,
        embedder: TextEmbedder,
        parts: Sequence[str],
        weights: Mapping[str, float] | None = None,
        pieces: int = PIECES,
    ) -> None:
        self.embedder = embedder
        self.parts = tuple(parts)
        self.pieces = pieces
        chosen = [float((weights or {}).get(part, 1.0)) for part in self.parts]
        self.scales = np.sqrt(np.asarray(chosen, dtype=np.float32) / max(sum(chosen), 1e-9))

    def embed(self, items: Sequence[Mapping[str, Any]]) -> Vectors:
        """Vectors of at most unit length, float32, shape (len(items), len(parts) * d). A part that an item
        lacks is zero. Equal texts are embedded once."""
        asked: dict[str, int] = {}
        places: list[list[list[tuple[int, int]]]] = []  # item, part, piece: (place in `asked`, its length)
        for item in items:
            row = []
            for part in self.parts:
                chosen = _spread(self._pieces(item, part), self.pieces)
                row.append([(asked.setdefault(piece, len(asked)), len(piece)) for piece in chosen])
            places.append(row)
        known = self.embedder.embed(list(asked)) if asked else np.zeros((0, 1), dtype=np.float32)
        width = known.shape[1]
        out = np.zeros((len(items), len(self.parts) * width), dtype=np.float32)
        for i, row in enumerate(places):
            for j, pieces in enumerate(row):
                if pieces:
                    out[i, j * width : (j + 1) * width] = _joined(known, pieces) * self.scales[j]
        return out

    def cuts(self, item: Mapping[str, Any]) -> dict[str, Cut]:
        """Part name to how it was embedded, for the parts that are longer than the model's window."""
        found: dict[str, Cut] = {}
        for part in self.parts:
            if item.get(part) is None or not isinstance(self.embedder, Windowed):
                continue
            text = encodable(value_text(item[part]))
            whole = len(self.embedder.pieces(text))
            if whole > 1:
                found[part] = Cut(len(text), whole, min(whole, max(self.pieces, 1)))
        return found

    def _pieces(self, item: Mapping[str, Any], part: str) -> list[str]:
        """All pieces of a part; [] where the item lacks it."""
        value = item.get(part)
        if value is None:
            return []
        text = encodable(value_text(value))
        if self.pieces > 1 and isinstance(self.embedder, Windowed):
            return self.embedder.pieces(text)
        return [text]


def _spread(pieces: list[str], most: int) -> list[str]:
    """At most `most` of the pieces, the first and the last among them, evenly spread."""
    if len(pieces) <= most or most <= 1:
        return pieces
    return [pieces[round(i * (len(pieces) - 1) / (most - 1))] for i in range(most)]


def _joined(known: Vectors, pieces: Sequence[tuple[int, int]]) -> Vectors:
    """The vector of a text from those of its pieces."""
    if len(pieces) == 1:
        alone: Vectors = known[pieces[0][0]]
        return alone
    total = np.zeros(known.shape[1], dtype=np.float64)
    for place, length in pieces:
        total += length * known[place].astype(np.float64)
    size = float(np.sqrt((total * total).sum()))
    joined: Vectors = (total / size if size else total).astype(np.float32)
    return joined
