"""One call of a judge's model: what was asked, by which road, and what came of it."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from judge_opt.core.results import Unscored
from judge_opt.judges import dspy_road
from judge_opt.judges.asking import Answer, Question
from judge_opt.llm.errors import is_fatal, reason_of
from judge_opt.llm.keys import current_repeat, repeat
from judge_opt.llm.lm import SessionLM
from judge_opt.llm.reply import Reply

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


def call(judge: "Judge", question: Question) -> Answer | Unscored:
    """Make one call.

    Raises:
        JudgeOptError: every further call would fail too (key, address, budget).
    """
    try:
        with _repeated(question.repeat, judge.options.samples):
            lm, seen = dspy_road.lm_of(judge), dspy_road.watched()
            ours = isinstance(lm, SessionLM)
            if not question.again and (seen or not ours):
                return dspy_road.through_dspy(judge, lm, question)
            if ours:
                answer = _answer(lm.reply(question.messages, **question.config))
            else:
                response = lm(dspy_road.request_for(lm, question.messages, question.config))
                answer = _answer(Reply.of(response))
            if seen:
                dspy_road.note_repair(judge, question, answer)
            return answer
    except Exception as error:  # noqa: BLE001 - raised again where it is not about this call
        return _unscored(error)


async def acall(judge: "Judge", question: Question) -> Answer | Unscored:
    """As `call`, in an event loop."""
    try:
        with _repeated(question.repeat, judge.options.samples):
            lm, seen = dspy_road.lm_of(judge), dspy_road.watched()
            ours = isinstance(lm, SessionLM)
            if not question.again and (seen or not ours):
                return await dspy_road.athrough_dspy(judge, lm, question)
            if ours:
                answer = _answer(await lm.areply(question.messages, **question.config))
            else:
                response = await lm.acall(dspy_road.request_for(lm, question.messages, question.config))
                answer = _answer(Reply.of(response))
            if seen:
                dspy_road.note_repair(judge, question, answer)
            return answer
    except Exception as error:  # noqa: BLE001 - raised again where it is not about this call
        return _unscored(error)


def _repeated(sample: int, samples: int) -> Any:
    """Samples are repeats within the caller's own repeat."""
    return repeat(current_repeat() * samples + sample) if samples > 1 else nullcontext()


def _answer(reply: Reply) -> Answer:
    """An engine's reply as an answer."""
    text = reply.text
    if not text and (refused := reply.refusal) is not None:
        return Answer(refused, refused=True)
    logprobs = {"content": found} if (found := reply.logprobs) else None
    finish = reply.finish_reason
    return Answer(text, logprobs, finish == "length", finish == "content_filter")


def _unscored(error: Exception) -> Unscored:
    """Why a call gave no verdict.

    Raises:
        Exception: the error itself, where every further call would meet it, or where it is a fault of ours.
    """
    known = reason_of(error)
    if known is None or is_fatal(error):
        raise error
    return Unscored(*known)
