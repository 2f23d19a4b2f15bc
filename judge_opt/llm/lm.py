"""The dspy.LM that a session hands out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dspy
from dspy import lm15
from dspy.clients.lm import _is_openai_reasoning_model

from judge_opt.llm.direct import Drafts
from judge_opt.llm.keys import rollout
from judge_opt.llm.reply import Reply

if TYPE_CHECKING:
    from judge_opt.llm.session import Session


class SessionLM(dspy.LM):
    """A dspy.LM on our engine. It differs from its parent in what the parent gets wrong for us:

    - `rollout_id` and `n` reach the cache key, so that asking again for another sample buys one;
    - `deepcopy` shares it: an optimizer that copies a program hundreds of times does not copy the
      history of every call with it.

    `ask` and `aask` are its direct lane: the same engine, cache key, ledger and request body as
    `lm(messages=...)`, without DSPy's adapters, history and price look-up. What one has bought is a cache
    hit for the other.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._drafts = Drafts()

    def ask(self, messages: Sequence[Mapping[str, Any]], **config: Any) -> lm15.Response:
        """The reply to one list of messages.

        Args:
            messages: OpenAI's form: `[{"role": "system", "content": "..."}, ...]`.
            **config: override this LM's parameters for the call: temperature, max_tokens, logprobs,
                top_logprobs, response_format (an OpenAI json_schema dictionary), seed, rollout_id, ...
                One reply is returned: `n` is refused.

        Raises:
            JudgeOptError: carried across DSPy, see `judge_opt.llm.errors`.
            dspy.lm15.LM15Error: what this one request met, after every retry.
        """
        return self.reply(messages, **config).response

    async def aask(self, messages: Sequence[Mapping[str, Any]], **config: Any) -> lm15.Response:
        """As `ask`, without blocking the event loop."""
        return (await self.areply(messages, **config)).response

    def reply(self, messages: Sequence[Mapping[str, Any]], **config: Any) -> Reply:
        """As `ask`, for callers that need little of the response."""
        settings = {**self.kwargs, **config}
        asked = self._drafts.asked(self.model, messages, settings)
        with rollout(settings.get("rollout_id"), 1):
            reply: Reply = self.engine.answer(asked)
        return reply

    async def areply(self, messages: Sequence[Mapping[str, Any]], **config: Any) -> Reply:
        """As `reply`, without blocking the event loop."""
        settings = {**self.kwargs, **config}
        asked = self._drafts.asked(self.model, messages, settings)
        with rollout(settings.get("rollout_id"), 1):
            reply: Reply = await self._async_engine_spec.answer(asked)
        return reply

    def address(self, messages: Sequence[Mapping[str, Any]], **config: Any) -> tuple[str, lm15.Request]:
        """The content address under which `ask` stores its reply, and the request as it is sent."""
        settings = {**self.kwargs, **config}
        asked = self._drafts.asked(self.model, messages, settings)
        with rollout(settings.get("rollout_id"), 1):
            key, sent = self.engine.addresses.prepare(asked)
        return key, sent.request

    def copy(self, **kwargs: Any) -> "SessionLM":
        """A new LM with changed parameters on the same engine; this one stays as it is.

        A parameter that is None is removed.
        """
        copied: SessionLM = super().copy(**kwargs)
        return copied

    def within(self, session: "Session", purpose: str) -> "SessionLM":
        """This LM at the same endpoint, with its calls in `session`'s ledger and budget, booked as `purpose`."""
        from judge_opt.llm.engine import AsyncEngine

        engine = self.engine.within(session, purpose)
        other = self.copy()
        other._engine_spec, other._async_engine_spec = engine, AsyncEngine(engine, session.executor)
        return other

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
