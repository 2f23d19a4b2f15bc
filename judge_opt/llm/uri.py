"""Model URIs: `provider:/name`, the one way that configuration names a model."""

import re
from dataclasses import dataclass

from judge_opt.core.errors import UsageError

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_REMEDY = "Write provider:/name, for example openai:/gpt-4o-mini or local:/smollm2."


@dataclass(frozen=True, slots=True)
class ModelURI:
    """Where a model runs and what it is called there.

    Attributes:
        provider: lower case. `local` runs inside this process; `openai`, and every provider for which a
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
        text = text.strip()
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
