"""Messages and settings to the `lm15.Request` that a dspy.LM would build of them, at a tenth of the cost.

DSPy reads a call's settings and its messages anew each time. A judge asks thousands of times with the
same settings, so those are read once, by DSPy's own reader, and only plain text messages are read here.
Whatever else a message holds (images, tool calls, cache marks) goes through DSPy's reader as a whole.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from dspy import lm15

from judge_opt.core.errors import UsageError
from judge_opt.llm.keys import config_json

_NOT_SENT = frozenset({"cache", "n", "rollout_id", "num_generations", "prompt_cache"})
_ROLES = {"user": "user", "assistant": "assistant", "system": "developer", "developer": "developer"}
_KEPT = 256
_PLACEHOLDER = [{"role": "user", "content": "-"}]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A request without its messages."""

    tools: Any
    config: lm15.Config
    config_json: bytes


class Drafts:
    """Builds requests; remembers the settings that it has seen. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[bytes, _Frame] = {}

    def request(
        self, model: str, messages: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
    ) -> tuple[lm15.Request, bytes | None]:
        """The request that `dspy.LM(model, **settings)(messages=messages)` hands to its engine.

        Args:
            model: DSPy's name for it, `provider/name`.
            messages: OpenAI's form, `{"role", "content"}`; a list.
            settings: OpenAI's parameters, JSON; None values and DSPy's own settings (`rollout_id`, ...)
                are not part of a request.

        Returns:
            The request, and `keys.config_json` of its settings where that is known.

        Raises:
            UsageError: a setting that is no JSON, or several candidates (`n`).
            dspy.lm15.UnsupportedFeatureError, TypeError, ValueError: what DSPy's reader refuses.
        """
        if (settings.get("n") or 1) != 1:
            raise UsageError("`ask` returns one reply, so it takes no n.", "Ask n times within repeat(i).")
        body = {k: v for k, v in settings.items() if v is not None and k not in _NOT_SENT}
        try:
            key = orjson.dumps((model, body))
        except TypeError as error:
            raise UsageError(
                f"The settings of a call must be JSON ({error}).",
                "Give response_format as an OpenAI json_schema dictionary.",
            ) from None
        written: bytes | None = None
        text = _text_of(messages)
        if text is None:
            request = lm15.request_from_openai_chat({"model": model, "messages": messages, **body})
        else:
            frame = self._seen.get(key) or self._read(key)
            system, rows = text
            written = frame.config_json
            request = lm15.Request(model, rows, system, frame.tools, frame.config)
        if (prompt_cache := settings.get("prompt_cache")) is not None:
            written = None
            request = replace(request, config=replace(request.config, cache=prompt_cache))
        return request, written

    def _read(self, key: bytes) -> _Frame:
        model, body = orjson.loads(key)  # a copy of its own: the caller may change its schema later
        read = lm15.request_from_openai_chat({"model": model, "messages": _PLACEHOLDER, **body})
        frame = _Frame(read.tools, read.config, config_json(read.config))
        with self._lock:
            if len(self._seen) >= _KEPT:
                self._seen.clear()
            return self._seen.setdefault(key, frame)


def _text_of(
    messages: Sequence[Mapping[str, Any]],
) -> "tuple[str | None, tuple[lm15.Message, ...]] | None":
    """(system, messages) where every message is plain text; None where DSPy must read them."""
    system: str | None = None
    read: list[lm15.Message] = []
    for index, row in enumerate(messages):
        if not isinstance(row, Mapping) or len(row) != 2:
            return None
        text, role = row.get("content"), _ROLES.get(str(row.get("role")))
        if type(text) is not str or role is None:
            return None
        if role == "developer" and index == 0:
            system = text
        else:
            read.append(lm15.Message(role, (lm15.TextPart(text),)))
    return (system, tuple(read)) if read and isinstance(messages, list) else None
