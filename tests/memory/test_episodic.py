"""Episodic memory inside a judge: what is found, what is shown, and that only the set of examples counts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from episodes import DIMENSION, EMBEDDER, LABELS, WordEmbedder, episode, matrix, vector
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, IntegrityError
from judge_opt.core.values import majority
from judge_opt.labels.examples import Vote
from judge_opt.memory.episode import Cut, Episode
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.memory import Memory
from judge_opt.memory.stored import dump_memory, load_memory
from judge_opt.memory.vectors import ItemEmbedder

ALL = [episode(i) for i in range(60)]


def memory(episodes):
    vectors = matrix(episodes) if episodes else np.zeros((0, DIMENSION), np.float32)
    return EpisodicMemory(episodes, vectors, EMBEDDER)


def stored(episodic):
    """The bytes of the episodic part."""
    state, blobs = dump_memory(Memory(LABELS, "local:/x", {"outputs": 1.0}, episodic))
    return json.dumps(state["episodes"]), blobs


changes = st.lists(
    st.tuples(st.sampled_from(["plus", "minus", "update"]), st.sets(st.integers(0, 59), max_size=12)),
    max_size=12,
)


@given(changes)
def test_only_the_set_of_examples_counts_and_not_how_it_came_about(steps):
    """Any history of additions, updates and removals, against a memory that was made at once."""
    grown, there = memory([]), {}
    for step, numbers in steps:
        chosen = [ALL[i] for i in sorted(numbers, reverse=True)]
        if step == "minus":
            grown = grown.minus(e.id for e in chosen)
            there = {id: e for id, e in there.items() if id not in {c.id for c in chosen}}
        else:
            if step == "update":
                chosen = [replace(e, missed=True, rationale="said again") for e in chosen]
            grown = grown.plus(memory(chosen))
            there |= {e.id: e for e in chosen}
    made = memory(list(there.values()))
    assert stored(grown) == stored(made)
    assert list(grown.ids()) == sorted(there)
    query = vector("item 3 about thing 3")
    assert grown.nearest(query, 7) == made.nearest(query, 7)
    assert grown.examples(query, 3) == made.examples(query, 3)


@given(st.sets(st.integers(0, 59), min_size=1), st.sets(st.integers(0, 59)))
def test_what_is_removed_leaves_no_byte(kept, added):
    without = memory([ALL[i] for i in kept])
    extra = [ALL[i] for i in added - kept]
    assert stored(without.plus(memory(extra)).minus(e.id for e in extra)) == stored(without)


@given(st.permutations(range(30)))
def test_the_order_of_arrival_does_not_matter(order):
    assert stored(memory([ALL[i] for i in order])) == stored(memory(ALL[:30]))


@given(st.integers(0, 59), st.integers(1, 20), st.floats(-1, 1))
def test_nearest_is_what_sorting_all_gives(number, k, floor):
    whole = memory(ALL)
    query = vector(f"item {number} thing")
    exact = np.round(whole.vectors.astype(np.float64) @ query.astype(np.float64), 5)
    wanted = sorted(((i, s) for i, s in enumerate(exact) if s >= floor), key=lambda pair: (-pair[1], pair[0]))
    found = whole.nearest(query, k, floor=floor)
    assert [i for i, _ in found] == [i for i, _ in wanted[:k]]
    assert [s for _, s in found] == pytest.approx([s for _, s in wanted[:k]], abs=1.1e-5)
    assert all(s >= floor for _, s in found)


@given(st.integers(0, 59), st.integers(1, 8))
def test_an_items_own_group_is_never_found(number, k):
    whole = memory(ALL)
    for found in (
        whole.nearest(whole.vectors[number], k, not_group=ALL[number].group),
        whole.examples(whole.vectors[number], k, not_group=ALL[number].group, floor=-1),
    ):
        assert len(found) == k
        assert ALL[number].group not in {whole.episode(i).group for i, _ in found}


def test_a_group_of_everything_leaves_nothing():
    rows = [episode(i, group="one") for i in range(30)]
    assert memory(rows).nearest(vector("item"), 5, not_group="one") == []
    assert memory([]).nearest(vector("item"), 5) == []


def test_equal_similarities_are_ordered_by_id_also_where_not_all_fit():
    twins = [episode(i, text="the very same words") for i in range(300)]
    others = [episode(i) for i in range(300, 400)]
    found = memory(others + twins[::-1]).nearest(vector("the very same words"), 4)
    assert [i for i, _ in found] == [0, 1, 2, 3]
    assert {s for _, s in found} == {1.0}


def test_nothing_is_better_than_something_irrelevant():
    whole = memory([episode(0, "alpha beta"), episode(1, "alpha gamma")])
    assert whole.examples(-vector("alpha"), 2) == []
    assert len(whole.examples(vector("alpha"), 2)) == 2


# Vectors by hand: the query is the first axis, the second coordinate makes examples differ.
def placed(*rows):
    """(similarity, second coordinate, label, missed, rationale) each."""
    made, vectors = [], []
    for i, (near, aside, label, missed, rationale) in enumerate(rows):
        votes = [Vote("ann", label, rationale)]
        made.append(Episode.of_votes(f"e{i}", f"g{i}", {"outputs": f"t{i}"}, votes, LABELS, missed=missed))
        rest = np.sqrt(max(0.0, 1 - near**2 - aside**2))
        place = np.zeros(DIMENSION, np.float32)
        place[0], place[1], place[2 + i] = near, aside, rest
        vectors.append(place)
    return EpisodicMemory(made, np.stack(vectors), EMBEDDER)


QUERY = np.eye(1, DIMENSION, dtype=np.float32)[0]


def shown(whole, k, **settings):
    return [i for i, _ in whole.examples(QUERY, k, **settings)]


def test_the_same_thing_is_not_shown_twice():
    whole = placed(
        (0.8, 0.6, "good", False, None), (0.79, 0.61, "good", False, None), (0.76, -0.6, "good", False, None)
    )
    assert shown(whole, 2) == [0, 2]
    assert shown(whole, 2, diversity=0) == [0, 1]


def test_among_about_equally_near_ones_a_miss_with_its_reason_comes_first():
    rows = [
        (0.80, 0, "good", False, "plain"),
        (0.795, 0, "good", True, None),
        (0.79, 0, "good", True, "because"),
    ]
    assert shown(placed(*rows), 1) == [2]
    assert shown(placed(*rows[:2]), 1) == [1]
    assert shown(placed(*rows), 1, informative=0) == [0]
    far = placed((0.80, 0, "good", False, None), (0.70, 0, "good", True, "because"))
    assert shown(far, 1) == [0], "informative is for about equally near ones only"


def test_labels_are_balanced_among_about_equally_near_ones():
    rows = [(0.80, 0, "good", False, None), (0.79, 0, "good", False, None), (0.78, 0, "bad", False, None)]
    assert shown(placed(*rows), 2) == [0, 2]
    assert shown(placed(*rows), 2, balance=0) == [0, 1]
    rows[2] = (0.6, 0, "bad", False, None)
    assert shown(placed(*rows), 2) == [0, 1]


def test_what_is_shown_is_ordered_by_similarity():
    found = memory(ALL).examples(vector("item 3 about thing 3"), 5)
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)


def test_a_long_example_does_not_keep_a_short_one_out_of_the_budget():
    whole = memory([episode(0, "alpha beta " + "x" * 4000), episode(1, "alpha gamma")])
    holder = Memory(LABELS, "local:/x", {"outputs": 1.0}, whole, shots=2, token_budget=200)
    recall = holder.recall(vector("alpha"))
    assert [e.id for e, _ in recall.shown] == ["e00001"]
    assert recall.left_out == 1


def test_two_examples_of_one_id_and_foreign_vectors_are_refused():
    with pytest.raises(DataError, match="Two examples have the id 'e00001'"):
        memory([episode(1), episode(1, "other")])
    with pytest.raises(IntegrityError, match="2 examples but 1 vectors"):
        EpisodicMemory([episode(1), episode(2)], matrix([episode(1)]), EMBEDDER)
    foreign = EpisodicMemory([episode(2)], matrix([episode(2)]), "another")
    with pytest.raises(IntegrityError, match="embedded with another") as caught:
        memory([episode(1)]).plus(foreign)
    assert caught.value.remedy


# -- long texts ----------------------------------------------------------------------------------------------

WORDS = " ".join(f"w{i}" for i in range(30))  # three pieces of the embedder's twelve words


def test_a_long_text_is_embedded_in_pieces_and_the_example_says_so():
    space = ItemEmbedder(embedder := WordEmbedder(), ["outputs"])
    whole = EpisodicMemory.remember([episode(0, WORDS), episode(1, "short")], space)
    assert whole.episode(0).cuts == {"outputs": Cut(chars=len(WORDS), pieces=3, embedded=3)}
    assert whole.episode(1).cuts == {}
    assert len(embedder.asked) == 4
    mean = sum(len(piece) * vector(piece).astype(np.float64) for piece in embedder.pieces(WORDS))
    np.testing.assert_allclose(whole.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_very_long_text_is_truncated_and_the_example_says_so():
    space = ItemEmbedder(WordEmbedder(), ["outputs"], pieces=2)
    whole = EpisodicMemory.remember([episode(0, WORDS)], space)
    assert whole.episode(0).cuts == {"outputs": Cut(len(WORDS), pieces=3, embedded=2)}
    assert space.embedder.asked == [WordEmbedder().pieces(WORDS)[i] for i in (0, 2)], "first and last"


def test_the_record_of_a_long_text_is_stored_and_its_queries_are_cut_alike():
    space = ItemEmbedder(WordEmbedder(), ["outputs"], pieces=2)
    holder = Memory(LABELS, "local:/x", {"outputs": 1.0}, EpisodicMemory.remember([episode(0, WORDS)], space))
    state, blobs = dump_memory(holder)
    loaded = load_memory(json.loads(json.dumps(state)), blobs, LABELS)
    assert loaded.episodic.episode(0) == holder.episodic.episode(0)
    query = loaded.item_embedder(WordEmbedder()).embed([{"outputs": WORDS}])[0]
    assert query.tobytes() == holder.episodic.vectors[0].tobytes()


def test_a_memory_of_a_release_without_pieces_truncates_its_queries_as_it_did():
    state, blobs = dump_memory(Memory(LABELS, "local:/x", {"outputs": 1.0}, memory(ALL[:3])))
    del state["pieces"]
    loaded = load_memory(state, blobs, LABELS)
    embedder = WordEmbedder()
    loaded.item_embedder(embedder).embed([{"outputs": WORDS}])
    assert embedder.asked == [WORDS], "the model itself reads its beginning"


# -- several raters ------------------------------------------------------------------------------------------


def of(*votes):
    return Episode.of_votes("e", "g", {"outputs": "x"}, votes, LABELS)


def test_several_raters_are_one_example_with_their_votes_and_reasons():
    made = of(
        Vote("cy", "bad", "too short", "3"), Vote("bo", "good", None, "2"), Vote("al", "good", "warm", "1")
    )
    assert (made.gold, made.votes, made.rationale) == ("good", {"bad": 1, "good": 2}, "warm")
    assert made.soft == {"bad": pytest.approx(1 / 3), "good": pytest.approx(2 / 3)}
    assert [(v.rater, v.value, v.rationale) for v in made.ballots] == [
        ("al", "good", "warm"), ("bo", "good", None), ("cy", "bad", "too short"),
    ]  # fmt: skip
    assert made.sources == ("1", "2", "3")
    assert Episode.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_departed_rater_takes_the_vote_along_and_the_example_where_it_stands_on_nothing():
    made = of(Vote("al", "good", "warm", "1"), Vote("bo", "bad", "cold", "2"), Vote("cy", "bad", None, "3"))
    left = made.keeping(lambda vote: vote.rater != "bo", LABELS)
    assert left is None, "one against one is no majority"
    left = made.keeping(lambda vote: vote.rater == "al", LABELS)
    assert (left.gold, left.votes, left.rationale, left.sources) == ("good", {"good": 1}, "warm", ("1",))
    assert made.keeping(lambda vote: False, LABELS) is None
    assert made.keeping(lambda vote: True, LABELS) is made
    old = replace(made, ballots=())
    with pytest.raises(DataError, match="did not keep single votes"):
        old.keeping(lambda vote: False, LABELS)


@given(
    st.lists(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=4), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_without_a_rater_a_memory_is_one_that_never_had_the_rater(ballots, gone):
    def whole(raters):
        rows = []
        for i, values in enumerate(ballots):
            votes = [Vote(str(r), v, f"{r} says", f"a{i}-{r}") for r, v in enumerate(values) if r in raters]
            if majority([v.value for v in votes]) is not None:
                rows.append(Episode.of_votes(f"e{i}", "g", {"outputs": f"text {i}"}, votes, LABELS))
        return memory(rows)

    everybody = whole(range(4))
    left = everybody.keeping(lambda vote: vote.rater != str(gone), LABELS)
    never = whole(set(range(4)) - {gone})
    # A tie of all that one vote less resolves was never an example, and is none now.
    assert stored(left) == stored(never.minus(set(never.ids()) - set(everybody.ids())))


def test_two_votes_of_one_rater_and_a_tie_are_refused():
    with pytest.raises(DataError, match="several votes of rater 'al'"):
        of(Vote("al", "good"), Vote("al", "bad"), Vote("bo", "bad"))
    with pytest.raises(DataError, match="no majority among its 2 votes"):
        of(Vote("al", "good"), Vote("bo", "bad"))
