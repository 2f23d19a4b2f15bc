"""Prices are LiteLLM's, found without asking it for each call."""

import math

import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.llm.pricing import _cost, _rates, price

MODELS = [
    "openai/gpt-4o-mini",
    "openai/gpt-4o",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-pro",
]
TOKENS = st.integers(0, 400_000)


@given(st.sampled_from(MODELS), TOKENS, TOKENS, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_price_is_what_litellm_says(model, asked, written, share):
    usage = lm15.Usage(input_tokens=asked, output_tokens=written, cache_read_tokens=int(asked * share))
    found = price(model, usage)
    assert found is not None
    assert math.isclose(found, _cost(model, asked, written, int(asked * share)), rel_tol=1e-9, abs_tol=1e-12)


def test_simple_prices_are_a_sum_and_tiers_are_not():
    assert _rates("openai/gpt-4o-mini") is not None
    assert _rates("gemini/gemini-2.5-pro") is None


def test_what_has_no_price(capsys):
    assert price("acme/unheard-of", lm15.Usage(input_tokens=1, output_tokens=1)) is None
    assert price("openai/gpt-4o-mini", lm15.Usage()) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("model", MODELS)
def test_nothing_costs_nothing(model):
    assert price(model, lm15.Usage(input_tokens=0, output_tokens=0)) == 0.0
