"""Ceiling, baselines, calibration, confusion: worked examples and degenerate rows."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from judge_opt.core.errors import DataError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, categories, scale
from judge_opt.validate.agreement import measure_agreement
from judge_opt.validate.baselines import fit_baselines
from judge_opt.validate.calibration import measure_calibration
from judge_opt.validate.ceiling import human_ceiling
from judge_opt.validate.compare import compare_judges

from .conftest import World


def test_two_raters_are_held_against_each_other(world: World) -> None:
    one, two = world.vote(0.8), world.vote(0.8)
    votes = [{"ann": a, "bob": b} for a, b in zip(one, two, strict=True)]
    found = human_ceiling(votes, world.groups, world.value_type, n_boot=200)
    direct = measure_agreement(one, [Scored(b) for b in two], world.groups, world.value_type, n_boot=0)
    assert found.agreement.value == pytest.approx(direct.metrics["agreement"].value)
    assert found.primary.value == pytest.approx(direct.metrics["kappa_quadratic"].value)
    assert (found.n_raters, found.n_comparisons, found.n_tied) == (2, 240, 0)


def test_each_side_of_a_tie_counts_by_its_share() -> None:
    """Three raters, ten rows of y y n: y meets a tie (half right), n meets y y (wrong)."""
    votes = [{"a": True, "b": True, "c": False}] * 10
    found = human_ceiling(votes, [str(i) for i in range(10)], BOOL, n_boot=50)
    assert found.agreement.value == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert found.n_tied == 20


@pytest.mark.parametrize("votes", [[], [{}] * 5, [{"a": True}] * 5])
def test_no_second_rater_gives_a_reason(votes: list[dict[str, bool]]) -> None:
    found = human_ceiling(votes, [str(i) for i in range(len(votes))], BOOL)
    assert found.agreement.value is None
    assert found.primary.value is None
    assert "No row has two raters" in (found.agreement.reason or "")


def test_crowd_raters_with_few_rows_are_pooled(world: World) -> None:
    votes = [{f"w{2 * i}": v, f"w{2 * i + 1}": v} for i, v in enumerate(world.gold)]
    found = human_ceiling(votes, world.groups, world.value_type, n_boot=50)
    assert found.pooled
    assert found.agreement.value == 1.0


def separable(n: int, seed: int) -> tuple[np.ndarray, list[str], list[str]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    vectors = np.eye(6)[truth] + rng.normal(0, 0.2, (n, 6))
    return vectors, ["abc"[k] for k in truth], [f"s{seed}g{i // 2}" for i in range(n)]


def test_text_baselines_find_what_the_vectors_give_away() -> None:
    x, gold, groups = separable(60, 1)
    z, truth, test_groups = separable(80, 2)
    found = fit_baselines(
        gold, groups, 80, categories("a", "b", "c"), train_vectors=x, test_vectors=z,
        train_lengths=[len(g) for g in gold], test_lengths=[1] * 80,
    )  # fmt: skip
    score = {
        b.name: measure_agreement(truth, b.judged, test_groups, categories("a", "b", "c"), n_boot=0)
        .metrics["agreement"]
        .value
        for b in found
    }
    assert list(score) == [
        "constant",
        "text_classifier",
        "nearest_neighbour",
        "five_neighbours",
        "output_length",
    ]
    assert min(score["text_classifier"], score["nearest_neighbour"], score["five_neighbours"]) > 0.9
    assert score["constant"] < 0.6


@pytest.mark.parametrize(
    ("gold", "value_type"),
    [
        ([True] * 6, BOOL),
        ([True, False] + [True] * 4, BOOL),
        ([0.1, 0.5, 0.9] * 2, ValueType("float", low=0, high=1)),
        ([1, 100, 50] * 2, ValueType("int", low=0, high=100)),
    ],
)
def test_baselines_stay_inside_the_value_type(gold: list[float], value_type: ValueType) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    found = fit_baselines(
        gold, list("aabbcc"), 6, value_type, train_vectors=x, test_vectors=10 * x,
        train_lengths=[1, 2, 3, 4, 5, 6], test_lengths=[10**6] * 6,
    )  # fmt: skip
    for baseline in found:
        assert len(baseline.judged) == 6
        for judgement in baseline.judged:
            value_type.check_label(judgement.value, baseline.name)


def test_one_training_group_leaves_the_default_strength() -> None:
    x, gold, _ = separable(30, 1)
    found = fit_baselines(gold, ["g"] * 30, 30, categories("a", "b", "c"), train_vectors=x, test_vectors=x)
    assert [b.name for b in found][1] == "text_classifier"


def test_calibration_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, 200)
    gold = [bool(v) for v in rng.random(200) < p]
    judged = [Scored(bool(v > 0.5), probabilities={"true": float(v), "false": float(1 - v)}) for v in p]
    found = measure_calibration(gold, judged, BOOL)
    assert found.brier == pytest.approx(2 * brier_score_loss(gold, p))
    assert found.log_loss == pytest.approx(log_loss(gold, p))
    assert found.n == sum(b.n for b in found.bins) == 200
    assert found.ece is not None
    assert found.ece < 0.12


def test_ece_of_a_judge_that_is_too_sure() -> None:
    judged = [Scored(True, probabilities={"true": 0.9, "false": 0.1})] * 40
    found = measure_calibration([True, False] * 20, judged, BOOL)
    assert found.ece == pytest.approx(0.4)
    assert len(found.bins) == 1


@pytest.mark.parametrize(
    ("value_type", "judged"),
    [(BOOL, [Scored(True)] * 3), (BOOL, [Unscored("refused")] * 3), (ValueType("float"), [Scored(1.0)] * 3)],
)
def test_no_probabilities_give_a_reason(value_type: ValueType, judged: list[Scored | Unscored]) -> None:
    found = measure_calibration([True] * 3, judged, value_type)
    assert (found.n, found.ece, found.brier, found.log_loss) == (0, None, None, None)
    assert found.reason


def test_classes_that_never_occur_have_no_precision_or_recall() -> None:
    found = measure_agreement(
        ["a", "a", "b"], [Scored(v) for v in "aab"], list("xyz"), categories("a", "b", "c"), n_boot=0
    )
    last = found.classes[2]
    assert (last.precision, last.recall, last.support) == (None, None, 0)
    assert found.confusion is not None
    assert found.confusion.counts == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_floats_have_no_confusion_matrix() -> None:
    found = measure_agreement(
        [0.1, 0.2], [Scored(0.1), Scored(0.3)], ["a", "b"], ValueType("float"), n_boot=0
    )
    assert found.confusion is None
    assert found.classes == []


@pytest.mark.parametrize(
    ("gold", "judged", "value_type", "message"),
    [
        ([True], [Scored(True), Scored(True)], BOOL, "different lengths"),
        (["maybe"], [Scored("a")], categories("a", "b"), "Row 0: label 'maybe'"),
        (["a"], [Scored("z")], categories("a", "b"), "Row 0: verdict 'z'"),
        ([3], [Scored("3")], scale(1, 5), "not a number"),
        ([float("nan")], [Scored(1.0)], ValueType("float"), "not a number"),
        (["x"], [Scored("x")], ValueType("text"), "Text verdicts"),
    ],
)
def test_wrong_values_are_refused(gold: list, judged: list, value_type: ValueType, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure_agreement(gold, judged, ["g"] * len(gold), value_type)


def test_float_judges_are_compared_by_concordance() -> None:
    rng = np.random.default_rng(0)
    gold = [float(v) for v in rng.random(60)]
    groups = [str(i) for i in range(60)]
    before, after = ([Scored(g + float(rng.normal(0, s))) for g in gold] for s in (1.0, 0.1))
    found = compare_judges(gold, before, after, groups, ValueType("float"), n_boot=200)
    assert found.metric == "ccc"
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert found.agreement_difference.value is None
