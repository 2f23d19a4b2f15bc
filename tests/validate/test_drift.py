"""Alarms: false ones at most as often as stated, true ones soon; and bad input is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL
from judge_opt.validate import TimeRows, drift, floor_from, watch_agreement

RNG = np.random.default_rng(4)


def rows(n: int, skill: float = 0.85, share: float = 0.6, shift: float = 0.0) -> TimeRows:
    gold = RNG.random(n) < share
    said = np.where(RNG.random(n) < skill, gold, ~gold)
    judged: list[Judgement] = [Scored(bool(v)) for v in said]
    return TimeRows(
        judged, [str(i // 2) for i in range(n)], [bool(v) for v in gold], RNG.normal(size=(n, 6)) + shift
    )


def test_each_kind_of_change_is_named() -> None:
    found = drift(
        rows(200),
        {
            "as before": rows(80), "worse": rows(120, skill=0.55), "harsher": rows(120, share=0.1),
            "other": rows(80, shift=1.0),
        },
        BOOL,
        floor=0.75,
    )  # fmt: skip
    said = "; ".join(found.alarms)
    assert "as before" not in said
    assert "worse: agreement with people has fallen" in said
    assert "harsher: the verdicts fall otherwise" in said
    assert "other: other items are judged" in said
    assert found.watch is not None
    assert found.watch.alarm is not None
    levels = [test.level for window in found.windows for test in window.tests]
    assert sum(levels) < found.alpha


def test_refusals_are_a_change_of_verdicts() -> None:
    silent = rows(80)
    mute: list[Judgement] = [Unscored("refused") if i % 3 else j for i, j in enumerate(silent.judged)]
    found = drift(rows(150), {"mute": TimeRows(mute, silent.groups)}, BOOL)
    assert [test.question for test in found.windows[0].tests] == ["verdicts"]
    assert found.windows[0].coverage == pytest.approx(27 / 80)
    assert found.alarms


def test_an_unchanged_judge_is_left_alone() -> None:
    """Alpha .05 over three windows and three questions: 60 series, five alarms are three standard errors."""
    reference_and_windows = [(rows(60), {str(k): rows(40) for k in range(3)}) for _ in range(60)]
    alarms = sum(
        bool(drift(a, b, BOOL, n_boot=0, seed=k).alarms) for k, (a, b) in enumerate(reference_and_windows)
    )
    assert alarms <= 8


def test_a_watch_may_be_looked_at_for_ever() -> None:
    """At the floor itself, 3,000 labels in each of 300 series: at most alpha ever alarm."""
    alarmed = [watch_agreement((RNG.random(3000) < 0.8).astype(float), 0.8).alarm for _ in range(300)]
    assert sum(a is not None for a in alarmed) <= 0.05 * 300 + 3 * (0.05 * 0.95 * 300) ** 0.5
    late = [watch_agreement((RNG.random(1000) < 0.6).astype(float), 0.8).alarm for _ in range(50)]
    assert all(late)
    assert np.median([a for a in late if a]) < 100


@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=60), st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=40)
def test_the_past_does_not_change_what_was_said(right: list[float], floor: float) -> None:
    whole = watch_agreement(right, floor)
    part = watch_agreement(right[: len(right) // 2], floor)
    assert whole.capital[: part.n] == part.capital
    assert all(c >= 0 for c in whole.capital)


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="window"):
        drift(rows(10), {}, BOOL)
    with pytest.raises(DataError, match="lengths"):
        drift(rows(10), {"a": TimeRows(rows(10).judged, ["g"])}, BOOL)
    with pytest.raises(DataError, match="between 0 and 1"):
        watch_agreement([2.0], 0.5)
    with pytest.raises(UsageError):
        watch_agreement([1.0], 1.0)
    with pytest.raises(UsageError, match="floor"):
        floor_from(0, 10)
    assert 0 < floor_from(90, 100) < 0.9
    nothing = drift(TimeRows([], [], [], np.zeros((0, 3))), {"a": rows(5, shift=0)}, BOOL)
    assert all(test.p_value is None and test.reason for test in nothing.windows[0].tests)
