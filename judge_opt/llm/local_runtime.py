"""llama.cpp in this process, through xllamacpp: one loaded model, asked one thing at a time.

Flash attention is off on purpose. With it, the probabilities of a prompt depend on how much of it was
already in the key-value cache (measured: by up to 0.1 in log probability), so on what was asked before;
without it they are the same to the last bit, and a resumed run equals an uninterrupted one. It costs
about a tenth of the prompt speed.
"""

import functools
import http.client
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from judge_opt.core.errors import ModelError, ModelNotInstalled

Tokens = tuple[int, ...]


def default_threads() -> int:
    """JUDGE_OPT_THREADS, or the cores that are idle just now (at least 1, at most 8).

    llama.cpp's threads wait for each other by spinning: one more than there are free cores makes a call
    ten times slower (measured), one less at most twice.
    """
    if named := os.environ.get("JUDGE_OPT_THREADS"):
        return max(1, int(named))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 8, round(cores - _busy_cores())))


def _busy_cores(seconds: float = 0.2) -> float:
    """How many cores other work keeps busy, sampled over `seconds`; 0.0 where the system does not tell."""

    def read() -> tuple[int, int]:
        ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(ticks[:8]) - ticks[3] - ticks[4], sum(ticks[:8])

    try:
        busy, total = read()
        time.sleep(seconds)
        busy_after, total_after = read()
    except (OSError, ValueError, IndexError):
        return 0.0
    return (os.cpu_count() or 1) * (busy_after - busy) / max(total_after - total, 1)


@dataclass(frozen=True, slots=True)
class Generated:
    """Attributes:
    tokens_in, tokens_cached, tokens_out: prompt tokens, those of them served from the key-value cache,
        generated tokens.
    stopped: False where the reply was cut at `max_tokens`.
    """

    text: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    stopped: bool


class Runtime:
    """A loaded GGUF model. Thread-safe: calls queue on a lock, so that the result does not depend on them.

    Args:
        path: the GGUF file.
        n_ctx: context length in tokens.
        n_threads: for prompts and for generation.

    Raises:
        ModelNotInstalled: xllamacpp is not installed.
        ModelError: the file cannot be loaded.
    """

    def __init__(self, path: Path, n_ctx: int = 8192, n_threads: int | None = None) -> None:
        try:
            import xllamacpp
        except ImportError:
            raise ModelNotInstalled(
                "The runtime of local models, xllamacpp, is not installed.",
                "Run: pip install 'judge-opt[local]'",
            ) from None
        self.n_ctx = n_ctx
        self.n_threads = n_threads or default_threads()
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = n_ctx
        params.n_parallel = 1
        params.cpuparams.n_threads = self.n_threads
        params.cpuparams_batch.n_threads = self.n_threads
        params.swa_full = True  # or models with sliding windows never reuse a prefix
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_ram_mib = 0  # swapping prompts in and out would make the numbers depend on history
        params.warmup = False
        params.verbosity = -1
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelError(
                f"{path.name} could not be loaded ({error}).", "Is it a whole GGUF file?"
            ) from None
        self._address = urlsplit(self._server.listening_address)
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self.tokenize = functools.lru_cache(maxsize=4096)(self._tokenize)
        self._template = functools.lru_cache(maxsize=64)(self._template_pieces)
        self.has_chat_template = bool(self._post("/props", None).get("chat_template"))

    def _post(self, path: str, body: dict[str, Any] | None) -> Any:
        """Ask the model's own loopback server, which hangs up on connections that were idle."""
        method = "GET" if body is None else "POST"
        payload = None if body is None else json.dumps(body)
        with self._lock:
            for last in (False, True):
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(
                        str(self._address.hostname), self._address.port
                    )
                try:
                    self._connection.request(method, path, payload, {"Content-Type": "application/json"})
                    return json.loads(self._connection.getresponse().read())
                except (http.client.HTTPException, OSError):
                    self._connection.close()
                    self._connection = None
                    if last:
                        raise
        raise AssertionError("unreachable")

    def _tokenize(self, text: str, special: bool) -> Tokens:
        safe = text.encode("utf-8", "replace").decode("utf-8")
        body = {"content": safe, "add_special": False, "parse_special": special}
        return tuple(self._post("/tokenize", body)["tokens"])

    def _template_pieces(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        marks = [f"\u27e6{i}\u27e7" for i in range(len(roles))]
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        text = self._post("/apply-template", {"messages": messages})["prompt"]
        pieces = []
        for mark in marks:
            piece, _, text = text.partition(mark)
            pieces.append(piece)
        return (*pieces, text)

    def prompt(self, messages: Sequence[tuple[str, str]]) -> Tokens:
        """Tokens of a conversation, ready for the assistant's turn.

        Args:
            messages: (role, text). Text is data: a template's control tokens inside it stay plain text,
                so that what is judged cannot open a turn of its own.
        """
        if not self.has_chat_template:
            return self.tokenize("\n\n".join(text for _, text in messages) + "\n", False)
        pieces = self._template(tuple(role for role, _ in messages))
        tokens: list[int] = []
        for piece, (_, text) in zip(pieces, messages, strict=False):
            tokens += self.tokenize(piece, True)
            tokens += self.tokenize(text, False)
        return (*tokens, *self.tokenize(pieces[-1], True))

    def generate(
        self,
        prompt: Tokens,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        schema: dict[str, Any] | None = None,
        stop: Sequence[str] = (),
    ) -> Generated:
        """Continue `prompt`; with `schema`, the reply is JSON of that schema by construction."""
        body: dict[str, Any] = {
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            # A sampled reply depends on where its prompt was resumed (measured), so it starts afresh.
            "cache_prompt": temperature == 0.0,
            "stop": list(stop),
        }
        if schema is not None:
            body["json_schema"] = schema
        reply = self._complete(body)
        choice, usage = reply["choices"][0], reply["usage"]
        return Generated(
            text=choice["text"],
            tokens_in=usage["prompt_tokens"],
            tokens_cached=usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
            tokens_out=usage["completion_tokens"],
            stopped=choice["finish_reason"] != "length",
        )

    def next_token(self, prompt: Tokens, among: Sequence[int]) -> tuple[dict[int, float], int]:
        """Probabilities of the next token among a few, and how many prompt tokens were cached.

        The same bias is added to each of them before the softmax, which leaves their odds as they are
        and moves every other token out of sight: exact for any vocabulary size, in one forward pass.
        """
        reply = self._complete(
            {
                "prompt": list(prompt),
                "max_tokens": 1,
                "temperature": 1.0,
                "top_k": 0,
                "top_p": 1.0,
                "min_p": 0.0,
                "typical_p": 1.0,
                "repeat_penalty": 1.0,
                "seed": 0,
                "n_probs": len(among),
                "post_sampling_probs": True,
                "logit_bias": [[token, 80.0] for token in among],
                "cache_prompt": True,
            }
        )
        seen = {t["id"]: t["prob"] for t in reply["choices"][0]["logprobs"]["content"][0]["top_probs"]}
        # 1e-12: a label so unlikely that the sampler dropped it is unlikely, not impossible.
        odds = {token: max(seen.get(token, 0.0), 1e-12) for token in among}
        total = sum(odds.values())
        cached = reply["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return {token: value / total for token, value in odds.items()}, cached

    def _complete(self, body: dict[str, Any]) -> Any:
        with self._lock:
            reply = self._server.handle_completions(body)
        if "choices" not in reply:
            raise ModelError(f"The local model refused a request: {str(reply)[:200]}", "")
        return reply


_RUNTIMES: dict[tuple[str, int, int | None], Runtime] = {}
_RUNTIMES_LOCK = threading.Lock()


def runtime(path: Path, n_ctx: int, n_threads: int | None) -> Runtime:
    """The one loaded copy of a model in this process."""
    key = (str(path.resolve()), n_ctx, n_threads)
    with _RUNTIMES_LOCK:
        if key not in _RUNTIMES:
            _RUNTIMES[key] = Runtime(path, n_ctx, n_threads)
        return _RUNTIMES[key]
