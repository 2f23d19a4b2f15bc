"""Labels that are taken back leave nothing behind, and take nothing else with them."""

import json

import learned
import pytest
from episodes import EMBEDDER, LABELS
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import NotFound, UsageError
from judge_opt.judges.make import make_judge
from judge_opt.memory.forgetting import forget
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.stored import dump_memory


def written(memory):
    state, blobs = dump_memory(memory)
    return json.dumps(state, sort_keys=True), blobs


@given(st.sets(st.integers(0, 15), min_size=1, max_size=15))
@settings(max_examples=15, deadline=None)
def test_what_is_left_is_byte_for_byte_a_memory_that_never_had_the_examples(gone):
    left = forget(learned.memory(range(16)), traces={f"e{i:02}" for i in gone})
    assert written(left) == written(learned.memory([i for i in range(16) if i not in gone]))


def test_one_vote_goes_and_the_others_stay():
    whole = learned.memory(range(16))
    left = forget(whole, assessments={"bo2"})
    assert len(left.episodic) == 16
    assert [v.rater for v in left.episodic.episodes[2].ballots] == ["ann", "cid"]
    assert "contrary 2" not in written(left)[0]
    assert "contrary 3" in written(left)[0]


def test_all_votes_of_a_rater_go_everywhere():
    left = forget(learned.memory(range(16)), raters={"bo"})
    assert {v.rater for e in left.episodic.episodes for v in e.ballots} == {"ann", "cid"}
    assert "contrary" not in written(left)[0]
    assert "bo1" not in written(left)[0]


def test_an_example_without_a_majority_among_the_votes_that_are_left_goes():
    left = forget(learned.memory(range(16)), assessments={"cid1"})
    assert "e01" not in {e.id for e in left.episodic.episodes}
    assert "e01" not in written(left)[0]


def test_a_label_that_turns_round_says_anew_whether_the_judge_missed_it():
    left = forget(learned.memory(range(16)), assessments={"ann0", "cid0"})
    first = left.episodic.episodes[0]
    assert (first.gold, first.missed) == ("good", False)
    assert learned.example(0).missed


def test_a_guideline_goes_with_the_last_of_its_examples():
    alone = Guideline(f"{learned.RULE} Alone.", ("e00", "e01"))
    shared = Guideline(f"{learned.RULE} Shared.", ("e01", "e05"))
    pinned = Guideline(f"{learned.RULE} Pinned.", ("e00",), pinned=True)
    person = Guideline(f"{learned.RULE} A person's.")
    left = forget(learned.memory(range(16), [alone, shared, pinned, person]), traces={"e00", "e01"})
    assert [(g.text.split(". ")[1], g.sources) for g in left.guidelines] == [
        ("Shared.", ("e05",)),
        ("Pinned.", ()),
        ("A person's.", ()),
    ]


@pytest.mark.parametrize(
    "named", [{"traces": {"e00", "x"}}, {"assessments": {"ann0", "x"}}, {"raters": {"bo", "x"}}]
)
def test_an_unknown_name_changes_nothing(named):
    memory = learned.memory(range(16))
    before = written(memory)
    with pytest.raises(NotFound, match=r"no (trace|assessment|rater) 'x'; nothing was changed"):
        forget(memory, **named)
    assert written(memory) == before


@pytest.fixture
def judge():
    """Its endpoint does not exist: a call would fail."""
    made = make_judge(
        "dated", "Is {{ outputs }} good?", "openai:/none", LABELS, base_url="http://127.0.0.1:9/v1"
    )
    return made.with_memory(learned.memory(range(16)))


def test_taking_everything_back_gives_the_untouched_judge(judge):
    assert judge.unalign([f"e{i:02}" for i in range(16)]).memory is None
    assert judge.unalign(rater=["ann", "cid", "bo"]).memory is None


def test_a_judge_takes_back_by_trace_assessment_or_rater(judge):
    assert len(judge.unalign("e03").memory.episodic) == 15
    assert len(judge.unalign(learned.example(3)).memory.episodic) == 15
    assert len(judge.unalign(assessments=["ann3", "cid3"]).memory.episodic.episodes[3].ballots) == 1
    assert "bo" not in str(judge.unalign(rater="bo").memory.episodic.episodes[0].ballots)
    assert len(judge.memory.episodic) == 16
    assert judge.memory.episodic.embedder == EMBEDDER


def test_naming_nothing_or_a_judge_that_learned_nothing_is_refused(judge):
    with pytest.raises(UsageError, match="Nothing to take back"):
        judge.unalign()
    with pytest.raises(UsageError, match="has learned nothing"):
        judge.with_memory(None).unalign("e01")
