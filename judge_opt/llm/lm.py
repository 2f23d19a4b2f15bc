"""The dspy.LM that a session hands out."""

from typing import Any

import dspy

from judge_opt.llm.keys import rollout

DSPY_PARAMETERS = frozenset(
    "temperature max_tokens max_completion_tokens top_p top_k stop seed response_format logprobs top_logprobs "
    "tools tool_choice parallel_tool_calls frequency_penalty presence_penalty service_tier store user "
    "logit_bias reasoning_effort n rollout_id prompt_cache callbacks use_developer_role".split()
)
"""What DSPy's request type knows. Other parameters go to the endpoint through the engine."""


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
