"""Which backend speaks to which provider, and what all engines of one backend share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.llm.backend import Backend
from judge_opt.llm.flight import Flights
from judge_opt.llm.purchase import Purchaser
from judge_opt.llm.uri import ModelURI


@dataclass(slots=True)
class Door:
    """One backend, with its retries, its circuit and the calls in flight to it."""

    backend: Backend
    purchaser: Purchaser
    flights: Flights[dict[str, Any]] = field(default_factory=Flights)


def connect(
    uri: ModelURI,
    base_url: str | None,
    extra_headers: Mapping[str, str] | None,
    options: Mapping[str, Any] | None,
    timeout: float,
) -> Backend:
    """The wire to `uri`, by its provider and by whether a `base_url` is given.

    Raises:
        UsageError: the provider does not take these options.
        ModelNotInstalled: a local model's package is missing.
    """
    made: Backend
    if uri.provider == "local":
        if base_url or extra_headers:
            raise UsageError(f"{uri}: a local model has no base_url and no headers.", "Leave them out.")
        from judge_opt.llm.local import LocalBackend

        made = LocalBackend(uri.name, **dict(options or {}))
        return made
    if options:
        raise UsageError(f"{uri}: takes no backend options, got {sorted(options)}.", "Leave them out.")
    headers = dict(extra_headers or {})
    if uri.provider == "openai" or base_url:
        from judge_opt.llm.http_backend import HTTPBackend

        made = HTTPBackend(uri, base_url, headers=headers, timeout=timeout)
    else:
        from judge_opt.llm.litellm_backend import LiteLLMBackend

        made = LiteLLMBackend(uri, headers=headers, timeout=timeout)
    return made
