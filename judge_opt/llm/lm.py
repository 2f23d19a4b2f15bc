"""The dspy.LM that a session hands out."""

from typing import Any

import dspy
from dspy.clients.lm import _is_openai_reasoning_model

from judge_opt.llm.keys import rollout


class SessionLM(dspy.LM):
    """A dspy.LM on our engine. It differs from its parent in what the parent gets wrong for us:

    - `rollout_id` and `n` reach the cache key, so that asking again for another sample buys one;
    - `deepcopy` shares it: an optimizer that copies a program hundreds of times does not copy the
      history of every call with it.
    """

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with rollout(*self._sampling(kwargs)):
            return super().__call__(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        with rollout(*self._sampling(kwargs)):
            return await super().acall(prompt, messages=messages, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "SessionLM":
        return self

    def _sampling(self, kwargs: dict[str, Any]) -> tuple[Any, int]:
        merged = {**self.kwargs, **kwargs}
        return merged.get("rollout_id"), merged.get("n") or 1


def sampling(model: str, temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    """`temperature` and `max_tokens` as the model takes them: OpenAI's reasoning models refuse a
    temperature of 0 and a reply limit that leaves no room to think, so theirs are left to the endpoint."""
    if _is_openai_reasoning_model(model):
        temperature = None if temperature == 0 else temperature
        max_tokens = None if max_tokens is not None and max_tokens < 16000 else max_tokens
    return {"temperature": temperature, "max_tokens": max_tokens}
