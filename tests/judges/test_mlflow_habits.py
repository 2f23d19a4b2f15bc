"""What MLflow's judge documentation shows its users, with our imports: names and habits that must work.

The wording of templates and data is ours; the calls are those that their users write.
"""

import json
from typing import Literal

import pytest

import judge_opt
from judge_opt import (
    Correctness,
    Guidelines,
    RelevanceToQuery,
    Session,
    Trace,
    make_judge,
    make_scorer_ensemble,
    use_session,
)
from judge_opt.testing.fault_server import FaultServer


@pytest.fixture
def model(tmp_path):
    """A model that answers with the first allowed value, or with what the test scripts; MLflow's users name
    it by URI, and `base_url` leads it here."""

    def answer(body):
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        verdict = properties["verdict"]
        kind = verdict.get("type")
        made = {"integer": 4, "number": 0.5, "object": {"a": 1}, "array": ["x"], "string": "fine"}
        value = verdict["enum"][0] if "enum" in verdict else made[kind]
        return json.dumps({"rationale": "As the material shows.", "verdict": value})

    with FaultServer(answer) as server, Session(tmp_path) as session, use_session(session):
        yield server


def shown(server):
    return "\n".join(m["content"] for m in server.requests[-1].body["messages"])


def test_a_judge_is_made_and_called_on_inputs_and_outputs(model):
    coherence = make_judge(
        name="coherence",
        instructions=(
            "Does the answer follow one line of thought in one tone?\n"
            "Question: {{ inputs }}\nAnswer: {{ outputs }}\n"
        ),
        feedback_value_type=Literal["coherent", "somewhat coherent", "incoherent"],
        model="openai:/gpt-4o-mini",
        base_url=model.base_url,
    )
    feedback = coherence(
        inputs={"question": "What is a fjord?"}, outputs={"response": "A long, deep inlet of the sea."}
    )
    assert feedback.value == "coherent"
    assert feedback.rationale == "As the material shows."
    assert feedback.error is None
    assert "fjord" in shown(model)
    assert "deep inlet" in shown(model)


def test_a_judge_takes_its_facts_from_expectations(model):
    correct = make_judge(
        name="correct",
        instructions="Does {{ outputs }} agree with {{ expectations }} for the question {{ inputs }}?",
        model="openai:/gpt-4o-mini",
        feedback_value_type=bool,
        base_url=model.base_url,
    )
    feedback = correct(
        inputs={"question": "How many legs has a spider?"},
        outputs={"response": "Eight."},
        expectations={"expected_response": "8"},
    )
    assert feedback.value is True


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (bool, True),
        (int, 4),
        (float, 0.5),
        (str, "fine"),
        (Literal["yes", "no"], "yes"),
        (dict[str, int], {"a": 1}),
        (list[str], ["x"]),
    ],
)
def test_every_feedback_value_type(model, declared, value):
    judge = make_judge(
        name="any", instructions="Judge {{ outputs }}.", model="openai:/gpt-4o-mini",
        feedback_value_type=declared, base_url=model.base_url,
    )  # fmt: skip
    feedback = judge(outputs="something")
    assert feedback.value == value
    assert type(feedback.value) is type(value)


SPANS = (
    {
        "span_id": "a1", "parent_id": None, "name": "agent", "kind": "INTERNAL", "start_ns": 0, "end_ns": 9_000_000,
        "status": {"code": "OK", "message": ""}, "events": [],
        "attributes": {"input.value": {"q": "Weather in Oslo?"}, "output.value": "Rain, 7 degrees."},
    },
    {
        "span_id": "b2", "parent_id": "a1", "name": "get_weather", "kind": "CLIENT", "start_ns": 1_000_000,
        "end_ns": 5_000_000, "status": {"code": "OK", "message": ""}, "events": [],
        "attributes": {"openinference.span.kind": "TOOL", "gen_ai.tool.name": "get_weather",
                       "input.value": {"city": "Oslo"}, "output.value": {"sky": "rain", "celsius": 7}},
    },
)  # fmt: skip


def weather():
    return Trace(inputs={"q": "Weather in Oslo?"}, outputs={"answer": "Rain, 7 degrees."}, spans=SPANS)


def test_a_judge_of_whole_traces(model):
    tools = make_judge(
        name="tool_use",
        instructions="Look at {{ trace }}: did the agent call the right tool, and use its result?",
        feedback_value_type=bool,
        model="openai:/gpt-4o-mini",
        base_url=model.base_url,
    )
    assert tools(trace=weather()).value is True
    assert "get_weather" in shown(model)
    assert "Oslo" in shown(model)


def test_a_judge_of_fields_takes_them_from_a_trace(model):
    judge = make_judge(
        name="relevant", instructions="Does {{ outputs }} answer {{ inputs }}?", model="openai:/gpt-4o-mini",
        feedback_value_type=bool, base_url=model.base_url,
    )  # fmt: skip
    assert judge(trace=weather()).value is True
    assert "Rain, 7 degrees." in shown(model)


def test_a_judge_of_whole_conversations(model):
    polite = make_judge(
        name="polite", instructions="Was the assistant polite throughout {{ conversation }}?",
        feedback_value_type=bool, model="openai:/gpt-4o-mini", base_url=model.base_url,
    )  # fmt: skip
    turns = [Trace(inputs={"question": f"Question {i}?"}, outputs={"response": f"Answer {i}."}, session="s")
             for i in range(3)]  # fmt: skip
    assert polite(session=turns).value is True
    text = shown(model)
    assert text.index("Question 0?") < text.index("Answer 0.") < text.index("Question 2?")
    assert polite(conversation=[{"role": "user", "content": "Hello!"}]).value is True


def test_inference_parameters_and_headers_reach_the_endpoint(model):
    judge = make_judge(
        name="x", instructions="Judge {{ outputs }}.", model="openai:/gpt-4o-mini", feedback_value_type=bool,
        inference_params={"temperature": 0.3, "max_tokens": 99}, base_url=model.base_url,
        extra_headers={"X-Team": "blue"}, generate_rationale_first=False, description="A judge.",
    )  # fmt: skip
    assert judge(outputs="x").rationale is None
    sent = model.requests[-1]
    assert (sent.body["temperature"], sent.body["max_tokens"]) == (0.3, 99)
    assert sent.headers["x-team"] == "blue"


@pytest.mark.parametrize(
    ("ensemble_fn", "value"), [("majority_vote", True), ("agg_all", False), ("agg_any", True)]
)
def test_a_jury(model, ensemble_fn, value):
    model.answer = lambda body: json.dumps(
        {"rationale": "r", "verdict": "false" if body["model"] == "strict" else "true"}
    )
    jurors = [
        make_judge(
            name=name,
            instructions="Is {{ outputs }} safe?",
            model=f"openai:/{name}",
            feedback_value_type=bool,
            base_url=model.base_url,
        )
        for name in ("strict", "mild", "fair")
    ]
    panel = make_scorer_ensemble(name="panel", scorers=jurors, ensemble_fn=ensemble_fn)
    feedback = panel(outputs="x")
    assert feedback.value is value
    assert feedback.name == "panel"


def test_built_in_judges(model):
    correctness = Correctness(model="openai:/gpt-4o-mini", base_url=model.base_url)
    assert correctness.name == "correctness"
    feedback = correctness(
        inputs={"question": "How many legs has a spider?"},
        outputs={"response": "Eight."},
        expectations={"expected_facts": ["A spider has eight legs."]},
    )
    assert feedback.value == "yes"
    assert RelevanceToQuery(model="openai:/gpt-4o-mini").name == "relevance_to_query"
    tone = Guidelines(
        name="tone",
        guidelines=["Be brief.", "Use {no} jargon."],
        model="openai:/gpt-4o-mini",
        base_url=model.base_url,
    )
    assert tone(inputs={"q": "Hi"}, outputs="Hello.").value == "yes"
    assert "Use {no} jargon." in shown(model)


def test_bad_values_are_no_verdicts(model):
    """The rival returns MAYBE from a yes/no judge."""
    model.answer = lambda body: json.dumps({"rationale": "r", "verdict": "MAYBE"})
    judge = make_judge(
        name="x", instructions="Judge {{ outputs }}.", model="openai:/gpt-4o-mini",
        feedback_value_type=Literal["yes", "no"], base_url=model.base_url,
    )  # fmt: skip
    feedback = judge(outputs="x")
    assert feedback.value is None
    assert feedback.error.startswith("out_of_set")


def test_mistakes_are_found_when_the_judge_is_made():
    for wrong in ({"instructions": "Is it good?"}, {"instructions": "{{ question }}"}, {"model": "gpt-4o"}):
        with pytest.raises(judge_opt.JudgeOptError) as error:
            make_judge(
                **{"name": "x", "instructions": "Judge {{ outputs }}.", "feedback_value_type": bool, **wrong}
            )
        assert error.value.remedy


def test_mlflows_names_of_judges_are_there():
    import judge_opt

    @judge_opt.scorer
    def dated(outputs) -> bool:
        return "Thursday" in outputs

    assert dated(outputs="on Thursday").value is True
    assert judge_opt.register is judge_opt.register_judge
    assert judge_opt.get_scorer is judge_opt.get_judge
