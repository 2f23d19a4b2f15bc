"""The embedded model as a backend: `local:/smollm2` and its like.

It answers the same requests as an endpoint does. A JSON schema whose last property is an enumeration is
answered by scoring: what comes before is generated under the schema, then every allowed value is scored
in full (see `choice.py`), the most likely one is the verdict, and the whole distribution is returned in
the place of the verdict token's log probabilities, labels spelt out.
"""

import hashlib
import json
import math
import random
from typing import Any

from dspy.lm15 import (
    ContextLengthError,
    Message,
    Request,
    Response,
    TextPart,
    TokenLogprob,
    TopLogprob,
    Usage,
)

from judge_opt.llm.choice import answer_probabilities
from judge_opt.llm.local_models import weights
from judge_opt.llm.local_runtime import Runtime, Tokens, runtime


class LocalBackend:
    """One embedded model.

    Args:
        name: what follows `local:/` (see `local_models`).
        n_ctx: context length in tokens.
        n_threads: default: JUDGE_OPT_THREADS, or the cores of this machine.

    Raises:
        ModelNotInstalled, IntegrityError: see `local_models.weights`; the model itself is loaded at the
            first call.
    """

    max_concurrency = 1  # one model, asked one thing at a time: more would only wait

    def __init__(self, name: str, *, n_ctx: int = 8192, n_threads: int | None = None) -> None:
        self.name = name
        self.path, self.sha256 = weights(name)
        self.n_ctx = n_ctx
        self.n_threads = n_threads
        self._runtime: Runtime | None = None
        self.fingerprint: dict[str, Any] = {"provider": "local", "weights": self.sha256, "n_ctx": n_ctx}

    @property
    def runtime(self) -> Runtime:
        """The loaded model; loads it once a process."""
        if self._runtime is None:
            self._runtime = runtime(self.path, self.n_ctx, self.n_threads)
        return self._runtime

    def check(self) -> None:
        """Load the model.

        Raises:
            ModelNotInstalled, ModelError: with the remedy.
        """
        _ = self.runtime

    def price(self, usage: Usage) -> float | None:
        """0.0: it runs here."""
        return 0.0

    def close(self) -> None:
        """The loaded model is shared by the process and goes with it."""

    def complete(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            ContextLengthError: the prompt and the reply do not fit in `n_ctx`.
        """
        prompt = self.runtime.prompt(_messages(request))
        config = request.config
        schema: dict[str, Any] = (config.response_format or {}).get("schema") or {}
        reply_room = config.max_tokens or 512
        enum = _last_enum(schema)
        if len(prompt) + (64 if enum and len(schema["properties"]) == 1 else reply_room) > self.n_ctx:
            raise ContextLengthError(
                f"{len(prompt)} prompt tokens do not fit in a context of {self.n_ctx}", provider="local"
            )
        if enum:
            return self._choose(request, prompt, schema, *enum)
        reply = self.runtime.generate(
            prompt,
            max_tokens=reply_room,
            temperature=config.temperature or 0.0,
            seed=_seed(request),
            schema=schema or None,
            stop=config.stop,
        )
        usage = Usage(reply.tokens_in, reply.tokens_out, cache_read_tokens=reply.tokens_cached)
        return self._response(reply.text, usage, "stop" if reply.stopped else "length", None)

    def _choose(
        self, request: Request, prompt: Tokens, schema: dict[str, Any], field: str, values: list[Any]
    ) -> Response:
        """Generate what precedes the enumeration, then score its values."""
        head, tokens_in, tokens_out, cached = "{", len(prompt), 0, 0
        before = {name: part for name, part in schema["properties"].items() if name != field}
        if before:
            part = {"type": "object", "properties": before, "required": list(before)}
            reply = self.runtime.generate(
                prompt,
                max_tokens=request.config.max_tokens or 512,
                temperature=request.config.temperature or 0.0,
                seed=_seed(request),
                schema={**part, "additionalProperties": False},
            )
            tokens_out, cached = reply.tokens_out, reply.tokens_cached
            if not reply.stopped:
                usage = Usage(tokens_in, tokens_out, cache_read_tokens=cached)
                return self._response(reply.text, usage, "length", None)
            head = json.dumps(json.loads(reply.text), ensure_ascii=False)[:-1] + ", "
        answers = [
            f"{head}{json.dumps(field)}: {json.dumps(value, ensure_ascii=False)}}}" for value in values
        ]
        tokens = [self.runtime.tokenize(answer, False) for answer in answers]
        seen: list[int] = []

        def next_token(path: Tokens, among: Any) -> dict[int, float]:
            odds, hit = self.runtime.next_token((*prompt, *path), among)
            seen.append(hit)
            return odds

        odds = answer_probabilities(tokens, next_token)
        best = self._pick(request, odds)
        ranked = sorted(range(len(values)), key=lambda i: (-odds[i], i))
        top = tuple(TopLogprob(_spelt(values[i]), math.log(max(odds[i], 1e-300))) for i in ranked)
        logprob = TokenLogprob(_spelt(values[best]), math.log(max(odds[best], 1e-300)), top=top)
        usage = Usage(tokens_in, tokens_out + len(tokens[best]), cache_read_tokens=cached + sum(seen[:1]))
        return self._response(answers[best], usage, "stop", (logprob,))

    def _pick(self, request: Request, odds: list[float]) -> int:
        temperature = request.config.temperature or 0.0
        if temperature == 0.0:
            return max(range(len(odds)), key=lambda i: (odds[i], -i))
        sharp = [math.log(max(p, 1e-300)) / temperature for p in odds]
        highest = max(sharp)
        return random.Random(_seed(request)).choices(
            range(len(odds)), [math.exp(s - highest) for s in sharp]
        )[0]

    def _response(
        self, text: str, usage: Usage, finish: Any, logprobs: tuple[TokenLogprob, ...] | None
    ) -> Response:
        return Response(
            id=None,
            model=f"local:/{self.name}",
            message=Message.assistant([TextPart(text)]),
            finish_reason=finish,
            usage=usage,
            logprobs=logprobs,
        )


def _messages(request: Request) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    if request.system is not None:
        system = request.system
        text = system if isinstance(system, str) else "".join(getattr(p, "text", "") for p in system)
        out.append(("system", text))
    for message in request.messages:
        role = "system" if message.role == "developer" else message.role
        out.append((role, message.text or ""))
    return out


def _last_enum(schema: dict[str, Any]) -> tuple[str, list[Any]] | None:
    """(name, values) of the schema's last property where that is an enumeration of at least two."""
    properties = schema.get("properties") or {}
    if not properties:
        return None
    name, part = list(properties.items())[-1]
    values = [True, False] if part.get("type") == "boolean" else part.get("enum")
    return (name, list(values)) if values and len(values) > 1 else None


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _seed(request: Request) -> int:
    """The request's seed, or one derived from its text, so that no global state has a say."""
    if request.config.seed is not None:
        return int(request.config.seed) & 0x7FFFFFFF
    text = repr((request.system, request.messages, request.config.temperature))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big") & 0x7FFFFFFF
