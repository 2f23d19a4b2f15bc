"""Selective judging: the curve by hand, the guarantee by simulation, and what cannot be certified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.validate.selective import accept_threshold, risk_coverage, rows_needed


def judgements(confidence, right):  # type: ignore[no-untyped-def]
    return [Scored(bool(r), confidence=float(c)) for c, r in zip(confidence, right, strict=True)]


def test_the_curve_by_hand() -> None:
    judged: list[Judgement] = judgements([0.9, 0.9, 0.8, 0.6], [1, 1, 0, 1])
    curve = risk_coverage([True] * 6, [*judged, Unscored("refused"), Scored(True)])
    assert [(p.threshold, p.n, p.agreement) for p in curve.points] == [
        (0.9, 2, 1.0), (0.8, 3, pytest.approx(2 / 3)), (0.6, 4, 0.75),
    ]  # fmt: skip
    assert [p.coverage for p in curve.points] == pytest.approx([2 / 6, 3 / 6, 4 / 6])
    assert curve.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert (curve.points[2].low, curve.points[2].high) == pytest.approx(
        proportion_confint(3, 4, method="wilson")
    )
    assert (curve.n_rows, curve.n_usable) == (6, 4)


def test_confidence_without_worth_has_the_error_rate_as_its_area() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(4000) < 0.8
    assert risk_coverage([True] * 4000, judgements(rng.random(4000), right)).area == pytest.approx(
        0.2, abs=0.03
    )
    assert risk_coverage([True] * 100, judgements([0.5] * 100, right[:100])).area == pytest.approx(
        1 - right[:100].mean()
    )


def test_rows_needed_is_the_rule_of_small_numbers() -> None:
    """0 errors certify 90 % at delta .1 from 22 rows on: .9^22 = .098 (SCIENCE.md, section 3b)."""
    assert rows_needed(0.9, 0.1) == 22
    assert rows_needed(0.95, 0.05) == 59
    assert (
        stats.binom.cdf(1, rows_needed(0.9, 0.1, 1), 0.1)
        <= 0.1
        < stats.binom.cdf(1, rows_needed(0.9, 0.1, 1) - 1, 0.1)
    )


def test_a_sure_judge_is_trusted_where_it_is_sure() -> None:
    rng = np.random.default_rng(1)
    sure = rng.random(600)
    right = rng.random(600) < 0.6 + 0.4 * sure
    rule = accept_threshold([True] * 600, judgements(sure, right), target=0.85)
    assert rule.threshold is not None
    assert 0.3 < rule.coverage < 0.95
    assert rule.low >= 0.85
    assert rule.low == pytest.approx(
        proportion_confint(rule.n_accepted - rule.errors, rule.n_accepted, alpha=0.2, method="beta")[0]
    )
    assert rule.accepts(Scored(True, confidence=rule.threshold))
    assert not rule.accepts(Scored(True, confidence=rule.threshold - 1e-9))
    assert not rule.accepts(Scored(True))
    assert not rule.accepts(Unscored("empty"))


@pytest.mark.parametrize("target", [0.8, 0.9])
def test_the_guarantee_holds(target: float) -> None:
    """Agreement above a confidence c is .5 + .25 (1 + c), so the truth is known. 1,500 calibration sets: at
    most 10 % of the thresholds are too loose, but for the simulation's own error (3 standard errors)."""
    rng = np.random.default_rng(2)
    wrong = found = 0
    for _ in range(1500):
        sure = rng.random(200)
        rule = accept_threshold(
            [True] * 200, judgements(sure, rng.random(200) < 0.5 + 0.5 * sure), target=target
        )
        found += rule.threshold is not None
        wrong += rule.threshold is not None and 0.5 + 0.25 * (1 + rule.threshold) < target
    assert found > 600
    assert wrong / 1500 <= 0.1 + 3 * (0.09 / 1500) ** 0.5


def test_rows_of_a_group_count_once() -> None:
    judged = judgements([0.9] * 100, [1] * 100)
    assert accept_threshold([True] * 100, judged, target=0.9).threshold == 0.9
    crowded = accept_threshold([True] * 100, judged, target=0.9, groups=[str(i // 10) for i in range(100)])
    assert crowded.threshold is None
    assert crowded.n_tested == 10
    assert "22 without any error" in crowded.reason


@pytest.mark.parametrize(
    ("judged", "reason"),
    [
        ([], "No row was scored"),
        ([Unscored("refused")] * 50, "No row was scored"),
        ([Scored(True)] * 50, "no confidence"),
        ([Scored(True, confidence=0.9)], "1 independent rows"),
        ([Scored(False, confidence=0.9)] * 50, "do not show 90 %"),
    ],
)
def test_no_certificate_without_evidence(judged: list[Judgement], reason: str) -> None:
    rule = accept_threshold([True] * len(judged), judged, target=0.9)
    assert rule.threshold is None
    assert reason in rule.reason
    assert not any(rule.accepts(j) for j in judged)


@pytest.mark.parametrize("wanted", [{"target": 1.0}, {"target": 0.9, "delta": 0.0}])
def test_impossible_wishes_are_refused(wanted: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        accept_threshold([True], [Scored(True)], **wanted)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=80), st.randoms())
def test_row_order_changes_nothing(data, random) -> None:  # type: ignore[no-untyped-def]
    moved = list(data)
    random.shuffle(moved)
    both = [judgements([c / 5 for c, _ in d], [r for _, r in d]) for d in (data, moved)]
    gold = [True] * len(data)
    assert risk_coverage(gold, both[0]) == risk_coverage(gold, both[1])
    first, again = (accept_threshold(gold, j, target=0.7) for j in both)
    assert first == again
