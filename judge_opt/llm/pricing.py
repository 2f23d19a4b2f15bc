"""Prices from LiteLLM's table, read from the installed package and never from the network."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy.lm15 import Usage


def litellm() -> Any:
    """The litellm module. Its price list would be fetched over the network at import, were this not set."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm as module

    return module


@cache
def _known(model: str) -> bool:
    module = litellm()
    try:
        module.get_model_info(model)
    except Exception as error:
        if not str(error):
            raise
        return False
    return True


def price(model: str, usage: "Usage") -> float | None:
    """USD of `usage` for LiteLLM's `provider/name`; None where the table does not hold the model, or
    where the endpoint reported no usage."""
    if not _known(model) or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    cached = usage.cache_read_tokens or 0
    prompt, completion = litellm().cost_per_token(
        model=model,
        prompt_tokens=usage.input_tokens or 0,
        completion_tokens=usage.output_tokens or 0,
        cache_read_input_tokens=cached,
    )
    return float(prompt + completion)
