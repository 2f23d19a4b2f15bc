"""What is asked of a model: plain messages as a judge writes them, or an `lm15.Request` as DSPy writes it.

DSPy reads a call's settings and its messages anew each time. A judge asks thousands of times with the
same settings, so those are read once, by DSPy's own reader, and messages of plain text go to the endpoint as
they are. Whatever else a message holds (images, tool calls, cache marks) goes through DSPy's reader as a whole.
Both ways give the same key and the same body.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from json.encoder import encode_basestring_ascii
from typing import Any

import orjson
from dspy import lm15
from dspy._vendor.lm15.serde import config_to_dict

from judge_opt.core.errors import UsageError
from judge_opt.llm.wire import to_body

_NOT_SENT = frozenset({"cache", "n", "rollout_id", "num_generations", "prompt_cache"})
_ROLES = {"user": "user", "assistant": "assistant", "system": "developer", "developer": "developer"}
_KEPT = 256
_PLACEHOLDER = [{"role": "user", "content": "-"}]
_MESSAGES = encode_basestring_ascii('{"messages":').encode()[:-1]


class Frame:
    """The settings of a call.

    Attributes:
        tools, config: of an `lm15.Request`.
        body: what the settings are in an HTTP body; None where DSPy's own dialect must write it, and where a
            key does not come from messages and settings alone.
    """

    def __init__(self, read: lm15.Request) -> None:
        self.tools, self.config = read.tools, read.config
        config = read.config
        rich = read.tools or config.reasoning or config.cache or config.tool_choice or config.extensions
        self.body: dict[str, Any] | None = None
        if not rich:
            self.body = to_body(read, "")
            del self.body["model"], self.body["messages"]
        self._config = orjson.dumps(config_to_dict(config)).decode()
        self._tail: tuple[str, bytes] = ("", self._written(""))

    def tail(self, system: str) -> bytes:
        """What follows the messages in the text that a key is made of (see `keys`), for one system message or "". It
        is as long as a judge's instructions, and the same for all of its calls."""
        known, tail = self._tail
        if known != system:
            tail = self._written(system)
            self._tail = (system, tail)
        return tail

    def _written(self, system: str) -> bytes:
        said = f',"system":{orjson.dumps(system).decode()}' if system else ""
        config = f',"config":{self._config}' if self._config != "{}" else ""
        return encode_basestring_ascii(f"{said}{config}}}").encode()[1:]


class Asked:
    """One question.

    Attributes:
        messages: plain text in OpenAI's form; None where only `request` says what is asked.
        frame: its settings, where there are `messages`.
    """

    __slots__ = ("_model", "_request", "frame", "messages")

    def __init__(
        self,
        request: lm15.Request | None,
        messages: list[dict[str, Any]] | None = None,
        frame: Frame | None = None,
        model: str = "",
    ) -> None:
        self.messages = messages
        self.frame = frame
        self._request = request
        self._model = model

    @property
    def request(self) -> lm15.Request:
        """For backends and budgets that read DSPy's type; built when it is asked for."""
        if self._request is None:
            assert self.messages is not None
            assert self.frame is not None
            self._request = _request(self._model, *_split(self.messages), self.frame)
        return self._request

    def canonical(self) -> bytes | None:
        """The JSON string, quotes included, of the canonical JSON of what is asked, as `keys` writes it of a
        request; None where `keys` must write it."""
        if self.messages is None or self.frame is None:
            return None
        system, rows = "", self.messages
        if rows[0]["role"] == "system":
            system, rows = rows[0]["content"], rows[1:]
        parts = [{"role": row["role"], "parts": [{"type": "text", "text": row["content"]}]} for row in rows]
        try:
            tail = self.frame.tail(system)
            return _MESSAGES + encode_basestring_ascii(orjson.dumps(parts).decode()).encode()[1:-1] + tail
        except TypeError:  # text that UTF-8 cannot carry
            return None


class Drafts:
    """Builds questions; remembers the settings that it has seen. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[bytes, Frame] = {}

    def asked(self, model: str, messages: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> Asked:
        """What `dspy.LM(model, **settings)(messages=messages)` asks its engine.

        Args:
            model: DSPy's name for it, `provider/name`.
            messages: OpenAI's form, `{"role", "content"}`; a list.
            settings: OpenAI's parameters, JSON; None values and DSPy's own settings (`rollout_id`, ...)
                are not part of a request.

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
        prompt_cache = settings.get("prompt_cache")
        frame: Frame | None = None
        text: _Text | None = None
        if _is_text(messages):
            frame = self._seen.get(key) or self._read(key)
            if frame.body is not None and prompt_cache is None and _is_turns(messages):
                return Asked(None, [*messages], frame, model)  # type: ignore[list-item]
            text = _split(messages)
        if text is None or frame is None or not text[1]:
            request = lm15.request_from_openai_chat({"model": model, "messages": messages, **body})
        else:
            request = _request(model, *text, frame)
        if prompt_cache is not None:
            request = replace(request, config=replace(request.config, cache=prompt_cache))
        return Asked(request)

    def _read(self, key: bytes) -> Frame:
        model, body = orjson.loads(key)  # a copy of its own: the caller may change its schema later
        frame = Frame(lm15.request_from_openai_chat({"model": model, "messages": _PLACEHOLDER, **body}))
        with self._lock:
            if len(self._seen) >= _KEPT:
                self._seen.clear()
            return self._seen.setdefault(key, frame)


_Text = tuple[str | None, tuple[lm15.Message, ...]]


def _is_text(messages: Sequence[Mapping[str, Any]]) -> bool:
    """True where every message is plain text of a known role."""
    if not isinstance(messages, list):
        return False
    for row in messages:
        if type(row) is not dict or len(row) != 2:
            return False
        if type(row.get("content")) is not str or row.get("role") not in _ROLES:
            return False
    return True


def _is_turns(messages: Sequence[Mapping[str, Any]]) -> bool:
    """True where they are a system message or none, and then turns of user and assistant: what an endpoint gets
    is then what stands here."""
    first = 1 if messages and messages[0]["role"] == "system" and messages[0]["content"] else 0
    return len(messages) > first and all(
        row["role"] == "user" or row["role"] == "assistant" for row in messages[first:]
    )


def _split(messages: Sequence[Mapping[str, Any]]) -> _Text:
    """(system, the other messages), of plain text."""
    system: str | None = None
    read: list[lm15.Message] = []
    for index, row in enumerate(messages):
        role: Any = _ROLES[row["role"]]
        if role == "developer" and index == 0:
            system = row["content"]
        else:
            read.append(lm15.Message(role, (lm15.TextPart(row["content"]),)))
    return system, tuple(read)


def _request(model: str, system: str | None, rows: tuple[lm15.Message, ...], frame: Frame) -> lm15.Request:
    return lm15.Request(model, rows, system, frame.tools, frame.config)
