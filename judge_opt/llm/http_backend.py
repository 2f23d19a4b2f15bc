"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, TGI, a gateway.

The key comes from the environment at each call, goes to the configured origin only, and is never stored,
logged or part of a fingerprint. For `openai:/...` without a `base_url`, OPENAI_BASE_URL is honoured.

Settings that an endpoint answers with a 400 because it does not know them (`response_format`, `logprobs`,
`seed`) are left out from then on, and the response's `adaptations` say so.
"""

import email.utils
import os
import re
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from dspy import lm15
from dspy._vendor.lm15.errors import map_http_error

from judge_opt.core.errors import CredentialsError, EndpointUnreachable
from judge_opt.core.hashing import content_hash
from judge_opt.llm.backend import time_left
from judge_opt.llm.connection import (
    AddressRefusedError,
    ConnectionPool,
    HTTPReply,
    Origin,
    ReplyTooLargeError,
)
from judge_opt.llm.direct import Asked
from judge_opt.llm.pricing import price
from judge_opt.llm.reply import Reply
from judge_opt.llm.uri import OPENAI, ModelURI, openai_address
from judge_opt.llm.wire import NotACompletionError, from_body, to_body

if TYPE_CHECKING:
    from judge_opt.llm.aconnection import AsyncConnections

_SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "cookie", "proxy-authorization"})
_UNKNOWN_TO_SERVER = {
    "response_format": re.compile(r"response_format|json_schema|structured|guided|grammar", re.I),
    "logprobs": re.compile(r"logprobs", re.I),
    "seed": re.compile(r"\bseed\b", re.I),
}
_NOT_TAKEN = re.compile(
    r"not? (support|allow|permit|availab|implement|enabl)|unsupported|unknown|unrecogni[sz]ed|unexpected|"
    r"extra (field|input|param)",
    re.I,
)
_TOO_LONG = re.compile(r"context.{0,20}(length|window|size)|maximum.{0,20}tokens|too many tokens", re.I)
_COMPLETION_LIMIT = "max_completion_tokens"


class HTTPBackend:
    """One model behind an OpenAI-compatible endpoint.

    Args:
        uri: the model.
        base_url: up to and including `/v1`; None for OpenAI's own.
        headers: sent with every request. Values of headers that hold secrets stay out of the fingerprint.
        timeout: seconds for one attempt.
    """

    def __init__(
        self,
        uri: ModelURI,
        base_url: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        own = None if base_url else openai_address()
        self.uri = uri
        self.timeout = timeout
        self.origin = Origin(base_url or own or OPENAI)
        self.pool = ConnectionPool(self.origin)
        self._loops: AsyncConnections | None = None
        self.env_keys = ("JUDGE_OPT_API_KEY", re.sub(r"[^A-Z0-9]", "_", uri.provider.upper()) + "_API_KEY")
        self.fingerprint: dict[str, Any] = {"kind": "openai", "url": self.origin.url, "model": uri.name}
        self._headers = dict(headers or {})
        self.endpoint = self.origin.url
        self._priced = base_url is None and own is None
        self._left_out: set[str] = set()
        public = {k.lower(): v for k, v in self._headers.items() if k.lower() not in _SECRET_HEADERS}
        if public:
            self.fingerprint["headers"] = content_hash(public)

    def complete(self, request: lm15.Request) -> lm15.Response:
        """See `Backend.complete`."""
        return self.answer(Asked(request)).response

    def answer(self, asked: Asked) -> Reply:
        """See `Backend.answer`."""
        body, adaptations = self._fit(self._body(asked))
        return self._read(self.post("/chat/completions", body), adaptations)

    async def aanswer(self, asked: Asked) -> Reply:
        """See `Backend.aanswer`."""
        body, adaptations = self._fit(self._body(asked))
        return self._read(await self.apost("/chat/completions", body), adaptations)

    def post(self, path: str, body: Mapping[str, Any]) -> HTTPReply:
        """POST JSON, once.

        Raises:
            dspy.lm15.LM15Error: no answer in time, or an answer other than 200.
        """
        data, started = _encode(body), time.monotonic()
        try:
            reply = self.pool.request("POST", path, data, self._all_headers(), self._time_left())
        except (OSError, ValueError) as error:
            raise self._lost(error, started) from error
        if reply.status != 200:
            raise self._error(reply, body)
        return reply

    async def apost(self, path: str, body: Mapping[str, Any]) -> HTTPReply:
        """As `post`, without blocking the event loop."""
        if self._loops is None:
            from judge_opt.llm.aconnection import AsyncConnections

            self._loops = AsyncConnections(self.origin)
        data, started = _encode(body), time.monotonic()
        try:
            reply = await self._loops.request("POST", path, data, self._all_headers(), self._time_left())
        except (OSError, ValueError) as error:
            raise self._lost(error, started) from error
        if reply.status != 200:
            raise self._error(reply, body)
        return reply

    def check(self) -> None:
        """GET /models: proves name, network and key, and costs nothing. Endpoints without it answer 404,
        which proves as much."""
        try:
            reply = self.pool.request("GET", "/models", None, self._all_headers(), min(self.timeout, 20.0))
        except OSError as error:
            raise EndpointUnreachable(
                f"{self.uri}: no answer from {self.origin.url} ({type(error).__name__}: {error}).",
                "Start the server, or correct base_url.",
            ) from error
        if reply.status in (401, 403):
            raise CredentialsError(
                f"{self.uri}: {self.origin.url} refuses access (HTTP {reply.status}).",
                f"Set {' or '.join(self.env_keys)} in the environment.",
            )
        if reply.status >= 500:
            raise EndpointUnreachable(
                f"{self.uri}: {self.origin.url} is out of order (HTTP {reply.status}).", "Try again later."
            )

    def price(self, usage: lm15.Usage) -> float | None:
        """From LiteLLM's table for OpenAI's own endpoint; None for any other."""
        return price(self.uri.litellm_name, usage) if self._priced else None

    def close(self) -> None:
        self.pool.close()
        if self._loops is not None:
            self._loops.close()

    def _body(self, asked: Asked) -> dict[str, Any]:
        if asked.frame is None or asked.frame.body is None:
            return to_body(asked.request, self.uri.name)
        return {"model": self.uri.name, "messages": asked.messages, **asked.frame.body}

    def _time_left(self) -> float:
        timeout = time_left(self.timeout)
        if timeout <= 0:
            raise TimeoutError("the call's deadline passed")
        return timeout

    def _read(self, reply: HTTPReply, adaptations: tuple[lm15.Adaptation, ...]) -> Reply:
        try:
            return from_body(reply.body, self.uri.name, adaptations)
        except NotACompletionError as error:
            raise lm15.ServerError(f"the endpoint answered 200 with no chat completion: {error}") from None

    def _lost(self, error: Exception, started: float) -> lm15.LM15Error:
        """What it means that no answer came."""
        url = self.origin.url
        if isinstance(error, TimeoutError):
            return lm15.TimeoutError(f"{url}: no whole answer in {time.monotonic() - started:.1f} s")
        if isinstance(error, ssl.SSLCertVerificationError):
            return lm15.ConfigurationError(f"{url}: its certificate is not trusted: {error.verify_message}")
        if isinstance(error, AddressRefusedError | ReplyTooLargeError | ValueError):
            return lm15.InvalidRequestError(f"{url}: {error}")
        return lm15.TransportError(f"{url}: {type(error).__name__}: {error}")

    def _all_headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "judge_opt",
        }
        key = next((found for name in self.env_keys if (found := os.environ.get(name, "").strip())), None)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return {**headers, **self._headers}

    def _fit(self, body: dict[str, Any]) -> tuple[dict[str, Any], tuple[lm15.Adaptation, ...]]:
        """`body` without what this endpoint is known not to take, and what was changed."""
        notes = []
        for name in sorted(self._left_out):
            if name == _COMPLETION_LIMIT:
                if "max_tokens" in body:
                    body[_COMPLETION_LIMIT] = body.pop("max_tokens")
            elif name in body:
                del body[name]
                if name == "logprobs":
                    body.pop("top_logprobs", None)
                notes.append(lm15.Adaptation(f"config.{name}", "dropped", "the endpoint does not take it"))
        return body, tuple(notes)

    def _error(self, reply: HTTPReply, body: Mapping[str, Any]) -> lm15.LM15Error:
        message, code = _message(reply.body)
        status = reply.status
        facts = {"provider_code": code, "status": status, "provider": self.uri.provider}
        if status in (400, 422):
            if code == "context_length_exceeded" or _TOO_LONG.search(message):
                return lm15.ContextLengthError(message, **facts)
            if (setting := _unknown_setting(message, body)) is not None:
                self._left_out.add(setting)
                return lm15.UnsupportedFeatureError(message, feature=f"config.{setting}", **facts)
        if status == 429 and code == "insufficient_quota":
            return lm15.BillingError(message, **facts)
        error: lm15.LM15Error
        if 300 <= status < 400:
            where = reply.headers.get("location", "")[:100]
            message = f"redirects to {where!r}, which is not followed; give that address as base_url"
            error = lm15.InvalidRequestError(message, **facts)
        else:
            retry_after = _retry_after(reply.headers)
            request_id = reply.headers.get("x-request-id")
            error = map_http_error(
                status, message, retry_after=retry_after, request_id=request_id,
                provider=self.uri.provider, provider_code=code,
            )  # fmt: skip
        return error


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise lm15.InvalidRequestError(f"the request cannot be sent as JSON: {error}") from None


def _message(body: bytes) -> tuple[str, str | None]:
    """(message, code) of an error body, whatever its shape."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body[:300].decode("utf-8", "replace").strip() or "no message", None
    detail = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(detail, dict):
        return str(detail)[:1000], None
    code = detail.get("code") or detail.get("type")
    text = detail.get("message") or detail.get("detail") or detail
    return str(text)[:1000], str(code) if code else None


def _unknown_setting(message: str, body: Mapping[str, Any]) -> str | None:
    """Which setting of `body` a 400 complains about, where leaving it out keeps the question the same."""
    if _COMPLETION_LIMIT in message and "max_tokens" in body:
        return _COMPLETION_LIMIT
    if not _NOT_TAKEN.search(message) or "invalid schema" in message.lower():
        return None  # a schema or a value that is wrong is the caller's error, and must be seen
    for name, pattern in _UNKNOWN_TO_SERVER.items():
        if name in body and pattern.search(message):
            return name
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` as seconds or as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            seconds = float(text) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < 1e6 else None
    try:
        when = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())
