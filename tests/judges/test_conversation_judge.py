"""Judges of whole conversations: asked, saved and aligned like any other."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from judge_opt.align.memalign import MemAlign
from judge_opt.core.errors import DataError
from judge_opt.judges.make import make_judge
from judge_opt.judges.sessions import session_examples
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces.schema import Trace
from judge_opt.traces.store import Store

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=20.0, deadline=40.0)
START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = "A conversation that ends with thanks of the user shows that the user was helped."


def answer(body):
    """The endpoint's own taste: an apology helps. It follows the rule when it is told."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    if "rules" in schema.get("properties", {}):
        return json.dumps({"rules": [RULE]})
    said = body["messages"][-1]["content"]
    word = "thank you" if RULE in body["messages"][0]["content"] else "sorry"
    return json.dumps({"rationale": "So it seems.", "verdict": "yes" if word in said else "no"})


@pytest.fixture
def server():
    with FaultServer(
        answer=answer, embed=lambda text: [1.0 if "thank you" in text else -1.0, 0.4, 0.2, 0.1]
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path / "home", retry=QUICK) as made, use_session(made):
        yield made


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "lab.db") as made:
        yield made


@pytest.fixture
def judge(server):
    return make_judge(
        "helped", "Was the user in {{ conversation }} helped?", "openai:/any", bool, base_url=server.base_url
    )


def talk(i, *turns):
    """One session: a trace for each question and answer."""
    return [
        Trace(
            id=f"t{i:02}-{n}",
            inputs={"question": question},
            outputs={"answer": reply},
            session=f"s{i:02}",
            created=START + timedelta(hours=i, minutes=n),
        )
        for n, (question, reply) in enumerate(turns)
    ]


def talks(store, count):
    """Sessions in which thanks and apologies have nothing to do with each other; people label by thanks."""
    for i in range(count):
        thanks, apology = i % 2 == 0, i % 4 < 2
        end = "thank you" if thanks else "this does not help"
        traces = talk(i, (f"My parcel {i} is lost", "I am sorry" if apology else "I see"), (end, "Good bye"))
        store.add_traces(traces)
        store.log_feedback(traces[-1].id, "helped", thanks, rationale="Look at the end.", rater="ann")


def test_a_session_is_judged_as_numbered_turns(judge, server):
    feedback = judge(session=talk(1, ("Hi", "Hello"), ("Help", "I am sorry")))
    assert feedback.value is True
    sent = server.requests[-1].body["messages"][-1]["content"]
    assert sent == (
        "<conversation>\n1 user: Hi\n2 assistant: Hello\n3 user: Help\n4 assistant: I am sorry\n</conversation>"
    )


def test_messages_are_judged_and_a_path_reaches_into_them(server):
    judge = make_judge(
        "x", "Is {{ conversation[0].content }} kind?", "openai:/any", bool, base_url=server.base_url
    )
    judge(conversation=[{"role": "user", "content": "sorry\nyou"}, {"role": "assistant", "content": "no"}])
    assert server.requests[-1].body["messages"][-1]["content"].split("\n")[1:3] == ["sorry", "you"]


def test_what_was_cut_stands_in_the_metadata(judge, server):
    turns = [{"role": "user", "content": f"turn {i} " + "x" * 400} for i in range(200)]
    feedback = judge(conversation=turns)
    (gap,) = [one for one in feedback.metadata["cut"] if one["unit"] == "turns"]
    assert (
        f"turns {gap['where'].removeprefix('turns ')} cut"
        in server.requests[-1].body["messages"][-1]["content"]
    )
    assert json.loads(json.dumps(feedback.metadata["cut"])) == feedback.metadata["cut"]


def test_sessions_become_labelled_rows(store):
    talks(store, 3)
    store.add_trace(Trace(id="alone", inputs="Hm?", outputs="Yes."))
    store.log_feedback("alone", "helped", False, rater="bob")
    store.log_feedback("t00-0", "helped", False, rater="bob")
    store.log_feedback("t00-0", "helped", False, rater="ann")  # newer than her word on the last trace
    store.log_expectation("t00-1", "tone", "kind", rater="ann")
    rows = {row.id: row for row in session_examples(store, "helped", bool)}
    assert sorted(rows) == ["alone", "s00", "s01", "s02"]
    assert [(v.rater, v.value) for v in rows["s00"].votes] == [("ann", False), ("bob", False)]
    assert rows["s00"].fields["expectations"] == {"tone": "kind"}
    assert [m["content"] for m in rows["s01"].fields["conversation"]] == [
        "My parcel 1 is lost", "I am sorry", "this does not help", "Good bye",
    ]  # fmt: skip
    assert session_examples(list(store.iter_traces()), "helped", bool) == list(rows.values())


def test_a_misspelt_label_is_named(store):
    talks(store, 2)
    with pytest.raises(DataError, match="Did you mean 'helped'"):
        session_examples(store, "helpd", bool)
    with pytest.raises(DataError, match="'helped'"):
        session_examples(list(store.iter_traces()), "helpd", bool)


def test_it_is_aligned_like_any_other_judge(judge, store, server):
    talks(store, 28)
    rows = session_examples(store, "helped", bool)
    result = MemAlign(concurrency=4, embedder="openai:/embed").align(judge, rows)
    assert result.changed
    told = [result.judge(conversation=row.fields["conversation"]).value for row in rows]
    assert told == [row.gold for row in rows]
    state, blobs = dump_judge(result.judge)
    again = load_judge(json.loads(json.dumps(state)), blobs)
    before = server.completions
    assert [again(conversation=row.fields["conversation"]).value for row in rows] == told
    assert server.completions == before


def test_labelled_traces_are_put_together_by_their_sessions(judge, store):
    talks(store, 12)
    given = []

    class Recorder:
        def align(self, judge, rows, **_):
            given.extend(rows)
            return judge

    assert judge.align(list(store.iter_traces()), Recorder()) is judge
    assert given == session_examples(store, "helped", bool)
    assert all("conversation" in row.fields for row in given)
