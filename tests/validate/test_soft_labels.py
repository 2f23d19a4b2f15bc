"""Soft-label scores: equal to scikit-learn and scipy, with their known bounds, defined at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import brier_score_loss, log_loss

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, categories, scale
from judge_opt.validate.soft_labels import soft_scores

MOOD = categories("bad", "mixed", "good")


def draw(n: int, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(5, [0.2, 0.3, 0.5], n)
    p = rng.dirichlet([2, 2, 2], n)
    votes = [{label: c / 5 for label, c in zip(MOOD.labels, row, strict=True) if c} for row in counts]
    judged: list[Judgement] = [
        Scored(
            MOOD.labels[int(row.argmax())], probabilities=dict(zip(MOOD.labels, row.tolist(), strict=True))
        )
        for row in p
    ]
    return counts, p, votes, judged, [str(i // 2) for i in range(n)]


def test_equal_to_scikit_learn_and_scipy_vote_by_vote() -> None:
    counts, p, votes, judged, groups = draw(60)
    found = soft_scores(votes, judged, groups, MOOD, n_boot=200)
    truth = np.concatenate([np.repeat([0, 1, 2], row) for row in counts])
    each = np.repeat(p, 5, axis=0)
    assert found.log_loss.value == pytest.approx(log_loss(truth, each))
    assert found.brier.value == pytest.approx(
        brier_score_loss(truth, each, labels=[0, 1, 2], scale_by_half=False)
    )
    js = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(p, counts / 5, strict=True)]
    assert found.jensen_shannon.value == pytest.approx(np.mean(js))
    assert found.log_loss.low < found.log_loss.value < found.log_loss.high
    assert (found.n, found.log_loss.n_groups) == (60, 30)


def test_the_raters_own_distribution_is_the_best_there_is() -> None:
    _, _, votes, judged, groups = draw(40)
    full = [{label: shares.get(label, 0.0) for label in MOOD.labels} for shares in votes]
    perfect = soft_scores(full, [Scored("bad", probabilities=p) for p in full], groups, MOOD, n_boot=0)
    assert perfect.log_loss.value == pytest.approx(perfect.entropy.value)
    assert perfect.brier.value == pytest.approx(perfect.disagreement.value)
    assert perfect.jensen_shannon.value == pytest.approx(0.0, abs=1e-12)
    other = soft_scores(votes, judged, groups, MOOD, n_boot=0)
    assert other.entropy.value == pytest.approx(perfect.entropy.value)
    assert other.log_loss.value > perfect.log_loss.value


def test_nothing_in_common_is_one_bit_and_no_infinity() -> None:
    judged: list[Judgement] = [Scored(True, probabilities={"true": 1.0, "false": 0.0})]
    found = soft_scores([{"false": 1.0}], judged, ["a"], BOOL)
    assert found.jensen_shannon.value == pytest.approx(1.0)
    assert found.brier.value == pytest.approx(2.0)
    assert found.log_loss.value == pytest.approx(-np.log(1e-6))
    assert found.entropy.value == 0.0
    assert found.log_loss.low is None
    assert "one group" in found.log_loss.reason


@pytest.mark.parametrize(
    ("votes", "judged", "value_type", "reason"),
    [
        ([], [], BOOL, "No row has a vote"),
        ([{}], [Scored(True, probabilities={"true": 1.0})], BOOL, "No row has a vote"),
        ([{"true": 1.0}], [Unscored("refused")], BOOL, "No row was scored"),
        ([{"true": 1.0}], [Scored(True)], BOOL, "both votes and label probabilities"),
    ],
)
def test_no_scores_have_a_reason(votes, judged, value_type, reason) -> None:  # type: ignore[no-untyped-def]
    found = soft_scores(votes, judged, ["a"] * len(votes), value_type)
    assert found.n == 0
    assert found.jensen_shannon.value is None
    assert reason in found.reason


def test_bad_distributions_are_refused_by_row() -> None:
    good: list[Judgement] = [Scored(True, probabilities={"true": 0.9, "false": 0.1})]
    with pytest.raises(DataError, match="Row 0: votes sum to 3"):
        soft_scores([{"true": 2, "false": 1}], good, ["a"], BOOL)
    with pytest.raises(DataError, match="Row 0: votes hold 'perhaps'"):
        soft_scores([{"perhaps": 1.0}], good, ["a"], BOOL)
    with pytest.raises(DataError, match=r"Row 0: probabilities sum to 0\.5"):
        soft_scores([{"1": 1.0}], [Scored(1, probabilities={"1": 0.5})], ["a"], scale(1, 5))
    with pytest.raises(DataError, match="different lengths"):
        soft_scores([], good, ["a"], BOOL)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(seed: int, random) -> None:  # type: ignore[no-untyped-def]
    _, _, votes, judged, groups = draw(12, seed)
    order = list(range(12))
    random.shuffle(order)
    first = soft_scores(votes, judged, groups, MOOD, n_boot=50)
    moved = soft_scores(
        [votes[i] for i in order], [judged[i] for i in order], [groups[i] for i in order], MOOD, n_boot=50
    )
    for name in ("log_loss", "brier", "jensen_shannon"):
        a, b = getattr(first, name), getattr(moved, name)
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
        assert a.value >= 0
