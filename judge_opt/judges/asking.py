"""One judgement as the calls that it takes: which come next depends on the replies so far.

Each way of asking is a generator that yields a `Question` and is sent an `Answer` (or the `Unscored` that
the call ended in). It knows nothing of threads or event loops: `drive` runs it in this thread, `adrive` in
an event loop.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.judges.combine import combine, default_rule
from judge_opt.judges.verdict import DISAGREE, VERDICT, label_probabilities, read_reply
from judge_opt.memory.guidelines import Guideline

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge

REPAIRED = frozenset({"unparseable", "out_of_set", "empty", "truncated"})
"""Reasons after which a judge is asked once more. A refusal is an answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call of the model.

    Attributes:
        messages: in OpenAI's form.
        config: response format, log probabilities.
        repeat: which repeat of an equal question it is.
        parts, guidelines, demos: what the messages were made of, for DSPy's own road.
        again: it is a repair call.
    """

    messages: list[dict[str, Any]]
    config: Mapping[str, Any]
    repeat: int
    parts: Mapping[str, Any]
    guidelines: Sequence[Guideline]
    demos: Sequence[Mapping[str, Any]]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply.

    Attributes:
        text: as the model wrote it.
        logprobs: `{"content": [...]}`, or None.
        cut: it ended at its token limit.
        refused: the endpoint marked it as a refusal.
    """

    text: str
    logprobs: Any = None
    cut: bool = False
    refused: bool = False


Asking = Generator[Question, Answer | Unscored, Judgement]


def asking(
    judge: "Judge",
    parts: Mapping[str, Any],
    guidelines: Sequence[Guideline] = (),
    demos: Sequence[Mapping[str, Any]] = (),
) -> Asking:
    """Every call that one judgement of `judge` takes."""
    options = judge.options
    if options.samples == 1:
        return (yield from _both_orders(judge, parts, guidelines, demos, 0))
    said = []
    for sample in range(options.samples):
        said.append((yield from _both_orders(judge, parts, guidelines, demos, sample)))
    pooled = combine(said, judge.value_type, rule=default_rule(judge.value_type))
    return replace(pooled, details={**pooled.details, "samples": options.samples})


def _both_orders(
    judge: "Judge",
    parts: Mapping[str, Any],
    guidelines: Sequence[Guideline],
    demos: Sequence[Mapping[str, Any]],
    repeat: int,
) -> Asking:
    first = yield from _once(judge, parts, guidelines, demos, repeat)
    swap = judge.options.swap
    if swap is None or isinstance(first, Unscored):
        return first
    one, other = swap
    exchanged = {**parts, one: parts[other], other: parts[one]}
    second = yield from _once(judge, exchanged, guidelines, demos, repeat)
    if isinstance(second, Unscored):
        return second
    return _agreed(first, _turned(second, judge.value_type.labels), judge.value_type.labels)


def _turned(judged: Scored, labels: Sequence[str]) -> Scored:
    """A preference about the exchanged pair, said of the pair as it was."""
    turn = {labels[0]: labels[1], labels[1]: labels[0]}
    odds = judged.probabilities
    return replace(
        judged,
        value=turn.get(str(judged.value), judged.value),
        probabilities={label: odds[turn.get(label, label)] for label in odds} if odds else None,
    )


def _agreed(first: Scored, second: Scored, labels: Sequence[str]) -> Judgement:
    odds = None
    if first.probabilities and second.probabilities:
        odds = {k: (first.probabilities[k] + second.probabilities[k]) / 2 for k in first.probabilities}
    same = first.value == second.value
    details = {**first.details, "position_consistent": same, "orders": [first.value, second.value]}
    if same:
        value = first.value
    elif len(labels) == 3:
        value = labels[2]
    else:
        return Unscored(
            "no_agreement", "the preference turned with the order of the two", first.raw, details=details
        )
    confidence = odds[str(value)] if odds else None
    return replace(first, value=value, confidence=confidence, probabilities=odds, details=details)


def _once(
    judge: "Judge",
    parts: Mapping[str, Any],
    guidelines: Sequence[Guideline],
    demos: Sequence[Mapping[str, Any]],
    repeat: int,
) -> Asking:
    """One call, and at most one repair."""
    question = judge.question(parts, guidelines, demos, repeat)
    answer = yield question
    if isinstance(answer, Unscored):
        return answer
    judged = read_answer(judge, answer)
    if isinstance(judged, Scored) or not judge.options.repair:
        return judged
    if judged.reason not in REPAIRED or judged.detail == DISAGREE:
        return judged
    again = yield _repair(judge, question, answer, judged)
    if isinstance(again, Unscored):
        return replace(judged, details={**judged.details, "repair": again.reason})
    second = read_answer(judge, again)
    if isinstance(second, Unscored):
        return replace(judged, details={**judged.details, "repair": second.reason})
    return replace(
        second, details={**second.details, "repaired": judged.reason, "first_reply": answer.text[:2000]}
    )


def _repair(judge: "Judge", question: Question, answer: Answer, judged: Unscored) -> Question:
    """Ask again, with what was wrong. The reply goes along only where it was short enough to be the
    judge's own words: a long one may quote the judged text."""
    shown = answer.text if 0 < len(answer.text) <= 2000 else "(a reply that could not be read)"
    what = "was cut off" if judged.reason == "truncated" else "could not be read"
    brief = " Keep the reasons to one sentence." if judge.rationale else ""
    ask = (
        f'Your reply {what}. Answer again with nothing but the JSON object, whose "{VERDICT}" is '
        f"{judge.value_type.describe()}.{brief}"
    )
    messages = [
        *question.messages,
        {"role": "assistant", "content": shown},
        {"role": "user", "content": ask},
    ]
    return replace(question, messages=messages, again=True)


def read_answer(judge: "Judge", answer: Answer) -> Judgement:
    """The judgement in one reply."""
    if answer.refused:
        return Unscored(
            "refused", answer.text[:200] or "the endpoint says that the model refused", answer.text
        )
    judged = read_reply(answer.text, judge.value_type, cut=answer.cut)
    if isinstance(judged, Unscored):
        return judged
    odds = label_probabilities(answer.logprobs, judge.value_type) if answer.logprobs else None
    if odds is None and (judge.rationale or judged.rationale is None):
        return judged
    return replace(
        judged,
        rationale=judged.rationale if judge.rationale else None,
        confidence=odds[judge.value_type.text_of(judged.value)] if odds else None,
        probabilities=odds,
    )


def drive(steps: Asking, call: Callable[[Question], Answer | Unscored]) -> Judgement:
    """Run to the end in this thread."""
    try:
        question = next(steps)
        while True:
            question = steps.send(call(question))
    except StopIteration as end:
        judged: Judgement = end.value
        return judged


async def adrive(steps: Asking, call: Callable[[Question], Awaitable[Answer | Unscored]]) -> Judgement:
    """Run to the end in the current event loop."""
    try:
        question = next(steps)
        while True:
            question = steps.send(await call(question))
    except StopIteration as end:
        judged: Judgement = end.value
        return judged
