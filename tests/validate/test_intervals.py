"""Intervals: equal to a second implementation, deterministic, wide enough with clusters."""

import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judge_opt.core.results import Scored
from judge_opt.core.values import BOOL
from judge_opt.validate.figures import figure
from judge_opt.validate.intervals import by_rows, cluster_interval, resample, wilson_interval
from judge_opt.validate.metrics import statistic
from judge_opt.validate.pairs import encode

from .conftest import World


@pytest.mark.parametrize(("k", "n"), [(0, 10), (7, 10), (71, 100), (10, 10), (1, 1)])
def test_wilson_equals_statsmodels(k: int, n: int) -> None:
    interval = wilson_interval(k, n)
    assert (interval.low, interval.high) == pytest.approx(
        proportion_confint(k, n, method="wilson"), abs=1e-12
    )


def test_bca_equals_scipy_where_every_group_is_one_row() -> None:
    """Same statistic and data; the resamples differ, so within Monte Carlo error."""
    x = np.random.default_rng(1).exponential(size=60)
    mean = lambda w: (w @ x) / w.sum(axis=1)  # noqa: E731
    ours = cluster_interval(mean, np.arange(60), n_boot=20_000)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.method == "bca"
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_rows_path_equals_weights_path(world: World) -> None:
    pairs = encode(world.gold, world.judge(0.5), world.groups, world.value_type)
    hit = (pairs.gold == pairs.judged).astype(float)
    fast = resample(statistic("agreement", pairs), pairs.group, 50, seed=3)
    slow = resample(by_rows(lambda rows: float(hit[rows].mean()), pairs.n), pairs.group, 50, seed=3)
    np.testing.assert_allclose(fast, slow)


def test_same_seed_same_interval_and_other_seed_another(world: World) -> None:
    pairs = encode(world.gold, world.judge(0.5), world.groups, world.value_type)
    function = statistic("kappa", pairs)
    first, again, other = (cluster_interval(function, pairs.group, n_boot=300, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_two_thousand_resamples_of_kappa_take_well_under_a_second() -> None:
    world = World(n=150)
    pairs = encode(world.gold, world.judge(0.5), world.groups, world.value_type)
    start = time.perf_counter()
    cluster_interval(statistic("kappa", pairs), pairs.group, n_boot=2000)
    assert time.perf_counter() - start < 1.0


def test_copied_rows_do_not_narrow_the_interval() -> None:
    """Ten copies of each row in one group hold no more information than one."""
    world = World(n=40, rows_a_group=1)
    judged = world.judge(0.5)
    once = encode(world.gold, judged, world.groups, world.value_type)
    copied = encode(world.gold * 10, judged * 10, world.groups * 10, world.value_type)
    a, b = (figure("kappa", p, world.value_type, seed=4) for p in (once, copied))
    assert (a.low, a.high) == pytest.approx((b.low, b.high))
    assert b.n == 400
    assert b.n_groups == 40


def test_degenerate_resamples_are_counted_and_left_out() -> None:
    gold = [True] * 9 + [False]
    pairs = encode(gold, [Scored(g) for g in [True] * 8 + [False, False]], [str(i) for i in range(10)], BOOL)
    found = figure("kappa", pairs, BOOL, n_boot=1000)
    assert 250 < found.degenerate < 450  # the one False is missing from (9/10)^10 = 35 % of the draws
    assert found.low is not None


@pytest.mark.parametrize(
    ("gold", "judged", "groups", "reason"),
    [
        ([True, False, True], [True, True, True], "aaa", "one group"),
        ([True, False, True, False], [True] * 4, "abcd", "Every resample gave one value"),
    ],
)
def test_no_interval_is_said_to_be_none(
    gold: list[bool], judged: list[bool], groups: str, reason: str
) -> None:
    found = figure("kappa", encode(gold, [Scored(j) for j in judged], list(groups), BOOL), BOOL, n_boot=200)
    assert found.value == 0.0
    assert found.low is None
    assert found.high is None
    assert found.reason is not None
    assert reason in found.reason


def test_a_perfect_judge_is_not_certain_to_be_perfect() -> None:
    gold = [True, False] * 20
    pairs = encode(gold, [Scored(g) for g in gold], [str(i // 2) for i in range(40)], BOOL)
    agreed, kappa = (figure(m, pairs, BOOL, n_boot=200) for m in ("agreement", "kappa"))
    low = proportion_confint(20, 20, method="wilson")[0]
    assert agreed.low == pytest.approx(low)
    assert kappa.low == pytest.approx(1 - (1 - low) / 0.5)


def test_interval_holds_the_truth_with_clusters() -> None:
    """Agreement with a shared difficulty a group: about 95 % of the intervals hold the truth; an interval
    over rows would hold it in about 80 %."""
    rng = np.random.default_rng(0)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    held = 0
    for run in range(300):
        group = np.repeat(np.arange(40), 5)
        hit = (rng.normal(size=40)[group] + rng.normal(size=200) < 1).astype(float)
        mean = lambda w, hit=hit: (w @ hit) / w.sum(axis=1)  # noqa: E731
        interval = cluster_interval(mean, group, n_boot=400, seed=run)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= truth <= interval.high
    assert 0.91 <= held / 300 <= 0.98
