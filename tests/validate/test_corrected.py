"""Corrected estimates: equal to published examples and second implementations, and defined at the edges."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, categories, scale
from judge_opt.validate.corrected import corrected_mean, corrected_rate, transferred_rate
from judge_opt.validate.prediction_powered import beta_interval, rogan_gladen

LABELS = [5, 4, 4, 5, 3, 4, 5, 2, 1, 2, 2, 5, 5, 1, 3, 5, 1, 4, 1, 3]
LABELS += [5, 2, 2, 2, 4, 2, 5, 3, 3, 3, 3, 3, 3, 5, 5, 4, 4, 4, 2, 5]
VERDICTS = [5, 3, 5, 4, 4, 4, 4, 1, 1, 1, 1, 5, 5, 1, 4, 5, 2, 4, 1, 3]
VERDICTS += [4, 2, 2, 1, 5, 1, 4, 2, 4, 4, 4, 2, 4, 5, 5, 3, 4, 5, 2, 4]


def rows(labelled: list[tuple[bool, bool]], only_judged: list[bool]):  # type: ignore[no-untyped-def]
    gold = [label for label, _ in labelled] + [None] * len(only_judged)
    judged: list[Judgement] = [Scored(v) for v in [v for _, v in labelled] + only_judged]
    return gold, judged, [str(i) for i in range(len(gold))]


def test_ppi_equals_the_authors_package() -> None:
    """ppi-python 0.2.3: ppi_mean_pointestimate 3.21886398 and ppi_mean_ci (2.97902454, 3.45870343) on these
    labels and verdicts, with the other verdicts drawn by numpy's generator with seed 7. The authors divide by
    n and take the normal quantile; we divide by n - 1 and take Student's t."""
    rng = np.random.default_rng(7)
    rng.integers(1, 6, 40), rng.integers(-1, 2, 40)
    others = rng.integers(1, 6, 400)
    gold = [*LABELS, *[None] * 400]
    judged: list[Judgement] = [Scored(int(v)) for v in [*VERDICTS, *others]]
    found = corrected_mean(gold, judged, [str(i) for i in range(440)], scale(1, 5))
    assert found.value == pytest.approx(3.21886398, abs=1e-8)
    ours = (found.high - found.low) / 2 / stats.t.ppf(0.975, 39)
    theirs = (3.45870343 - 2.97902454) / 2 / stats.norm.ppf(0.975)
    assert ours == pytest.approx(theirs, rel=0.014)  # sqrt(40 / 39) = 1.0127
    assert found.label_multiplier > 2


def test_rogan_gladen_equals_published_examples() -> None:
    """epiR's manual, epi.prev: brucellosis, 23 of 150 cows, sensitivity .96, specificity .89: 5.1 in 100.
    Limits with estimated sensitivity and specificity: Lang & Reiczigel's formulas, written out again."""
    found = rogan_gladen(*map(np.float64, (23, 150, 96, 100, 89, 100)))
    assert round(100 * float(found.value), 1) == 5.1
    z = 1.959963985
    n, p = 150 + z**2, (23 + z**2 / 2) / (150 + z**2)
    se, sp, m = 97 / 102, 90 / 102, 102
    prev = (p + sp - 1) / (se + sp - 1)
    shift = 2 * z**2 * (prev * se * (1 - se) / m - (1 - prev) * sp * (1 - sp) / m)
    var = p * (1 - p) / n + se * (1 - se) / m * prev**2 + sp * (1 - sp) / m * (1 - prev) ** 2
    half = z * var**0.5 / (se + sp - 1)
    assert float(found.low) == pytest.approx(max(0.0, prev + shift - half))
    assert float(found.high) == pytest.approx(prev + shift + half)


def test_beta_interval_equals_numerical_integration() -> None:
    """The posterior of w p1 + (1 - w) p0, by quadrature over its distribution function."""
    passed, labelled, judged = np.array([3.0, 20.0]), np.array([10.0, 25.0]), np.array([300.0, 700.0])
    p0, p1 = stats.beta(3.5, 7.5), stats.beta(20.5, 5.5)
    w = 700.5 / 1001.0  # with 1,000 rows the share's own spread is small; its variance is added below

    def below(x: float) -> float:
        return integrate.quad(lambda p: p1.pdf(p) * p0.cdf((x - w * p) / (1 - w)), 0, 1, limit=200)[0]

    found = beta_interval(passed, labelled, judged, draws=200_000)
    assert below(float(found.low)) == pytest.approx(0.025, abs=0.003)
    assert below(float(found.high)) == pytest.approx(0.975, abs=0.003)
    assert float(found.value) == pytest.approx(w * 20.5 / 26 + (1 - w) * 3.5 / 11)


def test_a_useless_judge_leaves_what_the_labels_say() -> None:
    """One verdict for every row: the posterior is Jeffreys' interval on the labels."""
    gold, judged, groups = rows([(i % 4 != 0, True) for i in range(60)], [True] * 500)
    found = corrected_rate(gold, judged, groups, BOOL, draws=200_000)
    assert (found.low, found.high) == pytest.approx(stats.beta.ppf([0.025, 0.975], 45.5, 15.5), abs=0.003)
    assert found.label_multiplier == pytest.approx(1.0, abs=0.05)
    mean = corrected_mean(gold, judged, groups, BOOL)
    ends = stats.ttest_1samp([float(g) for g in gold[:60]], 0).confidence_interval()
    assert (mean.low, mean.high) == pytest.approx((ends.low, ends.high))


def test_a_good_judge_multiplies_labels_and_a_biased_one_is_corrected() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(4000) < 0.7
    verdict = np.where(truth, rng.random(4000) < 0.98, rng.random(4000) < 0.3)
    gold, judged, groups = rows(
        list(zip(truth[:150].tolist(), verdict[:150].tolist(), strict=True)), verdict[150:].tolist()
    )
    for found in (corrected_rate(gold, judged, groups, BOOL), corrected_mean(gold, judged, groups, BOOL)):
        assert found.judge_alone > 0.75
        assert found.low < 0.7 < found.high
        assert 1.5 < found.label_multiplier < 4


def test_unscored_rows_are_rows() -> None:
    """Half of the rows have no verdict, and people fail them all: the rate is not that of the others."""
    gold = [True] * 40 + [False] * 40 + [None] * 400
    judged: list[Judgement] = [Scored(True)] * 40 + [Unscored("refused")] * 40
    judged += [Scored(True)] * 200 + [Unscored("refused")] * 200
    found = corrected_rate(gold, judged, [str(i) for i in range(480)], BOOL)
    assert found.n_unscored == 240
    assert found.judge_alone == 1.0
    assert found.value == pytest.approx(0.5, abs=0.02)
    assert found.high < 0.6
    mean = corrected_mean(gold, judged, [str(i) for i in range(480)], BOOL)
    assert mean.value == pytest.approx(0.5)


def test_copied_rows_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(300) < 0.7
    verdict = np.where(rng.random(300) < 0.8, truth, ~truth)
    gold = [bool(t) if i < 60 else None for i, t in enumerate(truth)]
    judged: list[Judgement] = [Scored(bool(v)) for v in verdict]
    groups = [str(i) for i in range(300)]
    for of in (corrected_rate, corrected_mean):
        once, copied = of(gold, judged, groups, BOOL), of(gold * 6, judged * 6, groups * 6, BOOL)
        assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.12)
        assert copied.design_effect > 5


def test_few_labels_and_the_wrong_method_are_cautioned() -> None:
    gold, judged, groups = rows([(i % 4 != 0, i % 5 != 0) for i in range(30)], [True, False] * 200)
    assert "30 independent labels" in corrected_rate(gold, judged, groups, BOOL).text()
    assert "take corrected_rate" in corrected_mean(gold, judged, groups, BOOL).caution
    many = rows([(i % 4 != 0, i % 5 != 0) for i in range(300)], [True, False] * 200)
    assert corrected_rate(*many, BOOL).caution is None
    assert corrected_mean(*many, BOOL).caution is None


def test_strata_of_one_kind_change_little_and_of_two_kinds_help() -> None:
    rng = np.random.default_rng(6)
    part = np.arange(2000) % 2
    truth = np.where(part, 4, 2) + rng.integers(-1, 2, 2000)
    gold = [int(t) if i < 100 else None for i, t in enumerate(truth)]
    judged: list[Judgement] = [Scored(3) for _ in truth]
    groups = [str(i) for i in range(2000)]
    plain = corrected_mean(gold, judged, groups, scale(1, 5))
    by_part = corrected_mean(gold, judged, groups, scale(1, 5), strata=[str(p) for p in part])
    assert by_part.low < 3 < by_part.high
    assert by_part.high - by_part.low < 0.8 * (plain.high - plain.low)
    with pytest.raises(DataError, match="two strata"):
        corrected_mean(gold, judged, [g[:1] for g in groups], scale(1, 5), strata=[str(p) for p in part])


NOBODY: list[Judgement] = [Unscored("refused")] * 4


@pytest.mark.parametrize("of", [corrected_rate, corrected_mean])
@pytest.mark.parametrize(
    ("gold", "judged", "groups", "reason"),
    [
        ([], [], [], "No row has a label"),
        ([None] * 4, [Scored(True)] * 4, list("abcd"), "No row has a label"),
        ([True], [Scored(True)], ["a"], "fewer than two labelled groups"),
        ([True, False], [Scored(True)] * 2, ["a", "a"], "fewer than two labelled groups"),
    ],
)
def test_what_cannot_be_had_is_none_with_a_reason(of, gold, judged, groups, reason) -> None:  # type: ignore[no-untyped-def]
    found = of(gold, judged, groups, BOOL)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert reason in found.reason
    assert "not defined" in found.text()


def test_one_class_and_no_verdict_at_all_are_defined() -> None:
    ones = corrected_rate([True] * 4, [Scored(True)] * 4, list("abcd"), BOOL)
    assert 0 < ones.low < ones.value < ones.high < 1
    unjudged = corrected_rate([True, False, True, None], NOBODY, list("abcd"), BOOL)
    assert unjudged.judge_alone is None
    assert unjudged.low < unjudged.value < unjudged.high
    same = corrected_mean([True] * 4, [Scored(True)] * 4, list("abcd"), BOOL)
    assert same.value == 1.0
    assert same.low is None
    assert "do not vary" in same.reason


def test_transfer_to_another_mix() -> None:
    gold = [True] * 50 + [False] * 50
    calibration: list[Judgement] = (
        [Scored(True)] * 45 + [Scored(False)] * 5 + [Scored(False)] * 40 + [Scored(True)] * 10
    )
    target: list[Judgement] = [Scored(True)] * 340 + [Scored(False)] * 660  # .9 * .2 + .2 * .8 = .34
    found = transferred_rate(gold, calibration, target, BOOL)
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert found.label_multiplier is None
    inverted = [Scored(not j.value) for j in calibration if isinstance(j, Scored)]
    assert "no better than chance" in transferred_rate(gold, inverted, target, BOOL).reason
    assert "one class" in transferred_rate([True] * 100, calibration, target, BOOL).reason
    assert "No row of the stream" in transferred_rate(gold, calibration, [], BOOL).reason


def test_several_verdicts_and_wrong_calls() -> None:
    mood: ValueType = categories("good", "mixed", "bad")
    gold = ["good", "bad", "mixed", "good", "bad", "good"] * 5 + [None] * 30
    judged: list[Judgement] = [Scored(v) for v in ["good", "bad", "bad", "good", "mixed", "good"] * 10]
    groups = [str(i) for i in range(60)]
    assert corrected_rate(gold, judged, groups, mood, positive="good").value == pytest.approx(0.5, abs=0.05)
    with pytest.raises(UsageError, match="no label"):
        corrected_rate(gold, judged, groups, mood, positive="great")
    for without_a_scale in (mood, replace(BOOL, optional=True)):
        with pytest.raises(UsageError, match="numeric scale"):
            corrected_mean(gold, judged, groups, without_a_scale)
    with pytest.raises(DataError, match="Row 2: label 'great'"):
        corrected_rate([None, None, "great", *gold[3:]], judged, groups, mood, positive="good")
    with pytest.raises(DataError, match="Row 1: verdict 'great'"):
        corrected_rate(gold, [Unscored("empty"), Scored("great"), *judged[2:]], groups, mood, positive="good")
    with pytest.raises(DataError, match="different lengths"):
        corrected_rate(gold[1:], judged, groups, mood, positive="good")


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(4, 40), st.integers(0, 60))
def test_row_order_and_renaming_change_nothing(random, n, more) -> None:  # type: ignore[no-untyped-def]
    data = [(random.random() < 0.6, random.random() < 0.7) for _ in range(n)]
    gold, judged, groups = rows(data, [random.random() < 0.7 for _ in range(more)])
    order = list(range(len(gold)))
    random.shuffle(order)
    moved = ([gold[i] for i in order], [judged[i] for i in order], [groups[i] for i in order])
    first, again = corrected_rate(gold, judged, groups, BOOL), corrected_rate(*moved, BOOL)
    assert first.value == pytest.approx(again.value)
    assert (first.low, first.high) == pytest.approx((again.low, again.high))
    named = categories("yes", "no")
    word = {True: "yes", False: "no", None: None}
    called = corrected_rate(
        [word[g] for g in gold], [Scored(word[j.value]) for j in judged], groups, named, positive="yes"
    )
    assert called.value == pytest.approx(first.value)
    assert called.low == pytest.approx(first.low, abs=0.02)  # other draws
