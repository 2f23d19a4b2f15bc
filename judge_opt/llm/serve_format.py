"""OpenAI's chat completions format from the server's side: a body to a request, a response to a body."""

from collections.abc import Mapping
from typing import Any

from dspy import lm15

_ROLES = ("system", "developer", "user", "assistant")
_NUMBERS = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")


class BadRequestError(ValueError):
    """The body asks for what is not served.

    Args:
        status: the HTTP status to answer with.
        code: OpenAI's code for it, or None.
    """

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def to_request(body: Any, model: str) -> lm15.Request:
    """The request in a chat completion's body.

    Args:
        model: the name of the model that is served.

    Raises:
        BadRequestError: it is none, or it asks for what is not served; the message says what.
    """
    if not isinstance(body, dict):
        raise BadRequestError("the body is not a JSON object")
    asked = str(body.get("model", ""))
    if asked not in (model, f"local:/{model}", f"local/{model}"):
        raise BadRequestError(f"the model {asked[:80]!r} is not served; {model!r} is", 404, "model_not_found")
    for name in ("stream", "tools", "functions", "audio"):
        if body.get(name):
            raise BadRequestError(f"{name} is not supported")
    if body.get("n") not in (None, 1):
        raise BadRequestError("n is not supported: ask several times")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list of at least one message")
    turns = [_turn(message) for message in messages]
    system = None
    if turns[0][0] in ("system", "developer"):
        system = turns.pop(0)[1]
    if not turns:
        raise BadRequestError("messages must hold more than a system message")
    return lm15.Request(
        model=model,
        messages=tuple(lm15.Message(role=role, parts=(lm15.TextPart(text),)) for role, text in turns),
        system=system,
        config=_config(body),
    )


def _turn(message: Any) -> tuple[Any, str]:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise BadRequestError(f"each message needs a role, one of {', '.join(_ROLES)}")
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise BadRequestError("only text content is supported")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise BadRequestError("each message needs text content")
    role = "system" if message["role"] == "developer" else message["role"]
    return role, content


def _config(body: Mapping[str, Any]) -> lm15.Config:
    settings: dict[str, Any] = {name: body[name] for name in _NUMBERS if body.get(name) is not None}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:
        settings["max_tokens"] = limit
    if body.get("stop"):
        settings["stop"] = body["stop"]
    if body.get("logprobs"):
        settings["logprobs"] = body.get("top_logprobs") or 0
    if (format_ := body.get("response_format")) is not None:
        settings["response_format"] = _format(format_)
    try:
        return lm15.Config(**{name: value for name, value in settings.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise BadRequestError(str(error)) from None


def _format(format_: Any) -> dict[str, Any] | None:
    kind = format_.get("type") if isinstance(format_, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_schema", "schema": {"type": "object"}}
    if kind == "json_schema":
        named = format_.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if isinstance(schema, dict):
            return {"type": "json_schema", "name": str(named.get("name") or "reply"), "schema": schema}
    raise BadRequestError("response_format must be text, json_object, or json_schema with a schema")


def from_response(
    response: lm15.Response, model: str, name: str, created: int, top: int | None
) -> dict[str, Any]:
    """The chat completion's body.

    Args:
        name: the completion's id.
        created: seconds since the epoch.
        top: most alternatives of a token to list; None for those alone that were chosen.
    """
    finish = {"length": "length", "content_filter": "content_filter"}.get(response.finish_reason, "stop")
    usage = response.usage
    tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "id": name,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": response.text or "", "refusal": None},
                "logprobs": _logprobs(response, top),
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0},
        },
    }


def _logprobs(response: lm15.Response, top: int | None) -> dict[str, Any] | None:
    if response.logprobs is None:
        return None
    return {
        "content": [
            {
                "token": token.token,
                "logprob": token.logprob,
                "bytes": list(token.token.encode()),
                "top_logprobs": [
                    {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())}
                    for one in token.top[: top or 0]
                ],
            }
            for token in response.logprobs
        ],
        "refusal": None,
    }
