"""What calls would cost, before any is made.

asked = [[{"role": "user", "content": text}] for text in texts]
cost = estimate(session.lm("openai:/gpt-4o-mini"), asked, output_tokens=60)
print(cost.calls, cost.tokens, cost.usd, cost.cached)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dspy import lm15

from judge_opt.llm.keys import most_usage

if TYPE_CHECKING:
    from judge_opt.llm.lm import SessionLM

Prompt = str | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What remains to be bought.

    Attributes:
        calls: calls to buy, without retries.
        tokens: what they use, in and out together: prompts at three characters a token, which is more
            than most texts need, and the reply's length as given.
        usd: dollars; 0.0 where nothing is to be bought, None where the price is not known.
        cached: calls that cost nothing: their replies are stored, or they ask what another of them asks.
    """

    calls: int
    tokens: int
    usd: float | None
    cached: int


def estimate(
    lm: "SessionLM", prompts: Iterable[Prompt], output_tokens: int | None = None, **config: Any
) -> Estimate:
    """Count what `lm.ask(prompt, **config)` would buy for each of `prompts`. Nothing is sent.

    Inside `with repeat(i):` it counts the i-th repeats.

    Args:
        lm: from `Session.lm`.
        prompts: lists of messages in OpenAI's form, or texts, which are a user's message.
        output_tokens: tokens of one reply; default: as many as the model may write (`max_tokens`, else
            4096), which makes the estimate an upper bound.
        **config: as for `ask`.

    Raises:
        UsageError: a setting that `ask` does not take.
    """
    requests: dict[str, lm15.Request] = {}
    asked = 0
    for prompt in prompts:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        key, request = lm.address(messages, **config)
        requests[key] = request
        asked += 1
    held = lm.engine.books.store.holds(requests)
    usages = [most_usage(request) for key, request in requests.items() if key not in held]
    prompt_tokens = sum(prompt for prompt, _ in usages)
    reply_tokens = sum(most if output_tokens is None else output_tokens for _, most in usages)
    usage = lm15.Usage(input_tokens=prompt_tokens, output_tokens=reply_tokens)
    usd = lm.engine.backend.price(usage) if usages else 0.0
    return Estimate(len(usages), prompt_tokens + reply_tokens, usd, asked - len(usages))
