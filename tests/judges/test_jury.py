"""Juries: rules, failures that are no votes, weights, storing, alignment."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import BOOL, categories, interval, ordered, scale
from judge_opt.judges.checks import ToolCallEquality
from judge_opt.judges.combine import combine
from judge_opt.judges.jury import make_jury
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import read_judge, save_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces.schema import Trace

QUICK = RetryPolicy(attempts=1, timeout=5.0, deadline=10.0)
ABC = categories("a", "b", "c")


def answer(body):
    """Each model has its own mind: `says-x` says x, `reads` says the last word of the item, `mute` nothing."""
    model = body["model"]
    if model == "mute":
        return "I would rather not."
    said = [m["content"] for m in body["messages"] if m["content"].startswith("<")][-1]
    verdict = said.split()[-2] if model == "reads" else model.removeprefix("says-")
    return json.dumps({"rationale": f"{model} thinks so", "verdict": verdict})


@pytest.fixture
def server():
    with FaultServer(answer) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path / "home", retry=QUICK) as made, use_session(made):
        yield made


def juror(server, model, value_type=bool, name=None):
    return make_judge(
        name or model, "Is {{ outputs }} fine?", f"openai:/{model}", value_type, base_url=server.base_url
    )


def jury(server, models, value_type=bool, **settings):
    return make_jury("fine", [juror(server, model, value_type) for model in models], **settings)


def test_the_majority_decides_and_disagreement_is_told(server):
    feedback = jury(server, ["says-true", "says-false", "says-true"])(outputs="x")
    assert feedback.value is True
    assert feedback.rationale == "says-true thinks so"
    assert feedback.confidence == pytest.approx(2 / 3)
    assert feedback.metadata["disagreement"] == pytest.approx(1 / 3)
    assert [told["value"] for told in feedback.metadata["jurors"]] == ["true", "false", "true"]


def test_a_juror_without_a_verdict_is_no_vote(server):
    feedback = jury(server, ["says-true", "mute", "says-true"])(outputs="x")
    assert feedback.value is True
    assert feedback.confidence == 1.0
    assert "unparseable" in feedback.metadata["jurors"][1]["unscored"]
    assert jury(server, ["mute", "mute", "says-true"])(outputs="x").error.startswith("no_agreement")
    assert jury(server, ["mute", "mute"])(outputs="x").error.startswith("unparseable")


def test_a_tie_is_no_verdict_unless_one_is_declared(server):
    models = ["says-a", "says-b"]
    assert jury(server, models, ABC)(outputs="x").error.startswith("no_agreement: the votes tie")
    assert jury(server, models, ABC, tie="c")(outputs="x").value == "c"
    with pytest.raises(DataError, match="not allowed"):
        jury(server, models, ABC, tie="d")


@pytest.mark.parametrize(
    ("vote", "models", "value"),
    [
        ("any", ["says-false", "says-true"], True),
        ("any", ["mute", "says-true"], True),
        ("any", ["says-false", "says-false"], False),
        ("any", ["mute", "says-false"], None),
        ("all", ["says-true", "says-true"], True),
        ("all", ["mute", "says-false"], False),
        ("all", ["mute", "says-true"], None),
    ],
)
def test_any_and_all_never_guess_for_a_silent_juror(server, vote, models, value):
    assert jury(server, models, vote=vote)(outputs="x").value is value


def test_means_and_medians(server):
    assert jury(server, ["says-2", "says-5"], scale(1, 5), vote="mean")(outputs="x").value == 4
    assert jury(server, ["says-.2", "says-.5"], interval(0, 1))(outputs="x").value == pytest.approx(0.35)
    assert jury(server, ["says-2", "says-5"], scale(1, 5), vote="minimum")(outputs="x").value == 2
    silent = jury(server, ["says-2", "mute"], scale(1, 5), vote="maximum")(outputs="x")
    assert silent.error.startswith("no_agreement")
    grades = ordered("poor", "fair", "good")
    assert jury(server, ["says-poor", "says-good", "says-fair"], grades)(outputs="x").value == "fair"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vote": "any", "value_type": ABC}, "does not fit"),
        ({"vote": "mean"}, "does not fit"),
        ({"vote": "weighted", "weights": [1.0]}, "weights"),
        ({"weights": [1.0, 2.0]}, "weights"),
        ({"vote": "sortition"}, "not known"),
        ({"quorum": 0}, "no share"),
    ],
)
def test_what_does_not_fit_is_refused_at_build_time(server, settings, message):
    value_type = settings.pop("value_type", bool)
    with pytest.raises(UsageError, match=message):
        jury(server, ["says-true", "says-false"], value_type, **settings)
    assert server.completions == 0


def test_jurors_must_answer_one_question(server):
    with pytest.raises(UsageError, match="different questions"):
        make_jury("x", [juror(server, "reads"), juror(server, "reads", ABC)])
    with pytest.raises(UsageError, match="none"):
        make_jury("x", [juror(server, "reads")])


def test_weights_are_measured_and_a_guesser_weighs_nothing(server):
    rows = [
        LabelledExample(str(i), str(i), {"outputs": f"{i} {v}"}, (Vote("ana", v),))
        for i, v in enumerate("abcabcabcabc")
    ]
    weighed = jury(server, ["says-a", "says-a", "reads"], ABC).weigh(rows)
    assert weighed.weights[0] < 0.2
    assert weighed.weights[2] > 2
    assert weighed(outputs="so b").value == "b"
    assert jury(server, ["says-a", "says-a", "reads"], ABC)(outputs="so b").value == "a"
    with pytest.raises(DataError, match="10 are needed"):
        jury(server, ["mute", "reads"], ABC).weigh(rows)
    with pytest.raises(DataError, match="No juror"):
        jury(server, ["says-a", "says-b"], categories("a", "b", "c", "d", "e")).weigh(
            [LabelledExample(r.id, r.group, r.fields, (Vote("ana", "e"),)) for r in rows]
        )


def test_a_check_by_code_sits_beside_a_model(server):
    """The check wants the trace's spans, the model a view of them."""
    tools = ToolCallEquality(name="tools")
    model = make_judge(
        "sound",
        "Is {{ trace }} sound?",
        "openai:/says-yes",
        categories("yes", "no"),
        base_url=server.base_url,
    )
    call = {"openinference.span.kind": "TOOL", "gen_ai.tool.name": "search", "input.value": {"q": "x"}}
    span = {"span_id": "a", "parent_id": None, "name": "search", "attributes": call}
    trace = Trace(inputs="x", outputs="y", spans=(span,))
    expected = [{"name": "search", "arguments": {"q": "x"}}]
    panel = make_jury("panel", [tools, model], tie="no")
    feedback = panel(trace=trace, expectations={"expected_tool_calls": expected})
    assert [told["value"] for told in feedback.metadata["jurors"]] == ["yes", "yes"]
    assert feedback.value == "yes"
    expected[0]["name"] = "other"
    assert panel(trace=trace, expectations={"expected_tool_calls": expected}).value == "no"
    assert asyncio.run(panel.acall(trace=trace, expectations={"expected_tool_calls": expected})).value == "no"


def test_a_jury_is_saved_copied_and_awaited(server, tmp_path):
    made = jury(server, ["says-true", "says-false", "reads"], vote="weighted", weights=[1, 1, 3])
    save_judge(made, tmp_path / "jury")
    loaded = read_judge(tmp_path / "jury", trust_base_url=True)
    for one in (loaded, made.copy(), made.deepcopy()):
        assert type(one) is type(made)
        assert one(outputs="false").value is False
        assert one.weights == [1, 1, 3]
    assert asyncio.run(loaded.acall(outputs="so true")).value is True
    assert len(made.named_predictors()) == 3


votes = st.lists(
    st.one_of(
        st.builds(Scored, st.sampled_from(["a", "b", "c"])),
        st.just(Unscored("timeout")),
        st.just(Unscored("refused")),
    ),
    min_size=1,
    max_size=9,
)


@given(votes, st.randoms(use_true_random=False))
def test_failures_change_no_share_and_order_does_not_count(said, random):
    """Property: the verdict is that of the scored votes alone, in any order; failures only cost quorum."""
    judged = combine(said, ABC, rule="majority", quorum=0.01)
    scored = [one for one in said if isinstance(one, Scored)]
    if scored:
        alone = combine(scored, ABC, rule="majority", quorum=0.01)
        assert isinstance(judged, Scored) == isinstance(alone, Scored)
        assert getattr(judged, "value", None) == getattr(alone, "value", None)
        assert judged.details.get("votes") == alone.details.get("votes")
    else:
        assert isinstance(judged, Unscored)
    shuffled = list(said)
    random.shuffle(shuffled)
    assert getattr(combine(shuffled, ABC, rule="majority", quorum=0.01), "value", None) == getattr(
        judged, "value", None
    )


def test_the_share_of_the_votes_is_the_confidence_and_the_mean_probabilities_are_told():
    said = [
        Scored(True, probabilities={"true": 0.9, "false": 0.1}),
        Scored(True, probabilities={"true": 0.6, "false": 0.4}),
    ]
    judged = combine(said, BOOL, rule="majority")
    assert judged.confidence == 1.0
    assert judged.probabilities == {"true": 1.0, "false": 0.0}
    assert judged.details["mean_probabilities"] == pytest.approx({"true": 0.75, "false": 0.25})
