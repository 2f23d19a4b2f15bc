"""What stood behind one judgement."""

import json

import numpy as np
import pytest

from judge_opt.core.results import Scored
from judge_opt.core.values import categories
from judge_opt.judges.explaining import explain
from judge_opt.judges.make import make_judge
from judge_opt.labels.examples import Vote
from judge_opt.llm.session import Session, use_session
from judge_opt.memory.episode import Episode
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.fitting import fit_pool, fit_predictors
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory
from judge_opt.memory.vectors import ItemEmbedder
from judge_opt.testing.fault_server import FaultServer

LABELS = categories("good", "bad")
DECIDES = Guideline("A reply that names a day is good.", ("e1",), uplift=0.5, leads_to="good")
IDLE = Guideline("The colour of the letters does not matter.", ("e2",), uplift=0.0)
OLD = Guideline("A reply that is long is always good.", state="retired")


def answer(body):
    """Good where the first rule is told; else what most of the examples shown say; else bad."""
    system, *turns = [m["content"] for m in body["messages"]]
    shown = [json.loads(t)["verdict"] for t in turns[:-1] if t.startswith("{")]
    said = "good" if DECIDES.text in system else max(set(shown), key=shown.count) if shown else "bad"
    return json.dumps({"rationale": "x", "verdict": said})


@pytest.fixture
def server(tmp_path):
    with (
        FaultServer(
            answer=answer, embed=lambda t: [1.0 if "day" in t else -1.0, 0.5, len(t) % 5 / 5]
        ) as running,
        Session(tmp_path) as session,
        use_session(session),
    ):
        yield running


def judge(server, guidelines=(), shots=0, fused=False):
    from judge_opt.llm.session import current_session

    made = make_judge("dated", "Is {{ outputs }} good?", "openai:/sim", LABELS, base_url=server.base_url)
    embedder = current_session().embedder("openai:/embed", server.base_url)
    episodes = []
    for i in range(20):
        text = f"number {i} {'names a day' if i % 2 else 'is vague'}"
        vote = Vote("ann", "good" if i % 2 else "bad", None, f"a{i}")
        episodes.append(Episode.of_votes(f"e{i:02}", f"g{i}", {"outputs": text}, [vote], LABELS))
    space = ItemEmbedder(embedder, ("outputs",), {"outputs": 1.0})
    memory = Memory(
        LABELS,
        "openai:/embed",
        {"outputs": 1.0},
        EpisodicMemory.remember(episodes, space),
        guidelines=tuple(guidelines),
        shots=shots,
        base_url=server.base_url,
    )
    if fused:
        memory = fit_pool(fit_predictors(memory, 0), {i: Scored("good") for i in range(20)})
    return made.with_memory(memory)


def test_guidelines_are_told_with_their_worth_and_retired_ones_are_not(server):
    told = explain(judge(server, [DECIDES, IDLE, OLD]), {"outputs": "It comes."}, measure=False)
    assert told.feedback.value == "good"
    assert [(i.what, i.worth, i.effect) for i in told.influences] == [
        (DECIDES.text, 0.5, None),
        (IDLE.text, 0.0, None),
    ]
    assert server.completions == 1
    assert "worth +0.500" in str(told)


def test_measuring_tells_what_decided_this_item_for_one_call_each(server):
    made = judge(server, [DECIDES, IDLE])
    told = made.explain({"outputs": "It comes."}, measure=True)
    assert [i.effect for i in told.influences] == [
        pytest.approx(0.6, abs=0.01),
        0.0,
    ]  # no probabilities: 0.8, not 1
    assert told.measured == 2
    assert server.completions == 3


def test_examples_shown_are_told_with_their_label_and_likeness(server):
    told = judge(server, shots=2).explain({"outputs": "number 3 names a day"}, measure=True)
    assert told.feedback.value == "good"
    examples = [i for i in told.influences if i.kind == "example"]
    assert [i.says for i in examples] == ["good", "good"]
    assert all(i.worth > 0.9 for i in examples)
    assert [i.effect for i in examples] == [0.0, 0.0]  # the other says the same


def test_what_is_pooled_is_told_by_its_share(server):
    told = judge(server, fused=True).explain({"outputs": "number 33 names a day"})
    shares = {i.what: i for i in told.influences if i.kind == "source"}
    assert set(shares) == {"judge", "neighbours", "classifier"}
    assert shares["judge"].says == "bad"
    assert shares["classifier"].says == "good"
    assert shares["classifier"].worth > 0 > shares["judge"].worth
    neighbours = [i for i in told.influences if i.kind == "neighbour"]
    assert neighbours
    assert np.all(np.diff([i.worth for i in neighbours]) <= 0)


def test_effects_are_of_the_verdict_that_was_given_not_of_the_models_own(server):
    """The rule makes the model say "good"; where the pooled verdict is "bad" it speaks against that."""
    told = judge(server, [DECIDES], fused=True).explain({"outputs": "number 34 is vague"}, measure=True)
    rule = told.influences[0]
    assert rule.effect == pytest.approx(-0.6, abs=0.01)
    assert told.feedback.value == "bad"


def test_an_untouched_judge_and_a_failed_judgement_have_nothing_behind_them(server):
    made = judge(server, [DECIDES])
    assert made.with_memory(None).explain({"outputs": "It comes."}, measure=True).influences == ()
    server.answer = lambda body: "no verdict"
    told = made.explain({"outputs": "Another one."}, measure=True)
    assert (told.feedback.value, told.influences, told.measured) == (None, (), 0)
