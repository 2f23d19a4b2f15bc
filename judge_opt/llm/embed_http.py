"""Embeddings from an OpenAI-compatible endpoint, with the same retries, budget and ledger as its chats."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from dspy import lm15

from judge_opt.core.errors import EndpointUnreachable, JudgeOptError
from judge_opt.core.hashing import content_hash
from judge_opt.llm.embed import Vectors, unit
from judge_opt.llm.engine import CallEvent
from judge_opt.llm.errors import kind_of
from judge_opt.llm.http_backend import HTTPBackend
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.purchase import Purchaser, Receipt
from judge_opt.llm.uri import ModelURI
from judge_opt.llm.windows import split_evenly

if TYPE_CHECKING:
    from judge_opt.llm.session import Session


class HTTPEmbedder:
    """An embedding model behind `/embeddings`.

    Args:
        session: its store, budget and retries.
        uri: the model.
        base_url: None for OpenAI's own.
        dimensions: asks the endpoint for shorter vectors, where it can.
        batch_size: texts a request.
        window_chars: longest text that the model reads whole, in characters. 16,000 suits a window of 8,192
            tokens; longer items are embedded in pieces.
    """

    def __init__(
        self,
        session: "Session",
        uri: ModelURI,
        base_url: str | None = None,
        *,
        dimensions: int | None = None,
        batch_size: int = 64,
        window_chars: int = 16_000,
    ) -> None:
        self.session = session
        self.uri = uri
        self.dimensions = dimensions
        self.batch_size = batch_size
        self.window_chars = window_chars
        self.backend = HTTPBackend(uri, base_url, timeout=session.retry.timeout)
        self.purchaser = Purchaser(
            str(uri),
            budget=session.budget,
            policy=session.retry,
            price=self.backend.price,
            env_keys=self.backend.env_keys,
            limiter=session.limiter(self.backend.endpoint),
        )

    @property
    def name(self) -> str:
        """The model, its endpoint and the dimension that was asked for."""
        asked = f":{self.dimensions}" if self.dimensions else ""
        return f"{self.uri}@{self.backend.origin.url}{asked}"

    @cached_property
    def dimension(self) -> int:
        """As configured; else found by embedding one word."""
        return self.dimensions or int(self.embed(["dimension"]).shape[1])

    def pieces(self, text: str) -> list[str]:
        """See `Embedder.pieces`. The endpoint's tokenizer is not known, so characters are counted."""
        return split_evenly(text, range(len(text)), self.window_chars)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            EndpointUnreachable: every attempt failed.
            JudgeOptError: over budget, or refused, as from an engine.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        parts = [self._batch(texts[i : i + self.batch_size]) for i in range(0, len(texts), self.batch_size)]
        return unit(np.concatenate(parts))

    def _batch(self, texts: Sequence[str]) -> Vectors:
        body: dict[str, Any] = {
            "model": self.uri.name,
            "input": [t.encode("utf-8", "replace").decode() for t in texts],
            "encoding_format": "float",
        }
        if self.dimensions:
            body["dimensions"] = self.dimensions
        key = content_hash({"v": 1, "backend": self.backend.fingerprint, "embed": body})
        most = lm15.Usage(input_tokens=sum(len(t) for t in texts) // 3 + len(texts), output_tokens=0)
        receipt: Receipt[tuple[Vectors, lm15.Usage]] = Receipt()
        outcome = "ok"
        try:
            rows, _ = self.purchaser.buy(key, lambda: self._ask(body), lambda reply: reply[1], most, receipt)
        except (lm15.LM15Error, JudgeOptError) as error:
            outcome = f"error:{kind_of(error)}"
            if isinstance(error, JudgeOptError):
                raise
            said = error.message.split("\n\n", 1)[0][:200]
            raise EndpointUnreachable(
                f"{self.uri}: no embeddings could be had ({said}).", "Try again later, or check its address."
            ) from error
        finally:
            if receipt.attempts:
                self._book(key, receipt, outcome)
        self.session.tell(CallEvent("embed", False, receipt.usage, receipt.usd))
        return rows

    def _ask(self, body: dict[str, Any]) -> tuple[Vectors, lm15.Usage]:
        reply = self.backend.post("/embeddings", body)
        try:
            found = orjson.loads(reply.body)
            ordered = sorted(found["data"], key=lambda row: row["index"])
            rows = np.asarray([row["embedding"] for row in ordered], np.float32)
            used = found.get("usage") or {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise lm15.ServerError(f"the endpoint answered 200 with no embeddings: {error}") from None
        if rows.ndim != 2 or len(rows) != len(body["input"]) or not np.isfinite(rows).all():
            raise lm15.ServerError("the endpoint answered 200 with other than one vector a text")
        return rows, lm15.Usage(input_tokens=used.get("prompt_tokens"), output_tokens=0)

    def _book(self, key: str, receipt: Receipt[Any], outcome: str) -> None:
        self.session.store.record(
            LedgerRow(
                self.session.run_id,
                "embed",
                str(self.uri),
                key,
                cached=False,
                answered=self.uri.name,
                prompt_tokens=receipt.usage.input_tokens or 0,
                usd=receipt.usd,
                seconds=receipt.seconds,
                attempts=receipt.attempts,
                outcome=outcome,
            )
        )
