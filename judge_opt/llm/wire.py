"""OpenAI's chat completions format: a request to a body, a body to a response."""

import math
from collections.abc import Mapping
from typing import Any

import orjson
from dspy import lm15
from dspy.clients.lm15_boundary import request_kwargs

from judge_opt.llm.reply import Reply

_FINISH = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


_RICH = ("reasoning_content", "reasoning", "refusal", "tool_calls")
"""What a message may hold besides its text."""
_COUNTS = (
    ("input_tokens", "prompt_tokens"),
    ("output_tokens", "completion_tokens"),
    ("total_tokens", "total_tokens"),
)
_DETAILS = (
    ("cache_read_tokens", "prompt_tokens_details", "cached_tokens"),
    ("reasoning_tokens", "completion_tokens_details", "reasoning_tokens"),
)
"""lm15's name, OpenAI's group, OpenAI's name."""


class NotACompletionError(ValueError):
    """The body is JSON, or text, but no chat completion."""


def to_body(request: lm15.Request, model: str) -> dict[str, Any]:
    """The JSON body for `request`, addressed to `model`.

    Text is written here, since it is nearly all that judges send; anything richer (images, tool calls,
    reasoning) goes through DSPy's own dialect.
    """
    config = request.config
    messages = _text_messages(request)
    if messages is None or request.tools or config.reasoning or config.cache or config.tool_choice:
        body: dict[str, Any] = request_kwargs(request, "chat")
        body["model"] = model
        if (limit := body.pop("max_completion_tokens", None)) is not None:
            body["max_tokens"] = limit
        return body
    body = {"model": model, "messages": messages}
    for name in (
        "temperature", "max_tokens", "top_p", "top_k", "seed",
        "frequency_penalty", "presence_penalty", "service_tier", "store",
    ):  # fmt: skip
        if (value := getattr(config, name)) is not None:
            body[name] = value
    if config.user_id is not None:
        body["user"] = config.user_id
    if config.stop:
        body["stop"] = list(config.stop)
    if config.logprobs is not None:
        body["logprobs"] = True
        if config.logprobs:
            body["top_logprobs"] = config.logprobs
    if (format_ := config.response_format) is not None:
        body["response_format"] = _format(format_)
    body.update(config.extensions or {})
    return body


def _text_messages(request: lm15.Request) -> list[dict[str, Any]] | None:
    out: list[dict[str, Any]] = []
    system = request.system
    if system is not None:
        if not isinstance(system, str):
            if not all(isinstance(part, lm15.TextPart) for part in system):
                return None
            system = "\n".join(part.text for part in system)
        out.append({"role": "system", "content": system})
    for message in request.messages:
        text = message.text
        if text is None or message.role not in ("user", "assistant", "developer"):
            return None
        out.append({"role": message.role, "content": text})
    return out


def _format(format_: Mapping[str, Any]) -> dict[str, Any]:
    if format_["type"] != "json_schema":
        return {"type": format_["type"]}
    schema: dict[str, Any] = {"name": format_.get("name", "reply"), "schema": format_["schema"]}
    if "strict" in format_:
        schema["strict"] = format_["strict"]
    return {"type": "json_schema", "json_schema": schema}


def from_body(raw: bytes, model: str, adaptations: tuple[lm15.Adaptation, ...] = ()) -> Reply:
    """The reply in an HTTP body.

    Empty and null content become an empty text: whether that is a verdict is for the judge to say.

    Raises:
        NotACompletionError: it holds none; the message shows how it begins.
    """
    try:
        body = orjson.loads(raw)
        plain = _plain(body, model) if not adaptations else None
        return Reply.of(_response(body, model, adaptations)) if plain is None else Reply(plain)
    except orjson.JSONDecodeError:
        raise NotACompletionError(f"not JSON: {raw[:80]!r}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotACompletionError(f"{type(error).__name__} {error} in {raw[:200]!r}") from None


def _plain(body: Any, model: str) -> dict[str, Any] | None:
    """What is stored of a body with a plain text, which is nearly all that judges get; None for any other."""
    try:
        choice = body["choices"][0]
        message, told = choice["message"], body["usage"]
        content = message["content"]
        if type(content) is not str or not content or any(message.get(name) for name in _RICH):
            return None
        if choice.get("logprobs") is not None:
            return None
        usage = {name: told[theirs] for name, theirs in _COUNTS}
        for name, group, theirs in _DETAILS:
            if (details := told.get(group)) and (value := details.get(theirs)) is not None:
                usage[name] = value
        if any(type(count) is not int or count < 0 for count in usage.values()):
            return None
    except (AttributeError, KeyError, TypeError, IndexError):
        return None
    data = {
        "model": str(body.get("model") or model),
        "message": {"role": "assistant", "parts": [{"type": "text", "text": content}]},
        "finish_reason": _FINISH.get(str(choice.get("finish_reason")), "stop"),
        "usage": usage,
    }
    if body.get("id"):
        data["id"] = str(body["id"])
    return data


def _response(body: Any, model: str, adaptations: tuple[lm15.Adaptation, ...]) -> lm15.Response:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NotACompletionError("no choices")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise NotACompletionError("no message")
    return lm15.Response(
        id=str(body["id"]) if body.get("id") else None,
        model=str(body.get("model") or model),
        message=lm15.Message("assistant", tuple(_parts(message))),
        finish_reason=_FINISH.get(str(choice.get("finish_reason")), "stop"),
        usage=_usage(body.get("usage")),
        logprobs=_logprobs(choice.get("logprobs")),
        adaptations=adaptations,
    )


def _parts(message: Mapping[str, Any]) -> list[Any]:
    parts: list[Any] = []
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thinking, str) and thinking:
        parts.append(lm15.ThinkingPart(thinking))
    if isinstance(refused := message.get("refusal"), str) and refused:
        parts.append(lm15.RefusalPart(refused))
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if isinstance(content, str) and content:
        parts.append(lm15.TextPart(content))
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function") or {}
        try:
            arguments = orjson.loads(function.get("arguments") or "{}")
        except orjson.JSONDecodeError:
            raise NotACompletionError(
                f"tool arguments are not JSON: {function.get('arguments')!r:.200}"
            ) from None
        parts.append(
            lm15.ToolCallPart(str(call.get("id") or f"call_{number}"), str(function["name"]), arguments)
        )
    return parts or [lm15.TextPart("")]


def _usage(usage: Any) -> lm15.Usage:
    if not isinstance(usage, dict):
        return lm15.Usage()
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return lm15.Usage(
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        total_tokens=usage.get("total_tokens"),
        cache_read_tokens=prompt.get("cached_tokens"),
        reasoning_tokens=completion.get("reasoning_tokens"),
    )


def _logprobs(logprobs: Any) -> tuple[lm15.TokenLogprob, ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    return tuple(
        lm15.TokenLogprob(
            token=entry["token"],
            logprob=_finite(entry["logprob"]),
            bytes=entry.get("bytes"),
            top=tuple(
                lm15.TopLogprob(top["token"], _finite(top["logprob"]), top.get("bytes"))
                for top in entry.get("top_logprobs") or ()
            ),
        )
        for entry in content
    )


def _finite(logprob: Any) -> float:
    """Servers write minus infinity in several ways (null, -inf, -9999.0); JSON and sums need a number."""
    value = float(logprob) if logprob is not None else -9999.0
    return value if math.isfinite(value) else -9999.0
