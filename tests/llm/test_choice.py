"""Probabilities of whole answers through the tree of their tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.llm.choice import answer_probabilities


def asked(odds_at):
    calls = []

    def next_token(path, among):
        calls.append((path, tuple(among)))
        given = {t: odds_at.get((path, t), 1.0) for t in among}
        total = sum(given.values())
        return {t: p / total for t, p in given.items()}

    return next_token, calls


def test_one_branching_point_is_one_forward_pass():
    next_token, calls = asked({((7, 8), 1): 3.0})
    found = answer_probabilities([(7, 8, 1, 9), (7, 8, 2, 9)], next_token)
    assert found == [0.75, 0.25]
    assert calls == [((7, 8), (1, 2))]


def test_labels_that_share_their_first_token_are_told_apart_later():
    next_token, calls = asked({((), 1): 1.0, ((), 5): 1.0, ((1,), 2): 3.0})
    assert answer_probabilities([(1, 2), (1, 3), (5, 6)], next_token) == pytest.approx([0.375, 0.125, 0.5])
    assert len(calls) == 2


def test_long_labels_are_not_punished_for_their_length():
    next_token, _ = asked({})
    assert answer_probabilities([(1,), (2, 3, 4, 5, 6)], next_token) == [0.5, 0.5]


@given(st.sets(st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=2, max_size=8))
def test_probabilities_sum_to_one(answers):
    closed = [(*answer, 9) for answer in sorted(answers)]
    next_token, _ = asked({})
    assert sum(answer_probabilities(closed, next_token)) == pytest.approx(1.0)


def test_equal_answers_and_prefixes_are_refused():
    next_token, _ = asked({})
    with pytest.raises(ValueError, match="prefix"):
        answer_probabilities([(1, 2), (1,)], next_token)
    with pytest.raises(ValueError, match="prefix"):
        answer_probabilities([(1, 2), (1, 2)], next_token)
