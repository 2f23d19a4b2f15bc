"""Model URIs: `provider:/name`, the one way that configuration names a model."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from judge_opt.core.errors import UsageError

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_REMEDY = "Write provider:/name, for example openai:/gpt-4o-mini or local:/smollm2."


@dataclass(frozen=True, slots=True)
class ModelURI:
    """Where a model runs and what it is called there.

    Attributes:
        provider: lower case. `gateway`, `endpoints` and `openai-compatible` are servers of one's own (see
            `endpoint_of`). `local` runs inside this process; `openai`, and every provider for which a
            `base_url` is given, is spoken to as an OpenAI-compatible HTTP server; all others go through
            LiteLLM under LiteLLM's name for them.
        name: the provider's own name for the model; may hold slashes, such as `meta-llama/Llama-3.1-8B`.
    """

    provider: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "ModelURI":
        """Read `provider:/name`, or LiteLLM's `provider/name`.

        Raises:
            UsageError: the text is neither; the message says what to write.
        """
        if not isinstance(text, str) or not text.strip():
            raise UsageError("A model URI must be a text such as 'openai:/gpt-4o-mini'.", _REMEDY)
        return cls._read(text.strip())

    @classmethod
    @lru_cache(1024)
    def _read(cls, text: str) -> "ModelURI":
        provider, separator, name = text.partition(":/")
        if not separator:
            provider, separator, name = text.partition("/")
        provider, name = provider.lower(), name.strip("/")
        if not separator or not _PROVIDER.match(provider):
            raise UsageError(f"{text[:80]!r} does not name a provider.", _REMEDY)
        if not name or any(ord(c) <= 32 or ord(c) == 127 for c in name):
            raise UsageError(f"{text[:80]!r} does not name a model.", _REMEDY)
        return cls(provider, name)

    def __str__(self) -> str:
        return f"{self.provider}:/{self.name}"

    @property
    def litellm_name(self) -> str:
        """`provider/name`, as LiteLLM and DSPy write it."""
        return f"{self.provider}/{self.name}"


OPENAI = "https://api.openai.com/v1"
_CONFIGURED = {
    "gateway": (
        ("JUDGE_OPT_GATEWAY_URL", ""),
        ("MLFLOW_GATEWAY_URI", "/gateway/mlflow/v1"),
        ("MLFLOW_TRACKING_URI", "/gateway/mlflow/v1"),
    ),
    "endpoints": (("JUDGE_OPT_ENDPOINTS_URL", ""), ("MLFLOW_DEPLOYMENTS_TARGET", "/v1")),
    "openai-compatible": (("JUDGE_OPT_BASE_URL", ""),),
}
"""Provider: the environment variables that may hold its address, in the order in which they are asked, and
what follows the address. MLflow's own variables hold a server's address and not an API's."""


def endpoint_of(uri: ModelURI, base_url: str | None) -> str | None:
    """The OpenAI-compatible address that serves `uri`, or None where the provider has its own.

    `gateway:/name` and `endpoints:/name` are MLflow's names for models behind a server of one's own, whose
    address is configured once and not with each judge; `openai-compatible:/name` is the same by any name.

    Raises:
        UsageError: the address is configured nowhere; the remedy names the variable.
    """
    if base_url is not None or uri.provider not in _CONFIGURED:
        return base_url
    for variable, path in _CONFIGURED[uri.provider]:
        address = os.environ.get(variable, "").strip().rstrip("/")
        if address.startswith(("http://", "https://")):
            return address + path
    first = _CONFIGURED[uri.provider][0][0]
    raise UsageError(
        f"{uri}: no address is configured for {uri.provider!r}.",
        f"Set {first} to the address of an OpenAI-compatible server, up to /v1, or give base_url.",
    )


def openai_address() -> str | None:
    """The address that the environment gives in place of OpenAI's own; None where it gives none."""
    return os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or None


def usual_address(uri: ModelURI) -> str | None:
    """Where `uri` is asked on this machine when no `base_url` is given; None where that is for LiteLLM to say,
    or configured nowhere."""
    if uri.provider == "openai":
        return openai_address() or OPENAI
    try:
        return endpoint_of(uri, None)
    except UsageError:
        return None


def read_address(base_url: str) -> SplitResult:
    """`http(s)://host[:port][/path]`, taken apart.

    Raises:
        UsageError: it is no such address, or holds credentials, a query or a fragment.
    """
    remedy = "Write it like http://localhost:8000/v1."
    try:
        parts = urlsplit(base_url.strip())
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"base_url {base_url[:120]!r} is malformed ({error}).", remedy) from None
    if parts.username or parts.password:
        raise UsageError("base_url holds credentials.", "Put the key in the environment instead.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"base_url {base_url[:120]!r} is not an http(s) address.", remedy)
    if any(ord(c) <= 32 or ord(c) == 127 for c in base_url.strip()):
        raise UsageError(f"base_url {base_url[:120]!r} holds blanks.", remedy)
    return parts
