"""Figures: invariances, and defined results at the edges."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, categories, ordered, scale
from judge_opt.evaluation.metrics import JudgeMetrics, gold_of, measure
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.statistics import mean

LEVELS = ordered("poor", "fair", "good")
TYPES: list[tuple[ValueType, list[Any]]] = [
    (BOOL, [True, False]),
    (categories("a", "b", "c"), ["a", "b", "c"]),
    (LEVELS, ["poor", "fair", "good"]),
    (scale(1, 5), [1, 2, 3, 4, 5]),
    (ValueType("float"), [0.0, 0.1, -2.5, 1e6]),
    (ValueType("text"), ["x", "y"]),
    (ValueType.of(bool | None), [True, False, "not applicable"]),
    (ValueType.of(dict[str, int]), [{"x": 1}, {"x": 2}]),
]


def figures(
    said: list[Judgement], value_type: ValueType, groups: list[int] | None = None, **how: Any
) -> JudgeMetrics:
    groups = groups or list(range(len(said)))
    made = [Row(f"r{n:03d}", f"g{group}", {"outputs": n}) for n, group in enumerate(groups)]
    return measure("j", made, said, value_type, n_boot=how.pop("n_boot", 50), **how)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ValueType, list[Judgement], list[int]]:
    value_type, values = draw(st.sampled_from(TYPES))
    one = st.sampled_from([Scored(value) for value in values] + [Unscored("empty"), Unscored("timeout")])
    said = draw(st.lists(one, min_size=1, max_size=12))
    return value_type, said, draw(st.lists(st.integers(0, 3), min_size=len(said), max_size=len(said)))


@settings(deadline=None, max_examples=60)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    case: tuple[ValueType, list[Judgement], list[int]], dice: Any
) -> None:
    value_type, said, groups = case
    made = [Row(f"r{n:03d}", f"g{group}", {}) for n, group in enumerate(groups)]
    order = list(range(len(said)))
    dice.shuffle(order)
    straight = measure("j", made, said, value_type, n_boot=20)
    shuffled = measure("j", [made[i] for i in order], [said[i] for i in order], value_type, n_boot=20)
    assert straight.model_dump_json() == shuffled.model_dump_json()


@settings(deadline=None, max_examples=60)
@given(cases())
def test_unscored_rows_enter_no_figure_but_coverage(
    case: tuple[ValueType, list[Judgement], list[int]],
) -> None:
    value_type, said, groups = case
    both = figures(said, value_type, groups)
    keep = [i for i, one in enumerate(said) if isinstance(one, Scored)]
    made = [Row(f"r{i:03d}", f"g{groups[i]}", {}) for i in keep]
    alone = measure("j", made, [said[i] for i in keep], value_type, n_boot=50)
    assert both.figures == alone.figures
    assert both.median == alone.median
    assert both.coverage.value == len(keep) / len(said)
    assert sum(both.unscored.values()) == len(said) - len(keep)
    for value in both.flat().values():
        assert math.isfinite(value)
    if value_type.scale == "nominal" and value_type.kind != "bool" and keep:
        shares = [one.value for name, one in both.figures.items() if name.startswith("share/")]
        assert sum(share for share in shares if share is not None) == pytest.approx(1.0)


@pytest.mark.parametrize(("value_type", "values"), TYPES)
def test_nothing_scored_is_no_zero(value_type: ValueType, values: list[Any]) -> None:
    found = figures([Unscored("call_failed")] * 3, value_type)
    assert found.flat() == {"j/coverage": 0.0}
    assert all(one.value is None and one.reason for one in found.figures.values())
    assert found.unscored == {"call_failed": 3}
    assert found.agreement is None


@pytest.mark.parametrize(("value_type", "values"), TYPES)
def test_one_row_and_one_class_are_defined(value_type: ValueType, values: list[Any]) -> None:
    for count in (1, 7):
        found = figures([Scored(values[0])] * count, value_type)
        for one in found.figures.values():
            assert one.value is not None
            assert (one.low is not None) or one.reason


def test_figures_by_hand() -> None:
    words = [Scored(word) for word in ("poor", "fair", "fair", "good")]
    found = figures(words, LEVELS)
    assert found.flat() == {
        "j/mean_rank": 1.0,
        "j/share/poor": 0.25,
        "j/share/fair": 0.5,
        "j/share/good": 0.25,
        "j/coverage": 1.0,
    }
    assert found.median == "fair"
    numbers = figures([Scored(float(n)) for n in range(1, 11)], ValueType("float"))
    assert {name: one.value for name, one in numbers.figures.items()} == {
        "mean": 5.5, "p10": 1.0, "p25": 3.0, "p50": 5.0, "p75": 8.0, "p90": 9.0,
    }  # fmt: skip


def test_a_rate_of_single_rows_has_wilson_s_interval() -> None:
    found = figures([Scored(True)] * 8 + [Scored(False)] * 2, BOOL).figures["mean"]
    expected = stats.binomtest(8, 10).proportion_ci(0.95, method="wilson")
    assert (found.method, found.low, found.high) == ("wilson", expected.low, expected.high)


def test_copies_in_a_group_do_not_narrow_the_interval() -> None:
    said: list[Judgement] = [Scored(n % 3 == 0) for n in range(12)]
    single = figures(said, BOOL, n_boot=2000).figures["mean"]
    copies = figures(
        [one for one in said for _ in range(10)], BOOL, [n for n in range(12) for _ in range(10)], n_boot=2000
    )
    grouped = copies.figures["mean"]
    assert grouped.method == "bca"
    assert grouped.low is not None
    assert grouped.high is not None
    assert single.low is not None
    assert single.high is not None
    assert grouped.high - grouped.low > 0.8 * (single.high - single.low)


def test_the_interval_of_many_groups_is_the_bootstrap_s() -> None:
    dice = np.random.default_rng(0)
    group = np.repeat(np.arange(5001), 2)
    numbers = dice.normal(size=5001)[group] + dice.normal(size=len(group))
    found = mean(numbers, group, n_boot=100, seed=0, confidence=0.95)
    assert found.method == "normal"
    sums = np.bincount(group, numbers)
    half = 1.96 * sums.std(ddof=1) * np.sqrt(5001) / len(group)
    assert found.value is not None
    assert found.high == pytest.approx(found.value + half, rel=1e-3)
    assert found.low == pytest.approx(found.value - half, rel=1e-3)


def test_gold_is_the_majority_and_a_tie_is_none() -> None:
    made = [
        Row("a", "a", {}, labels={"tone": {"x": "good", "y": "good", "z": "poor"}}),
        Row("b", "b", {}, labels={"tone": {"x": "good", "y": "poor"}}),
        Row("c", "c", {}, labels={"": {"x": "Fair"}}),
        Row("d", "d", {}),
    ]
    assert gold_of(made, "tone", LEVELS, alone=True) == (["good", None, "fair", None], 1)
    assert gold_of(made, "tone", LEVELS, alone=False) == (["good", None, None, None], 1)
