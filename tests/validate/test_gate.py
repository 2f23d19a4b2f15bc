"""The gate and the whole report: what is promoted, what is refused, and in which words."""

import numpy as np
import pytest

from judge_opt.core.errors import DataError, LeakageError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL
from judge_opt.validate import GatePolicy, TrainRows, ValidationReport, validate

from .conftest import World


def report(
    world: World, before: list[Judgement], after: list[Judgement], **kwargs: object
) -> ValidationReport:
    settings: dict[str, object] = {"ids": world.ids, "n_boot": 300, "noun": "replies"} | kwargs
    return validate(world.gold, before, after, world.groups, world.value_type, **settings)  # type: ignore[arg-type]


def failed(found: ValidationReport) -> set[str]:
    return {check.name for check in found.decision.checks if not check.holds}


def test_a_better_judge_is_promoted_and_the_report_survives_json(world: World) -> None:
    votes = [{"ann": a, "bob": b} for a, b in zip(world.vote(0.9), world.vote(0.9), strict=True)]
    rng = np.random.default_rng(0)
    train = TrainRows(world.gold[:60], [f"t{i}" for i in range(60)], rng.normal(size=(60, 8)), [9] * 60)
    found = report(
        world, world.judge(0.2), world.judge(0.8), raters_votes=votes, train=train,
        test_vectors=rng.normal(size=(120, 8)), test_lengths=[7] * 120,
    )  # fmt: skip
    assert found.decision.promoted
    assert found.headline.endswith("; promoted.")
    assert found.headline.startswith("On 120 held-out replies, the aligned judge agreed")
    assert found.baselines[0].name == "constant"
    assert ValidationReport.model_validate_json(found.model_dump_json()) == found


def test_the_same_judge_is_kept(world: World) -> None:
    judged = world.judge(0.7)
    found = report(world, judged, judged)
    assert failed(found) == {"better_than_before"}
    assert found.headline.startswith("No improvement could be shown on 120 held-out replies")
    assert found.headline.endswith("the untouched judge is kept.")


def test_a_better_judge_that_leaves_rows_unscored_is_kept(world: World) -> None:
    after = [Unscored("timeout")] * 12 + world.judge(0.9)[12:]
    found = report(world, world.judge(0.2), after)
    assert failed(found) == {"coverage"}
    assert "90.0 % of the rows" in found.headline
    assert "promoted." not in found.headline
    assert any("12 timeout" in note for note in found.notes)


def test_too_few_rows_are_refused() -> None:
    world = World(n=20, rows_a_group=1)
    assert "rows" in failed(report(world, world.judge(0.0), world.judge(1.0)))


def test_better_than_before_but_no_better_than_one_label(world: World) -> None:
    wrong = {"poor": "great", "fair": "good", "good": "fair", "great": "poor"}
    before: list[Judgement] = [Scored(wrong[str(g)]) for g in world.gold]
    found = report(world, before, world.judge(0.0))
    assert failed(found) == {"better_than_constant"}


def test_a_gate_on_agreement_asks_for_more_than_the_constant() -> None:
    world = World(n=100, value_type=BOOL, rows_a_group=1)
    world.gold = [i % 10 != 0 for i in range(100)]
    always: list[Judgement] = [Scored(True)] * 100
    found = report(world, world.judge(0.0), always, policy=GatePolicy(metric="agreement"))
    goal = next(c for c in found.decision.checks if c.name == "better_than_constant")
    assert (goal.goal, goal.holds) == (0.9, False)


@pytest.mark.parametrize("kept", [0, 1])
def test_nothing_scored_is_refused_with_reasons(kept: int) -> None:
    world = World(n=kept)
    lost: list[Judgement] = [Unscored("call_failed")] * kept
    found = report(world, lost, lost)
    assert not found.decision.promoted
    assert "could not be compared" in found.headline
    assert ValidationReport.model_validate_json(found.model_dump_json()) == found


def test_contested_rows_enter_no_figure(world: World) -> None:
    before, after = world.judge(0.3), world.judge(0.6)
    whole = report(world, before, after)
    world.gold = [*world.gold, None, None]  # type: ignore[list-item]
    world.groups, world.ids = [*world.groups, "x", "y"], [*world.ids, "x", "y"]
    extra: list[Judgement] = [Scored("poor"), Unscored("refused")]
    found = report(world, before + extra, after + extra)
    assert found.n_contested == 2
    assert (found.before, found.after, found.comparison) == (whole.before, whole.after, whole.comparison)


def test_a_group_on_both_sides_is_refused(world: World) -> None:
    judged = world.judge(0.5)
    with pytest.raises(LeakageError, match="'g000'"):
        report(world, judged, judged, train=TrainRows(["poor"], ["g000"]))


def test_an_id_that_occurs_twice_is_refused(world: World) -> None:
    judged = world.judge(0.5)
    with pytest.raises(DataError, match="'row-0' occurs more than once"):
        report(world, judged, judged, ids=["row-0", *world.ids[:-1]])


def test_a_metric_that_does_not_apply_is_refused(world: World) -> None:
    judged = world.judge(0.5)
    with pytest.raises(UsageError, match="ccc does not apply"):
        report(world, judged, judged, policy=GatePolicy(metric="ccc"))


def test_equally_good_judges_are_rarely_promoted() -> None:
    """M4 through the whole gate: 120 pairs of interchangeable judges."""
    promoted = 0
    for run in range(120):
        world = World(n=60, rows_a_group=3, value_type=BOOL, seed=run)
        found = report(world, world.judge(0.6), world.judge(0.6), n_boot=100)
        promoted += found.decision.promoted
    assert promoted / 120 <= 0.1
