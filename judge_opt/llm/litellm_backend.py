"""Every provider that LiteLLM knows and that is not spoken to directly.

LiteLLM makes one attempt (`num_retries=0`): retries are the engine's. Its errors and its responses are
read by DSPy's own translation.
"""

from collections.abc import Mapping
from typing import Any

from dspy import lm15
from dspy.clients.engines.litellm_errors import litellm_errors
from dspy.clients.lm15_boundary import request_kwargs

from judge_opt.core.errors import CredentialsError
from judge_opt.llm.backend import time_left
from judge_opt.llm.pricing import litellm, price
from judge_opt.llm.uri import ModelURI
from judge_opt.llm.wire import NotACompletionError, from_body


class LiteLLMBackend:
    """One model through LiteLLM, which reads its keys from the environment under its own names.

    Args:
        uri: the model; `provider/name` is LiteLLM's name for it.
        headers: sent with every request.
        timeout: seconds for one attempt.
    """

    def __init__(
        self, uri: ModelURI, *, headers: Mapping[str, str] | None = None, timeout: float = 120.0
    ) -> None:
        self.uri = uri
        self.timeout = timeout
        self.fingerprint: dict[str, Any] = {"kind": "litellm", "model": uri.litellm_name}
        self.env_keys: tuple[str, ...] = ()
        self.endpoint = f"litellm:{uri.provider}"
        self._headers = dict(headers or {})

    def complete(self, request: lm15.Request) -> lm15.Response:
        """See `Backend.complete`."""
        body = request_kwargs(request, "chat")
        body.update(request.config.extensions or {})
        if request.config.top_k is not None:
            body["top_k"] = request.config.top_k
        timeout = time_left(self.timeout)
        if timeout <= 0:
            raise lm15.TimeoutError(f"{self.uri}: the call's deadline passed")
        if self._headers:
            body["extra_headers"] = self._headers
        with litellm_errors(model=self.uri.litellm_name, provider=self.uri.provider):
            raw = litellm().completion(
                model=self.uri.litellm_name,
                timeout=timeout,
                num_retries=0,
                max_retries=0,
                cache={"no-cache": True, "no-store": True},
                **body,
            )
        try:
            return from_body(raw.model_dump_json().encode(), self.uri.name).response
        except NotACompletionError as error:
            raise lm15.ServerError(f"{self.uri}: no chat completion: {error}") from None

    def check(self) -> None:
        """LiteLLM's list of the environment variables that this provider needs; sends nothing."""
        found = litellm().validate_environment(model=self.uri.litellm_name)
        missing = tuple(found.get("missing_keys") or ())
        self.env_keys = missing
        if missing and not found.get("keys_in_environment"):
            raise CredentialsError(
                f"{self.uri}: no key in the environment.", f"Set {' and '.join(missing)} and run again."
            )

    def price(self, usage: lm15.Usage) -> float | None:
        """From LiteLLM's table."""
        return price(self.uri.litellm_name, usage)

    def close(self) -> None:
        """Nothing: LiteLLM's clients belong to the process."""
