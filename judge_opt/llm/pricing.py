"""Prices from LiteLLM's table, read from the installed package and never from the network."""

import math
import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy.lm15 import Usage


def litellm() -> Any:
    """The litellm module. Its price list would be fetched over the network at import, were this not set."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm as module

    module.suppress_debug_info = True  # else it prints to stdout, for a model that it does not know
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


@cache
def _rates(model: str) -> tuple[float, float, float] | None:
    """USD of a prompt token, of one that the provider had cached, and of a completion token. None where
    the price is no such sum: LiteLLM, which knows tiers and the like, is then asked each time."""
    if any("_above_" in name and value for name, value in litellm().get_model_info(model).items()):
        return None
    prompt, completion = _cost(model, 1000, 0, 0) / 1000, _cost(model, 0, 1000, 0) / 1000
    cached = _cost(model, 1000, 0, 1000) / 1000
    for probe in ((1, 1, 0), (977, 331, 0), (977, 331, 512), (90_001, 4001, 60_000)):
        asked, written, had = probe
        sum_ = (asked - had) * prompt + had * cached + written * completion
        if not math.isclose(sum_, _cost(model, *probe), rel_tol=1e-9, abs_tol=1e-15):
            return None
    return prompt, cached, completion


def _cost(model: str, prompt: int, completion: int, cached: int) -> float:
    asked, written = litellm().cost_per_token(
        model=model, prompt_tokens=prompt, completion_tokens=completion, cache_read_input_tokens=cached
    )
    return float(asked + written)


def price(model: str, usage: "Usage") -> float | None:
    """USD of `usage` for LiteLLM's `provider/name`; None where the table does not hold the model, or
    where the endpoint reported no usage."""
    if not _known(model) or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    asked, written, cached = usage.input_tokens or 0, usage.output_tokens or 0, usage.cache_read_tokens or 0
    if (rates := _rates(model)) is None or cached > asked:
        return _cost(model, asked, written, cached)
    prompt, had, completion = rates
    return (asked - cached) * prompt + cached * had + written * completion
