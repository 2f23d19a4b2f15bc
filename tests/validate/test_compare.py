"""The paired comparison: a second implementation, shared rows only, and the rate of false promotions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests

from judge_opt.core.errors import DataError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import BOOL
from judge_opt.validate.compare import compare_judges, holm, mcnemar, swap_test
from judge_opt.validate.pairs import Pairs

from .conftest import World


@pytest.mark.parametrize(("gained", "lost"), [(8, 2), (0, 5), (6, 6), (30, 11)])
def test_mcnemar_equals_statsmodels(gained: int, lost: int) -> None:
    theirs = sm_mcnemar([[3, gained], [lost, 7]], exact=True).pvalue
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, theirs))
    assert mcnemar(0, 0) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_swaps_of_single_rows_are_the_sign_test() -> None:
    """With agreement as the metric and one row a group, the swap test is the exact one-sided sign test."""
    gold = [True] * 20
    before = [Scored(i >= 7) for i in range(20)]
    after = [Scored(not 7 <= i < 9) for i in range(20)]
    found = compare_judges(
        gold, before, after, [str(i) for i in range(20)], BOOL, metric="agreement", n_boot=200
    )
    assert (found.gained, found.lost) == (7, 2)
    assert found.method == "all group swaps"
    assert found.p_value == pytest.approx(sum([36, 9, 1]) / 2**9)


def test_random_swaps_are_near_all_swaps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gold, groups = world.gold[:26], world.groups[:26]
    before, after = world.judge(0.3)[:26], world.judge(0.5)[:26]
    listed = compare_judges(gold, before, after, groups, world.value_type, n_boot=10)
    monkeypatch.setattr("judge_opt.validate.compare._ENUMERATE", 0)
    drawn = compare_judges(gold, before, after, groups, world.value_type, n_boot=10)
    assert (listed.method, drawn.method) == ("all group swaps", "random group swaps")
    assert listed.p_value == pytest.approx(drawn.p_value, abs=0.02)


def test_only_rows_that_both_scored_are_compared(world: World) -> None:
    before, after = world.judge(0.3), world.judge(0.8)
    whole = compare_judges(
        world.gold[20:], before[20:], after[20:], world.groups[20:], world.value_type, n_boot=100
    )
    lost = Unscored("timeout")
    holes = compare_judges(
        world.gold,
        [lost] * 10 + before[10:],
        [lost] * 5 + after[5:10] + [lost] * 10 + after[20:],
        world.groups,
        world.value_type,
        n_boot=100,
    )
    assert (holes.n_pairs, holes.only_before, holes.only_after, holes.neither) == (100, 10, 5, 5)
    left_out = {"only_before", "only_after", "neither"}
    assert holes.model_dump(exclude=left_out) == whole.model_dump(exclude=left_out)


def test_a_clear_gain_is_found_and_the_same_judge_never_better(world: World) -> None:
    before, after = world.judge(0.2), world.judge(0.8)
    found = compare_judges(world.gold, before, after, world.groups, world.value_type, n_boot=300)
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert found.difference.low is not None
    assert found.difference.low > 0
    same = compare_judges(world.gold, after, after, world.groups, world.value_type, n_boot=300)
    assert same.p_value == 1.0
    assert same.difference.value == 0.0


def test_nothing_shared_gives_reasons(world: World) -> None:
    lost = [Unscored("timeout")] * len(world.gold)
    found = compare_judges(world.gold, lost, world.judge(0.5), world.groups, world.value_type)
    assert found.p_value is None
    assert found.reason == "No row was scored."
    assert found.difference.value is None


def test_a_metric_where_less_is_better_is_refused(world: World) -> None:
    judged = world.judge(0.5)
    with pytest.raises(DataError, match="more is not better"):
        compare_judges(world.gold, judged, judged, world.groups, world.value_type, metric="mae")


def _judge(
    rng: np.random.Generator, gold: np.ndarray, spread: float, group: np.ndarray, yes: float, no: float
) -> np.ndarray:
    """Says true on a share `yes` of the true rows and `no` of the false ones; errors cluster in groups."""
    base = np.where(gold == 1, yes, no)
    logit = np.log(base / (1 - base)) + rng.normal(0, spread, group.max() + 1)[group]
    return (rng.random(len(gold)) < 1 / (1 + np.exp(-logit))).astype(np.int64)


@pytest.mark.parametrize(
    ("n_groups", "size", "old", "new"),
    [
        (12, 4, (0.75, 0.25), (0.75, 0.25)),  # interchangeable, few groups
        (50, 2, (0.75, 0.25), (0.75, 0.25)),
        (30, 2, (0.95, 0.50), (0.50, 0.05)),  # equally good, opposite biases
    ],
)
def test_equally_good_judges_rarely_look_better(
    n_groups: int, size: int, old: tuple[float, float], new: tuple[float, float]
) -> None:
    """M4: at alpha .05, at most 5 % and what 1,000 runs may add by chance (6.6 % is 2.3 standard errors)."""
    rng = np.random.default_rng(11)
    group = np.repeat(np.arange(n_groups), size)
    rejected = 0
    for run in range(1000):
        gold = (rng.random(len(group)) < 0.5).astype(np.int64)
        judges = [_judge(rng, gold, 1.0, group, *rates) for rates in (old, new)]
        rows = np.arange(len(group))
        a, b = (Pairs(rows, ("false", "true"), gold, j, None, None, group) for j in judges)
        rejected += swap_test("kappa", a, b, n_swaps=199, seed=run)[0] <= 0.05
    assert rejected / 1000 <= 0.066
