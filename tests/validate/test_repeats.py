"""Repeats, juries and both orders: what a judge is worth beside one pass of one judge."""

import numpy as np
import pytest

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, preference
from judge_opt.validate import below_floor, jury_worth, position_figures, stability

RNG = np.random.default_rng(3)
N = 300
GOLD = [bool(x) for x in RNG.random(N) < 0.6]
GROUPS = [str(i // 3) for i in range(N)]


def noisy(flip: float, base: list[bool] | None = None) -> list[Judgement]:
    return [Scored(v != (RNG.random() < flip)) for v in (base or GOLD)]


def test_a_steady_judge_never_wavers() -> None:
    judged = noisy(0.2)
    found = stability([judged, judged, judged], GROUPS, BOOL, gold=list(GOLD))
    assert (found.same.value, found.alpha.value, found.wavering, found.floor) == (1.0, 1.0, 0.0, 0.0)
    assert found.same.low is not None
    assert found.same.low < 1.0


def test_the_noise_floor_is_what_two_passes_differ_by() -> None:
    """A judge that flips 15 % of its verdicts anew each time: the floor holds 95 % of the differences."""
    repeats = [noisy(0.15) for _ in range(4)]
    found = stability(repeats, GROUPS, BOOL, gold=list(GOLD), metric="agreement")
    assert found.floor is not None
    assert found.same.value == pytest.approx(0.85**2 + 0.15**2, abs=0.04)
    gaps = []
    for _ in range(200):
        one, other = noisy(0.15), noisy(0.15)
        score = [np.mean([j.value == g for j, g in zip(x, GOLD, strict=True)]) for x in (one, other)]  # type: ignore[union-attr]
        gaps.append(abs(score[0] - score[1]))
    assert np.mean(np.array(gaps) <= found.floor) == pytest.approx(0.95, abs=0.05)
    assert below_floor(0.01, found)
    assert not below_floor(0.2, found)


def test_what_cannot_be_said_of_repeats_has_a_reason() -> None:
    nothing: list[Judgement] = [Unscored("timeout")] * N
    found = stability([noisy(0.1), nothing], GROUPS, BOOL, gold=list(GOLD))
    assert found.n_rows == 0
    assert found.same.value is None
    assert found.reason
    assert found.n_unscored == N
    with pytest.raises(UsageError, match="2 or more"):
        stability([nothing], GROUPS, BOOL)


def test_copies_are_one_vote_and_strangers_are_many() -> None:
    one = noisy(0.3)
    copies = jury_worth(GOLD, {"a": one, "b": one, "c": one}, GROUPS, BOOL)
    assert copies.effective.value == pytest.approx(1.0)
    strangers = jury_worth(GOLD, {name: noisy(0.3) for name in "abcde"}, GROUPS, BOOL)
    assert strangers.effective.value == pytest.approx(5.0, abs=1.2)
    assert strangers.effective.low is not None
    assert strangers.effective.high is not None
    assert strangers.effective.low <= (strangers.effective.value or 0) <= strangers.effective.high
    assert (strangers.majority.value or 0) > (strangers.best_agreement.value or 1)


def test_the_correlation_is_numpys() -> None:
    judges = {name: noisy(0.3) for name in "abc"}
    found = jury_worth(GOLD, judges, GROUPS, BOOL, n_boot=0)
    wrong = np.array([[j.value != g for j, g in zip(said, GOLD, strict=True)] for said in judges.values()])  # type: ignore[union-attr]
    rho = np.corrcoef(wrong.astype(float))
    assert found.correlation.value == pytest.approx((rho.sum() - 3) / 6)


def test_a_judge_that_is_always_right_has_no_correlation() -> None:
    right: list[Judgement] = [Scored(g) for g in GOLD]
    found = jury_worth(GOLD, {"right": right, "other": noisy(0.3)}, GROUPS, BOOL)
    assert found.left_out == ["right"]
    assert found.effective.value is None
    assert found.reason


def test_the_first_place_is_found() -> None:
    """A judge that says what stands first on a quarter of the pairs, and the better one on the others."""
    pair = preference("A", "B")
    gold = ["A" if g else "B" for g in GOLD]
    lazy = RNG.random(N) < 0.25
    as_given: list[Judgement] = [Scored("A" if z else g) for z, g in zip(lazy, gold, strict=True)]
    exchanged: list[Judgement] = [Scored("B" if z else g) for z, g in zip(lazy, gold, strict=True)]
    found = position_figures(as_given, exchanged, GROUPS, pair, gold=list(gold))
    assert found.consistent.value == pytest.approx(1 - lazy.mean())
    assert found.first.value == pytest.approx(lazy.mean())
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert found.agreement_both is not None
    assert found.agreement_both.value == pytest.approx(1 - lazy.mean())
    with pytest.raises(UsageError, match="order"):
        position_figures(noisy(0.1), noisy(0.1), GROUPS, BOOL)
