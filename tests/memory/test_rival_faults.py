"""What the rival's episodic memory gets wrong, by the numbers of the list of its faults (docs/memory.md); here each is
right. Its alignment: tests/align/test_rival_faults_of_alignment.py."""

import json
from dataclasses import dataclass

import alignment_world as world
import pytest
from episodes import LABELS, WordEmbedder, episode

from judge_opt.align.memalign import MemAlign
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.labels.examples import Vote
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.memory.episode import Episode
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.memory import Memory
from judge_opt.memory.stored import dump_memory, load_memory
from judge_opt.memory.vectors import ItemEmbedder
from judge_opt.registry.judges import get_judge, register
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces import Store
from judge_opt.traces.schema import Trace

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5.0, deadline=10.0)


@pytest.fixture
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture
def session(tmp_path):
    with Session(tmp_path / "home", retry=QUICK) as session, use_session(session):
        yield session


# -- 1: the label stands in the embedded text, queries are embedded in another form, outputs are ignored ------


def test_01_an_example_and_a_query_of_the_same_item_are_the_same_vector():
    space = ItemEmbedder(WordEmbedder(), ["inputs", "outputs"])
    item = {"inputs": {"q": "what about the refund"}, "outputs": "it comes tomorrow"}
    row = Episode.of_votes("e", "g", item, [Vote("ann", "good", "says when")], LABELS)
    whole = EpisodicMemory.remember([row], space)
    assert space.embed([item])[0].tobytes() == whole.vectors[0].tobytes()
    assert whole.nearest(space.embed([item])[0], 1)[0][1] == 1.0


def test_01_neither_labels_nor_reasons_nor_reprs_are_embedded():
    space = ItemEmbedder(embedder := WordEmbedder(), ["inputs", "outputs"])
    item = {"inputs": {"q": "what about the refund"}, "outputs": "it comes tomorrow"}
    votes = [Vote("ann", "good", "says when"), Vote("bo", "bad", "curt"), Vote("cy", "good", None)]
    EpisodicMemory.remember([Episode.of_votes("e1", "g7", item, votes, LABELS)], space)
    assert embedder.asked == ["q: what about the refund", "it comes tomorrow"]


def test_01_outputs_count():
    space = ItemEmbedder(WordEmbedder(), ["inputs", "outputs"])
    rows = [
        Episode.of_votes(
            text, text, {"inputs": "the same question", "outputs": text}, [Vote("a", label)], LABELS
        )
        for text, label in (("comes on thursday", "good"), ("wait please patiently", "bad"))
    ]
    whole = EpisodicMemory.remember(rows, space)
    for row in rows:
        ((key, _),) = whole.nearest(space.embed([row.parts])[0], 1)
        assert whole.episode(key) == row


def test_01_declared_weights_count():
    items = [{"inputs": "refund", "outputs": "tomorrow"}, {"inputs": "parcel", "outputs": "never"}]
    mixed = {"inputs": "refund", "outputs": "never"}
    for weights, wanted in (({"inputs": 3, "outputs": 1}, 0), ({"inputs": 1, "outputs": 3}, 1)):
        space = ItemEmbedder(WordEmbedder(), ["inputs", "outputs"], weights)
        whole = EpisodicMemory.remember([episode(i, group=str(i)) for i in range(2)], space)
        rows = [Episode(f"e{i}", f"g{i}", item, "good", {"good": 1}) for i, item in enumerate(items)]
        whole = EpisodicMemory.remember(rows, space)
        assert whole.nearest(space.embed([mixed])[0], 1)[0][0] == wanted


# -- 2: raters multiply examples on reload, vote twice, vote after they took it back, or vote "none" -----------


@pytest.fixture
def labelled(tmp_path):
    """A store with one trace that several people rated, in every way that there is."""
    with Store(tmp_path / "lab.db") as store:
        store.add_trace(Trace("t", inputs={"q": "x"}, outputs="y"))
        store.log_feedback("t", "ok", "good", "first thought", rater="ann")
        store.log_feedback("t", "ok", "bad", "second thought", rater="ann")
        store.log_feedback("t", "ok", "bad", "too curt", rater="bo")
        gone = store.log_feedback("t", "ok", "good", "taken back", rater="cy")
        store.retract(gone.id)
        yield store


def of_store(store):
    return [
        Episode.of_votes(e.id, e.group, dict(e.fields), e.votes, LABELS)
        for e in store.labelled_examples("ok", LABELS)
    ]


def test_02_several_raters_of_one_item_are_one_example(labelled):
    (row,) = of_store(labelled)
    assert (row.gold, row.votes) == ("bad", {"bad": 2})
    assert [(v.rater, v.rationale) for v in row.ballots] == [("ann", "second thought"), ("bo", "too curt")]
    assert "taken back" not in json.dumps(row.to_json())
    assert "first thought" not in json.dumps(row.to_json())


def test_02_reloading_multiplies_nothing(labelled):
    space = ItemEmbedder(WordEmbedder(), ["outputs"])
    whole = EpisodicMemory.remember(of_store(labelled), space)
    holder = Memory(LABELS, "local:/x", {"outputs": 1.0}, whole)
    for _ in range(3):
        state, blobs = dump_memory(holder)
        holder = load_memory(json.loads(json.dumps(state)), blobs, LABELS)
        whole = holder.episodic.plus(EpisodicMemory.remember(of_store(labelled), space))
        assert dump_memory(Memory(LABELS, "local:/x", {"outputs": 1.0}, whole)) == (state, blobs)
    assert (len(whole), whole.episode(0).votes) == (1, {"bad": 2})


def test_02_a_rating_that_failed_is_no_label(labelled):
    @dataclass
    class Failed:
        name = "ok"
        value = None
        error = "timeout"
        source_id, source_type = "di", "HUMAN"

    labelled.log_assessment("t", Failed())
    (row,) = of_store(labelled)
    assert row.votes == {"bad": 2}


def test_02_a_rater_who_takes_the_last_vote_back_leaves_no_example(labelled):
    labelled.add_trace(Trace("u", outputs="z"))
    labelled.log_feedback("u", "ok", "good", rater="ann")
    for word in labelled.assessments("t"):
        if word.votes:
            labelled.retract(word.id)
    assert [row.id for row in of_store(labelled)] == ["u"]


# -- 12: registered judges change with the labels, and are embedded again on loading ---------------------------


def test_12_a_registered_judge_does_not_change_with_later_labels(server, session, tmp_path):
    with Store(session.home / "store.db") as store:
        for row in world.rows(40):
            store.add_trace(Trace(row.id, outputs=row.fields["outputs"]))
            store.log_feedback(row.id, "dated", row.gold, row.votes[0].rationale, rater="ann")
        rows = store.labelled_examples("dated", world.LABELS)
        optimizer = MemAlign(embedder="openai:/embed", guidelines=0)
        register(world.judge(server).align(rows, optimizer), home=session.home)
        before = dump_judge(get_judge("dated", home=session.home))
        for row in world.rows(40)[:20]:
            store.log_feedback(row.id, "dated", "bad" if row.gold == "good" else "good", rater="ann")
        store.delete_traces([row.id for row in world.rows(40)[20:]])
    asked = len(server.requests)
    loaded = get_judge("dated", home=session.home)
    assert dump_judge(loaded) == before
    assert len(loaded.memory.episodic) == 40
    assert len(server.requests) == asked, "loading embeds nothing"


# -- 13: labelled content in the system message, prompts without bound ----------------------------------------


def test_13_labelled_content_is_in_user_messages_and_within_the_budget(server, session):
    rows = world.rows(40)
    long = [
        type(row)(row.id, row.group, {"outputs": row.fields["outputs"] + " so" * 9000}, row.votes)
        for row in rows[:5]
    ]
    optimizer = MemAlign(embedder="openai:/embed", guidelines=0, fusion=False, token_budget=500)
    state, blobs = dump_judge(optimizer.align(world.judge(server), [*long, *rows[5:]]).judge)
    judge = load_judge(state, blobs)
    assert judge.memory.shots
    for row in world.rows(10, seed=4):
        server.requests.clear()
        judge(outputs=row.fields["outputs"])
        (body,) = [r.body for r in server.requests if "messages" in (r.body or {})]
        system, *turns = body["messages"]
        assert system["role"] == "system"
        texts = [e.parts["outputs"] for e in judge.memory.episodic.episodes]
        assert not any(text in system["content"] for text in texts)
        shown = [t for t in turns[:-1] if any(text in t["content"] for text in texts)]
        assert shown
        assert {t["role"] for t in shown} == {"user"}
        assert sum(len(t["content"]) for t in turns[:-1]) < 4 * 500 + 600  # the answers' JSON is not counted
    near = judge.embed([{"outputs": long[0].fields["outputs"]}])[0]
    recall = judge.memory.recall(near)
    assert recall.left_out >= 1
    assert sum(len(e.parts["outputs"]) for e, _ in recall.shown) <= 4 * 500
