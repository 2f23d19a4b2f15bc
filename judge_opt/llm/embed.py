"""Texts to unit vectors, each text once.

`CachedEmbedder` keeps every vector in the call store under the embedder's name and the text's hash, so a
rerun does not compute anything and does not even import torch. The vector of a text is the same bytes
whichever texts it was embedded with (see `embed_local`).
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import IntegrityError, UsageError
from judge_opt.llm.store import CallStore
from judge_opt.llm.uri import ModelURI

if TYPE_CHECKING:
    from judge_opt.llm.session import Session

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """An embedding model.

    Attributes:
        name: identifies the model and its weights; equal names mean equal vectors. Stored beside every
            vector and every index, and compared when they are loaded.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, in order: float32, shape (n, dimension), of Euclidean length 1.

        Raises:
            ModelNotInstalled: the model's package or file is missing.
        """
        ...

    def pieces(self, text: str) -> list[str]:
        """The text in parts that the model reads whole; itself, alone, where it fits. What `embed` is given
        beyond the model's window does not stand in the vector."""
        ...


class CachedEmbedder:
    """An embedder whose vectors are stored.

    Args:
        inner: what embeds the texts that are not stored yet.
        store: where vectors are kept.
    """

    def __init__(self, inner: Embedder, store: CallStore) -> None:
        self.inner = inner
        self.store = store

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def pieces(self, text: str) -> list[str]:
        """See `Embedder.pieces`."""
        return self.inner.pieces(text)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            IntegrityError: stored vectors are of another dimension than the model's.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        text_of = dict(zip(hashes, texts, strict=True))
        found = self.store.get_vectors(self.name, list(text_of))
        missing = [h for h in text_of if h not in found]
        if missing:
            fresh = self.inner.embed([text_of[h] for h in missing])
            made = {h: row.astype(np.float32).tobytes() for h, row in zip(missing, fresh, strict=True)}
            self.store.put_vectors(self.name, made)
            found.update(made)
        rows = [np.frombuffer(found[h], np.float32) for h in hashes]
        if len({row.size for row in rows}) > 1:
            raise IntegrityError(
                f"{self.name}: stored vectors have several dimensions; the endpoint changed its model.",
                "Give the new model a name of its own, or use another JUDGE_OPT_HOME.",
            )
        return np.stack(rows)


def unit(vectors: Any) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays."""
    rows = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Vectors = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def make_embedder(
    session: "Session", uri: str, base_url: str | None, options: dict[str, Any]
) -> CachedEmbedder:
    """The stored embedder for `uri`: `local:/minilm`, `local:/<folder or hub id>`, or an endpoint's model.

    Raises:
        UsageError: a provider that has no OpenAI-compatible endpoint was named without a `base_url`.
    """
    parsed = ModelURI.parse(uri)
    inner: Embedder
    if parsed.provider == "local":
        from judge_opt.llm.embed_local import SentenceTransformerEmbedder

        inner = SentenceTransformerEmbedder(uri.strip().partition(":/")[2] or parsed.name, **options)
    elif parsed.provider == "openai" or base_url:
        from judge_opt.llm.embed_http import HTTPEmbedder

        inner = HTTPEmbedder(session, parsed, base_url, **options)
    else:
        raise UsageError(
            f"{uri}: embeddings of this provider need an OpenAI-compatible endpoint.", "Give its base_url."
        )
    return CachedEmbedder(inner, session.store)
