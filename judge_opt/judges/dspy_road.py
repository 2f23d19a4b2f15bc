"""Calls that DSPy must see: inside its optimizers, its usage tracker and its callbacks.

Outside of them a judge asks its LM directly: the same messages, the same cache key, a third of the time.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dspy
from dspy import lm15
from dspy.dsp.utils.settings import main_thread_config, thread_local_overrides
from dspy.utils.exceptions import AdapterParseError

from judge_opt.core.results import Scored
from judge_opt.judges.adapter import VerdictError, last_reply
from judge_opt.judges.asking import Answer, Question
from judge_opt.judges.verdict import RATIONALE, VERDICT, read_reply
from judge_opt.llm.lm import SessionLM
from judge_opt.memory.guidelines import with_guidelines

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


def watched() -> bool:
    """True where DSPy records what its predictors do: an optimizer's trace, a usage tracker, callbacks,
    a stream."""
    own = thread_local_overrides.get()
    return bool(
        traced() is not None
        or own.get("usage_tracker") is not None
        or own.get("send_stream") is not None
        or dspy.settings.track_usage
        or dspy.settings.callbacks
    )


def traced() -> "list[Any] | None":
    """The trace that an optimizer laid under these calls. DSPy's default one, which every context inherits
    and nobody reads, is none."""
    trace: list[Any] | None = thread_local_overrides.get().get("trace")
    return None if trace is main_thread_config.get("trace") else trace


def lm_of(judge: "Judge") -> Any:
    """The LM to ask: what an optimizer set on the predictor; else the context's, where it is a copy of the
    judge's own with other sampling (as bootstrapping makes them); else the judge's own."""
    if judge.predict.lm is not None:
        return judge.predict.lm
    own = judge.lm()
    given = thread_local_overrides.get().get("lm")
    if isinstance(given, SessionLM) and given.engine is own.engine:
        return given
    return own


def through_dspy(judge: "Judge", lm: Any, question: Question) -> Answer:
    """Ask through the judge's `dspy.Predict`, so that the call stands in DSPy's trace."""
    signature, inputs, demos, config = _arguments(judge, question)
    with dspy.context(adapter=judge.adapter, lm=lm):
        try:
            prediction = judge.predict(signature=signature, demos=demos, config=config, **inputs)
        except VerdictError as error:
            return Answer(error.unscored.raw or "")
        except AdapterParseError:  # DSPy itself refuses an empty reply
            return Answer("")
    return Answer(last_reply.get(), prediction.get("logprobs"))


async def athrough_dspy(judge: "Judge", lm: Any, question: Question) -> Answer:
    """As `through_dspy`, without blocking the event loop."""
    signature, inputs, demos, config = _arguments(judge, question)
    with dspy.context(adapter=judge.adapter, lm=lm):
        try:
            prediction = await judge.predict.acall(signature=signature, demos=demos, config=config, **inputs)
        except VerdictError as error:
            return Answer(error.unscored.raw or "")
        except AdapterParseError:
            return Answer("")
    return Answer(last_reply.get(), prediction.get("logprobs"))


def request_for(lm: Any, messages: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Any:
    """A request for any `dspy.BaseLM` that somebody set on a judge."""
    settings = {k: v for k, v in {**lm.kwargs, **config}.items() if v is not None and k != "rollout_id"}
    return lm15.request_from_openai_chat({"model": lm.model, "messages": list(messages), **settings})


def note_repair(judge: "Judge", question: Question, answer: Answer) -> None:
    """Put a repaired verdict into DSPy's trace: the call that failed left no entry there."""
    trace = traced()
    read = read_reply(answer.text, judge.value_type, cut=answer.cut)
    if trace is None or not isinstance(read, Scored):
        return
    prediction = dspy.Prediction(**{RATIONALE: read.rationale, VERDICT: read.value})
    trace.append((judge.predict, judge.dspy_inputs(question.parts), prediction))


def _arguments(judge: "Judge", question: Question) -> tuple[Any, dict[str, Any], list[Any], dict[str, Any]]:
    signature = judge.predict.signature
    if question.guidelines:
        signature = signature.with_instructions(with_guidelines(judge.instructions, question.guidelines))
    demos = [*judge.predict.demos, *question.demos]
    return signature, judge.dspy_inputs(question.parts), demos, dict(question.config)
