"""Which backend speaks to which provider, and what all engines of one backend share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.llm.backend import Backend
from judge_opt.llm.engine import Bought
from judge_opt.llm.flight import Flights
from judge_opt.llm.purchase import Purchaser
from judge_opt.llm.uri import ModelURI

LIMITS = ("rpm", "tpm", "max_parallel_requests")


@dataclass(slots=True)
class Door:
    """One backend, with its retries, its circuit and the calls in flight to it."""

    backend: Backend
    purchaser: Purchaser
    flights: Flights[Bought] = field(default_factory=Flights)


def split_limits(
    options: Mapping[str, Any] | None,
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """What the endpoint grants, and the options for the backend itself.

    Raises:
        UsageError: a limit that is no positive number.
    """
    own = dict(options or {})
    limits: dict[str, float | None] = {name: own.pop(name, None) for name in LIMITS}
    for name, limit in limits.items():
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0
        ):
            raise UsageError(
                f"{name}={limit!r} lets no call through.", "Give a positive number, or leave it out."
            )
    return limits, own


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
