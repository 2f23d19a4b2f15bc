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

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import orjson
from dspy._vendor.lm15.serde import request_to_dict
from dspy.lm15 import Request

from judge_opt.core.hashing import content_hash

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


@contextmanager
def rollout(rollout_id: Any, candidates: int) -> Iterator[None]:
    """What one call of a dspy.LM asked for beside its prompt; see the module's docstring."""
    first = _rollout.set(rollout_id)
    second = _candidates.set(itertools.count() if candidates > 1 else None)
    try:
        yield
    finally:
        _candidates.reset(second)
        _rollout.reset(first)


def prepare(request: Request, fingerprint: dict[str, Any], extra: dict[str, Any]) -> tuple[str, Request]:
    """The request's key, and the request as the backend gets it.

    Args:
        request: as DSPy built it.
        fingerprint: the backend's.
        extra: provider parameters that DSPy's request type does not know, such as `min_p`; added to
            `Config.extensions`.
    """
    extensions = {**extra, **(request.config.extensions or {})}
    index = extensions.pop("repeat", _repeat.get())
    if extensions != (request.config.extensions or {}):
        request = replace(request, config=replace(request.config, extensions=extensions or None))
    canonical = request_to_dict(request)
    canonical.pop("model")
    asked = _ordered_json(canonical)
    content: dict[str, Any] = {"v": 1, "backend": fingerprint, "request": asked, "repeat": index}
    if (rollout_id := _rollout.get()) is not None:
        content["rollout"] = rollout_id
    if (candidates := _candidates.get()) is not None and (candidate := next(candidates)) > 0:
        content["candidate"] = candidate
    return content_hash(content), request


def _ordered_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # text that UTF-8 cannot carry
        return json.dumps(value, ensure_ascii=True, allow_nan=False)


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
