"""Chat messages in the shapes in which they are recorded, as role and text.

Read: OpenAI's messages (text, content parts, tool calls), chat completion objects, the responses API's
parts, Anthropic's tool blocks, OpenTelemetry's GenAI messages (`parts`), LangChain's (`type`, `data`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.judges.views.text import short_name, text_of

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function": "tool",
    "developer": "system",
    "humanmessage": "user",
    "aimessage": "assistant",
    "systemmessage": "system",
    "toolmessage": "tool",
}
_KNOWN = ("user", "assistant", "system", "tool")
_LONGEST_JSON = 4_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """Attributes:
    role: user, assistant, system, tool, or another short name.
    text: everything that it says; tool calls as `[calls name(arguments)]`.
    name: of the tool that speaks; "" for none.
    """

    role: str
    text: str
    name: str = ""


def parsed(value: Any) -> Any:
    """A text that is a JSON object or list as that object; everything else as it is."""
    if isinstance(value, str) and value[:1] in "[{" and value and len(value) <= _LONGEST_JSON:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def is_message(value: Any) -> bool:
    """True for a mapping that says who speaks."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("role"), str):
        return True
    kind = value.get("type")
    return isinstance(kind, str) and kind.lower() in _ROLES and ("content" in value or "data" in value)


def messages_in(value: Any) -> list[Message] | None:
    """The messages that a value is, or holds under `messages`; None where it is nothing of the kind."""
    found = raw_messages(value)
    return None if found is None else [message_of(one) for one in found]


def raw_messages(value: Any) -> Sequence[Any] | None:
    """As `messages_in`, as recorded."""
    value = parsed(value)
    if isinstance(value, Mapping):
        if is_message(value):
            return [value]
        inner = parsed(value.get("messages"))
        if inner is None:
            return _completion(value)
        value = inner
        if isinstance(value, Mapping) and is_message(value):
            return [value]
    if isinstance(value, list | tuple) and value:
        if len(value) == 1 and isinstance(value[0], list):  # one batch of LangChain's
            value = value[0]
        if value and all(is_message(one) for one in value):
            return list(value)
    return None


def message_of(value: Any) -> Message:
    """One message; what is none speaks as "unknown". Never raises."""
    if not is_message(value):
        return Message("unknown", text_of(value))
    role = value.get("role") if isinstance(value.get("role"), str) else value.get("type")
    role = str(role).strip().lower()
    role = _ROLES.get(role, role)
    if role not in _KNOWN:
        role = short_name(role, 20)
    data = value.get("data")
    body = data if isinstance(data, Mapping) and "content" not in value else value
    said = [_content(body[key]) for key in ("content", "parts") if body.get(key) not in (None, "", [])]
    said += _calls(body)
    if isinstance(body.get("refusal"), str):
        said.append(body["refusal"])
    name = body.get("name") if role == "tool" else None
    return Message(role, "\n".join(filter(None, said)), short_name(name) if name else "")


def _completion(value: Mapping[str, Any]) -> list[Any] | None:
    """The reply in a chat completion, or in the responses API's object."""
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        choice = choices[0]
        message = choice.get("message", choice.get("delta"))
        if isinstance(message, Mapping):
            return [{"role": "assistant", **message}]
        if isinstance(choice.get("text"), str):
            return [{"role": "assistant", "content": choice["text"]}]
    if isinstance(value.get("message"), Mapping) and is_message(value["message"]):
        return [value["message"]]
    output = value.get("output")
    if isinstance(output, list) and output and all(isinstance(one, Mapping) for one in output):
        spoken = [one for one in output if is_message(one)]
        if spoken:
            return [one if is_message(one) else {"role": "assistant", "parts": [one]} for one in output]
    return None


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(_part(part) for part in content)
    return text_of(content)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return text_of(part)
    kind = part.get("type")
    if kind in ("tool_use", "tool_call", "function_call"):
        return _call(part.get("name"), part.get("input", part.get("arguments")))
    if kind in ("tool_result", "tool_call_response", "function_call_output"):
        found = next((part[k] for k in ("content", "result", "response", "output") if k in part), None)
        return f"[result: {_content(found)}]"
    for key in ("text", "content", "refusal", "thinking", "reasoning"):
        if isinstance(part.get(key), str):
            return str(part[key])
    if isinstance(kind, str) and kind.split("_")[-1] in ("url", "image", "audio", "file", "blob", "uri"):
        return f"[{short_name(kind, 30)}]"
    return text_of(part)


def _calls(body: Mapping[str, Any]) -> list[str]:
    calls = body.get("tool_calls")
    said = []
    for call in calls if isinstance(calls, list | tuple) else ():
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if isinstance(inner, Mapping):
            said.append(_call(inner.get("name"), inner.get("arguments", inner.get("args"))))
        else:
            said.append(_call(None, call))
    legacy = body.get("function_call")
    if isinstance(legacy, Mapping):
        said.append(_call(legacy.get("name"), legacy.get("arguments")))
    return said


def _call(name: Any, arguments: Any) -> str:
    return f"[calls {short_name(name)}({'' if arguments is None else text_of(arguments)})]"
