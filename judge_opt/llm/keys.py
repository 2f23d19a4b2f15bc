"""The content address of a request: equal exactly where the reply must be equal.

It holds the backend's fingerprint, the whole canonical request (messages, tools, parameters, schema, seed)
and which repeat of the same question this is. DSPy's name for the model is left out: the fingerprint says
more. The order of a schema's properties counts, since it is the order in which the model answers. A
repeat is told apart in four ways, all stripped before the wire:

- `with repeat(i):` around the calls, ours;
- `Config.extensions["repeat"]` on one request, ours;
- `rollout_id`, DSPy's: optimizers use it to sample the same prompt again;
- `n`, DSPy's: several candidates for one prompt arrive as equal requests, counted in order.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from json.encoder import encode_basestring_ascii
from typing import Any

import orjson
from dspy._vendor.lm15.serde import config_to_dict, request_to_dict
from dspy.lm15 import Request, TextPart

from judge_opt.core.hashing import canonical_json
from judge_opt.llm.direct import Asked

DSPY_PARAMETERS = frozenset(
    (
        "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "stop", "seed",
        "response_format", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls",
        "frequency_penalty", "presence_penalty", "service_tier", "store", "user", "logit_bias",
        "reasoning_effort", "n", "rollout_id", "prompt_cache", "callbacks", "use_developer_role",
    )
)  # fmt: skip
"""What DSPy's request type knows. Other parameters go to the endpoint as `extra`."""

_repeat: ContextVar[int] = ContextVar("judge_opt_repeat", default=0)
_rollout: ContextVar[Any] = ContextVar("judge_opt_rollout", default=None)
_candidates: ContextVar["itertools.count[int] | None"] = ContextVar("judge_opt_candidates", default=None)


@contextmanager
def repeat(index: int) -> Iterator[None]:
    """Calls inside are the `index`-th repeat of their prompts; 0 is the first, and the default."""
    token = _repeat.set(index)
    try:
        yield
    finally:
        _repeat.reset(token)


def current_repeat() -> int:
    """The index of the surrounding `repeat`."""
    return _repeat.get()


def rollout(rollout_id: Any, candidates: int) -> AbstractContextManager[None]:
    """What one call of a dspy.LM asked for beside its prompt; see the module's docstring."""
    if rollout_id is None and candidates <= 1 and _rollout.get() is None and _candidates.get() is None:
        return _NOTHING_ASKED
    return _asked_for(rollout_id, candidates)


_NOTHING_ASKED = nullcontext()


@contextmanager
def _asked_for(rollout_id: Any, candidates: int) -> Iterator[None]:
    first = _rollout.set(rollout_id)
    second = _candidates.set(itertools.count() if candidates > 1 else None)
    try:
        yield
    finally:
        _candidates.reset(second)
        _rollout.reset(first)


class Addresses:
    """Content addresses of the requests to one backend.

    Args:
        fingerprint: the backend's.
        extra: provider parameters that DSPy's request type does not know, such as `min_p`; added to
            `Config.extensions`.
    """

    def __init__(self, fingerprint: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> None:
        self.extra = dict(extra or {})
        self._head = b'{"backend":' + canonical_json(dict(fingerprint)) + b","

    def prepare(self, asked: Asked) -> tuple[str, Asked]:
        """The key of what is asked, and what the backend gets."""
        index = _repeat.get()
        written = None if self.extra else asked.canonical()
        if written is None:
            request = asked.request
            config = request.config
            if self.extra or config.extensions:
                extensions = {**self.extra, **(config.extensions or {})}
                index = extensions.pop("repeat", index)
                if extensions != (config.extensions or {}):
                    asked = Asked(replace(request, config=replace(config, extensions=extensions or None)))
            written = encode_basestring_ascii(_canonical(asked.request)).encode()
        # The canonical JSON of {"backend", "candidate", "repeat", "request", "rollout", "v"}, written out:
        # only the request changes from call to call.
        parts = [self._head]
        if (candidates := _candidates.get()) is not None and (candidate := next(candidates)) > 0:
            parts.append(b'"candidate":%d,' % candidate)
        parts += [
            b'"repeat":',
            b"%d" % index if type(index) is int else canonical_json(index),
            b',"request":',
            written,
        ]
        if (rollout_id := _rollout.get()) is not None:
            parts += [b',"rollout":', canonical_json(rollout_id)]
        parts.append(b',"v":1}')
        return hashlib.sha256(b"".join(parts)).hexdigest(), asked


def _canonical(request: Request) -> str:
    """The request's canonical JSON, in lm15's order, without the model's name."""
    rows = _text_rows(request)
    try:
        if rows is None or request.tools or not isinstance(request.system, str | None):
            canonical = request_to_dict(request)
            canonical.pop("model")
        else:
            canonical = {"messages": rows}
            if request.system:
                canonical["system"] = request.system
            if config := config_to_dict(request.config):
                canonical["config"] = config
        return orjson.dumps(canonical).decode()
    except TypeError:  # text that UTF-8 cannot carry
        canonical = request_to_dict(request)
        canonical.pop("model")
        return json.dumps(canonical, ensure_ascii=True, allow_nan=False)


def _text_rows(request: Request) -> list[dict[str, Any]] | None:
    """The messages as `request_to_dict` writes them, where all are plain text."""
    rows = []
    for message in request.messages:
        if message.continuation:
            return None
        parts = []
        for part in message.parts:
            if type(part) is not TextPart or part.continuation:
                return None
            parts.append({"type": "text", "text": part.text})
        rows.append({"role": message.role, "parts": parts})
    return rows


def most_usage(request: Request, default_output: int = 4096) -> tuple[int, int]:
    """An upper estimate of (prompt, completion) tokens: three characters a token, and `max_tokens`."""
    canonical = request_to_dict(request)
    characters = sum(len(text) for text in _texts(canonical))
    return characters // 3 + 16, request.config.max_tokens or default_output


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
