"""People label the outputs before and after, and the gain is corrected by what they say."""

import random

import pytest
from prompt_world import BETTER, PRAISES, WRITTEN, agent_of, judge, loose, rows, strict

from judge_opt import (
    Guard,
    InputCategorical,
    Objective,
    create_label_schema,
    optimize_prompts,
    register_prompt,
)
from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.values import BOOL
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.prompts.people import ComparedRow, _trace_id, corrected_gain, drawn, strata_of

TRAIN, VALID, TEST = rows(12), rows(16, 100), rows(40, 200)


@pytest.fixture(autouse=True)
def prompt(session):
    return register_prompt("support", WRITTEN)


def optimize(server, one):
    return optimize_prompts(
        agent_of(server), TRAIN, VALID, [one], test=TEST, objectives={one.name: Objective(scores=BETTER)},
        guard=Guard([strict(server)], {"strict": Objective(scores=BETTER)}),
        reflection_lm="openai:/reflect", patience=2,
    )  # fmt: skip


def label(queue):
    for rater in ("ana", "ben"):
        while (task := queue.next(rater)) is not None:
            assert task.judge_verdicts is None
            queue.submit(task, "good" if "Thursday" in task.outputs["reply"] else "bad")


def test_people_confirm_a_real_gain_and_deny_a_loophole(server, world):
    schema = create_label_schema("helps", input=InputCategorical(["good", "bad"]))
    worth = Objective(scores=BETTER)
    real = optimize(server, judge(server))
    queue = real.queue("real", schema, rows=16, raters_per_item=2)
    label(queue)
    found = real.corrected_gain(queue, rows=16, objective=worth)
    assert found.value == pytest.approx(real.held_out.total.gain.value)
    better, worse = real.examples(3)
    assert len(better) == 3
    assert worse == []
    assert "Thursday" in better[0].after["reply"]
    assert "soon" in better[0].before["reply"]
    with pytest.raises(UsageError, match="not known which verdicts"):
        real.corrected_gain(queue, rows=16)

    world.say = lambda shown: f"{shown} {PRAISES}" if PRAISES not in shown else shown
    gamed = optimize(server, loose(server))
    queue = gamed.queue("gamed", "helps", rows=16, raters_per_item=2)
    label(queue)
    found = gamed.corrected_gain(queue, rows=16, objective=worth)
    assert found.judge_alone == pytest.approx(0.75)
    assert found.value == pytest.approx(0.0)
    with pytest.raises(DataError, match="None of the labels"):
        real.corrected_gain(queue, rows=16, objective=worth)


def compared(n, rng):
    """Rows of which half seem to gain; what people see agrees with that in four of five."""
    made, truth = [], {}
    for i in range(n):
        seen = float(rng.random() < 0.5)
        truth[f"r{i}"] = seen if rng.random() < 0.8 else 1.0 - seen
        made.append(ComparedRow(f"r{i}", f"g{i}", {"q": i}, None, "a", "b", 0.0, seen))
    return made, truth


def labels(some, truth):
    return [
        LabelledExample(
            _trace_id(row, side), row.id, {}, (Vote("ana", bool(side == "after" and truth[row.id])),)
        )
        for row in some
        for side in ("before", "after")
    ]


def test_the_corrected_gain_holds_what_its_interval_promises():
    rng = random.Random(0)
    inside = 0
    for seed in range(120):
        made, truth = compared(60, rng)
        found = corrected_gain(made, labels(drawn(made, 30, seed), truth), BOOL, None, 30, seed, 0.9)
        inside += found.low <= sum(truth.values()) / len(truth) <= found.high
    assert inside / 120 >= 0.83  # 0.90 promised; the sample of 30 of 60 rows makes it rather hold more


def test_rows_are_drawn_by_lot_from_both_kinds_and_equal_outputs_are_no_items():
    made, _ = compared(40, random.Random(1))
    some = drawn(made, 12, 3)
    assert len({row.id for row in some}) == 12
    assert sum(row.gain > 0 for row in some) == 6
    assert drawn(made, 12, 3) == some != drawn(made, 12, 4)
    assert set(strata_of(made)) == {"gain", "none"}
    assert strata_of([row for row in made if row.gain > 0]) is None
    assert len(drawn([row for row in made if row.gain > 0], 5, 0)) == 5
