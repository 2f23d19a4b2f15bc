"""How a judge asks: one call, one repair, samples, both orders; in threads, in an event loop, under DSPy."""

import asyncio
import json
from typing import Annotated, Literal

import dspy
import pytest
from pydantic import BaseModel, Field

from judge_opt.core.errors import TemplateError, UsageError
from judge_opt.core.results import NOT_APPLICABLE, Scored, Unscored
from judge_opt.core.values import categories, ordered, preference, scale
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import dump_judge, load_judge, read_judge, save_judge
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.traces.schema import Trace

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5.0, deadline=10.0)


def said(verdict, rationale="Because."):
    return json.dumps({"rationale": rationale, "verdict": verdict})


def item(body):
    return [m["content"] for m in body["messages"] if m["content"].startswith("<")][-1]


@pytest.fixture
def server():
    with FaultServer(lambda body: said("yes" if "good" in item(body) else "no")) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path / "home", retry=QUICK) as made, use_session(made):
        yield made


def judge(server, value_type=bool, text="Is {{ outputs }} fine?", **settings):
    return make_judge("fine", text, "openai:/any", value_type, base_url=server.base_url, **settings)


# -- repair


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Reply(text="Well, it depends."), "unparseable"),
        (Reply(text=said("MAYBE")), "out_of_set"),
        (Reply(text=""), "empty"),
        (Reply(text='{"rationale": "It is', finish_reason="length"), "truncated"),
    ],
)
def test_a_reply_without_a_verdict_is_asked_about_once(server, session, first, reason):
    server.script(first, Reply(text=said("yes")))
    feedback = judge(server)(outputs="x")
    assert feedback.value is True
    assert feedback.metadata["repaired"] == reason
    assert server.completions == 2
    assert server.requests[-1].body["messages"][-1]["content"].startswith("Your reply ")
    assert sum(line.calls for line in session.ledger()) == 2


def test_the_second_reply_is_the_last(server):
    server.script(*[Reply(text="Hm.")] * 3)
    result = judge(server)(outputs="x").result
    assert isinstance(result, Unscored)
    assert (result.reason, result.raw, server.completions) == ("unparseable", "Hm.", 2)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="I'm sorry, I can't judge that."),
        Reply(message={"role": "assistant", "content": None, "refusal": "No."}),
        Reply(text="", finish_reason="content_filter"),
    ],
)
def test_a_refusal_is_an_answer(server, reply):
    server.script(reply)
    assert judge(server)(outputs="x").error.startswith("refused")
    assert server.completions == 1


def test_repair_can_be_switched_off(server):
    server.script(Reply(text="Hm."))
    assert judge(server, repair=False)(outputs="x").error.startswith("unparseable")
    assert server.completions == 1


# -- samples


def test_samples_are_calls_and_their_share_is_the_confidence(server, session):
    server.script(*[Reply(text=said(v)) for v in ("yes", "no", "yes", "yes", "no")])
    sampled = judge(server, samples=5)
    feedback = sampled(outputs="x")
    assert (feedback.value, feedback.confidence) == (True, pytest.approx(0.6))
    assert feedback.probabilities == pytest.approx({"true": 0.6, "false": 0.4})
    assert server.completions == 5
    assert {r.body["temperature"] for r in server.requests} == {1.0}
    assert sampled(outputs="x").confidence == feedback.confidence
    assert server.completions == 5, "the same five samples are not bought twice"


def test_samples_of_ordered_labels_have_a_median_and_failures_are_no_votes(server):
    replies = ["poor", "good", "fair", "I refuse to say", "I refuse to say"]
    server.script(*[Reply(text=said(v) if " " not in v else v) for v in replies[:3]],
                  *[Reply(text=v) for v in ("Hm.",) * 4])  # fmt: skip
    feedback = judge(server, ordered("poor", "fair", "good"), samples=5)(outputs="x")
    assert feedback.value == "fair"
    assert feedback.metadata["voted"] == 3


@pytest.mark.parametrize("settings", [{"samples": 0}, {"samples": 3, "inference_params": {"temperature": 0}}])
def test_samples_that_cannot_differ_are_refused(server, settings):
    with pytest.raises(UsageError):
        judge(server, **settings)


# -- positions


SIDES = preference("A", "B", tie="tie")
PAIR = "Which is better, {{ outputs.a }} or {{ outputs.b }}?"


def first_wins(body):
    return said("A")


def longer_wins(body):
    text = item(body)
    a, b = (text.split(f"<outputs.{s}>\n")[1].split("\n</")[0] for s in "ab")
    return said("A" if len(a) > len(b) else "B")


def test_a_judge_that_likes_the_first_place_has_no_preference(server):
    server.answer = first_wins
    feedback = judge(server, SIDES, PAIR, position_swap=True)(outputs={"a": "x", "b": "y"})
    assert feedback.value == "tie"
    assert feedback.metadata["position_consistent"] is False
    assert server.completions == 2
    strict = judge(server, preference("A", "B"), PAIR, position_swap=True)
    assert strict(outputs={"a": "x", "b": "y"}).error.startswith("no_agreement")


def test_a_preference_that_does_not_turn_is_one(server):
    server.answer = longer_wins
    swapped = judge(server, SIDES, PAIR, position_swap=("outputs.b", "outputs.a"))
    feedback = swapped(outputs={"a": "short", "b": "much longer"})
    assert (feedback.value, feedback.metadata["position_consistent"]) == ("B", True)
    state, blobs = dump_judge(swapped)
    assert load_judge(json.loads(json.dumps(state)), blobs).options == swapped.options


@pytest.mark.parametrize(
    ("value_type", "text", "swap", "message"),
    [
        (bool, PAIR, True, "Only a preference"),
        (SIDES, "Which of {{ outputs }}?", True, "there are 1"),
        (SIDES, PAIR, ("outputs.a", "outputs.c"), "Did you mean"),
    ],
)
def test_what_cannot_be_swapped_is_refused(server, value_type, text, swap, message):
    with pytest.raises(TemplateError, match=message):
        judge(server, value_type, text, position_swap=swap)


# -- values


class Review(BaseModel):
    grade: int = Field(ge=1, le=5)
    faults: list[str] = []


@pytest.mark.parametrize(
    ("declared", "verdict", "value"),
    [
        (bool, "yes", True),
        (Literal["good", "bad"], "Good", "good"),
        (scale(1, 5), 4, 4),
        (Annotated[float, Field(ge=0, le=1)], 0.25, 0.25),
        (bool | None, "n/a", NOT_APPLICABLE),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (list[str], ["a", "b"], ["a", "b"]),
        (Review, {"grade": 2, "faults": ["late"]}, Review(grade=2, faults=["late"])),
        (SIDES, "B", "B"),
    ],
)
def test_every_value_type_is_asked_for_and_read(server, declared, verdict, value, tmp_path):
    server.answer = lambda body: said(verdict)
    made = judge(server, declared)
    feedback = made(outputs="x")
    assert feedback.value == value
    assert feedback.rationale == "Because."
    schema = server.requests[-1].body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["rationale", "verdict"]
    save_judge(made, tmp_path / "j")
    again = read_judge(tmp_path / "j", trust_base_url=True)(outputs="x").value
    assert again == (value.model_dump() if isinstance(value, BaseModel) else value)
    assert server.completions == 1, "the loaded judge asks the same question"


def test_text_needs_no_choice_and_no_reasons(server):
    server.answer = lambda body: json.dumps({"verdict": "A summary."})
    feedback = judge(server, str)(outputs="x")
    assert (feedback.value, feedback.rationale, feedback.confidence) == ("A summary.", None, None)


# -- confidence


def test_confidence_comes_from_the_tokens_of_the_verdict_whatever_their_spelling(server):
    tokens = ['{"', "rationale", '": "', "yes no", '", "', "verdict", '": "', "yes", '"}']
    top = [("yes", -0.5), (" Yes", -2.5), ("no", -1.5), ("maybe", -6.0)]
    content = [{"token": t, "logprob": -0.1, "top_logprobs": []} for t in tokens]
    content[7]["top_logprobs"] = [{"token": t, "logprob": p} for t, p in top]
    server.script(Reply(text="".join(tokens), logprobs={"content": content}))
    feedback = judge(server, categories("yes", "no"))(outputs="x")
    yes, no = 0.6065 + 0.0821, 0.2231
    assert feedback.confidence == pytest.approx(yes / (yes + no), abs=1e-3)
    assert sum(feedback.probabilities.values()) == pytest.approx(1)


def test_no_probabilities_no_confidence(server):
    server.answer = lambda body: json.dumps(
        {"rationale": "I am 95 % sure", "verdict": "yes", "confidence": 0.95}
    )
    feedback = judge(server)(outputs="x")
    assert (feedback.value, feedback.confidence) == (True, None)


# -- roads


def test_threads_loop_and_dspy_ask_the_same_question(server, session):
    made = judge(server)
    items = [{"outputs": f"good {i}" if i % 2 else f"bad {i}"} for i in range(12)]
    threads = made.batch(items, concurrency=4)
    bought = server.completions
    assert bought == 12
    loop = asyncio.run(made.abatch(items, concurrency=4))
    alone = asyncio.run(made.acall(**items[3]))
    with dspy.context(trace=[]):
        traced = [made(**one) for one in items]
        assert len(dspy.settings.trace) == 12
        assert dspy.settings.trace[0][2].verdict is False
    assert server.completions == bought, "every road has the same key"
    values = [f.value for f in threads]
    assert values == [bool(i % 2) for i in range(12)]
    assert [f.value for f in loop] == [f.value for f in traced] == values
    assert alone.result == threads[3].result
    assert [f.result.raw for f in traced] == [f.result.raw for f in threads]


def test_a_repair_is_in_dspys_trace(server):
    server.script(Reply(text="Hm."), Reply(text=said("yes")))
    made = judge(server)
    with dspy.context(trace=[]):
        assert made(outputs="x").value is True
        ((predictor, inputs, prediction),) = dspy.settings.trace
    assert predictor is made.predict
    assert inputs == {"outputs": "x"}
    assert prediction.verdict is True


def test_the_event_loop_stops_at_a_fatal_error(server):
    server.answer = lambda body: Reply(status=401)
    from judge_opt.core.errors import CredentialsError

    with pytest.raises(CredentialsError):
        asyncio.run(judge(server).abatch([{"outputs": str(i)} for i in range(200)], concurrency=4))
    assert server.completions < 50


class Foreign:
    """Somebody's own engine: its answers, in order."""

    supports_response_schema = True

    def __init__(self, *answers):
        self.answers = list(answers)

    def complete(self, request):
        return dspy.lm15.Response(
            id="1",
            model="foreign",
            message=dspy.lm15.Message.assistant([dspy.lm15.TextPart(self.answers.pop(0))]),
            finish_reason="stop",
            usage=dspy.lm15.Usage(),
        )


@pytest.mark.parametrize("answers", [[said("no")], ["Hm.", said("no")]])
def test_any_other_dspy_lm_can_be_set(server, answers):
    made = judge(server)
    made.set_lm(dspy.LM("openai/foreign", engine=Foreign(*answers), cache=False))
    assert made(outputs="good").value is False
    assert server.completions == 0


def test_progress_counts_every_row_once(server):
    seen = []
    judge(server).batch([{"outputs": str(i)} for i in range(20)], concurrency=5,
                        progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert sorted(seen) == [(i, 20) for i in range(1, 21)]


# -- what is judged


def test_a_trace_stands_for_its_inputs_and_outputs(server):
    made = judge(server, text="Does {{ outputs }} answer {{ inputs.q }}, as {{ expectations.fact }}?")
    trace = Trace(inputs={"q": "Why?"}, outputs="good", expectations={"fact": "so"})
    assert made(trace=trace).value is True
    assert made.batch([trace, {"trace": trace, "outputs": "bad"}])[1].value is False
    assert made(inputs={"q": "Why?"}, outputs="good", expectations={"fact": "so"}).value is True
    assert server.completions == 2


def test_a_misspelt_field_is_an_error_of_the_caller(server):
    with pytest.raises(UsageError, match="Did you mean 'outputs'"):
        judge(server)(output="x")
    assert server.completions == 0


def test_details_are_kept_where_nothing_was_scored(server):
    server.script(*[Reply(text="Hm.")] * 4)
    made = judge(server, samples=2)
    feedback = made(outputs="x")
    assert feedback.error.startswith("unparseable")
    assert feedback.metadata["samples"] == 2
    assert isinstance(judge(server)(outputs="good").result, Scored)
