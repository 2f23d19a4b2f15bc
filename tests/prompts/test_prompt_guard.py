"""A prompt that games its judge is not confirmed; a real gain is."""

import numpy as np
import pytest
from prompt_world import BETTER, NAMES_DAY, PRAISES, WRITTEN, agent_of, loose, rows, strict

from judge_opt import Guard, Objective, load_prompt, optimize_prompts, register_prompt
from judge_opt.core.errors import NotFound, UsageError
from judge_opt.evaluation.rows import read_rows
from judge_opt.prompts.paired import paired

OBJECTIVES = {"loose": Objective(scores=BETTER)}
TRAIN, VALID, TEST = rows(12), rows(16, 100), rows(24, 200)


@pytest.fixture(autouse=True)
def prompt(session):
    return register_prompt("support", WRITTEN)


def optimize(server, guard=None, test=TEST):
    watch = guard or Guard([strict(server)], {"strict": Objective(scores=BETTER)})
    return optimize_prompts(
        agent_of(server), TRAIN, VALID, [loose(server)], test=test, guard=watch, objectives=OBJECTIVES,
        reflection_lm="openai:/reflect", patience=3,
    )  # fmt: skip


def test_a_loophole_of_the_judge_is_caught(server, world):
    world.say = lambda shown: f"{shown} {PRAISES}" if PRAISES not in shown else shown
    result = optimize(server)
    assert result.held_out.total.after == 1.0  # the judge is delighted
    assert result.held_out.total.p_value < 0.01
    assert not result.confirmed
    assert "the guard strict does not see it" in result.verdict
    assert result.guard.gains["strict"].gain.value == 0.0
    assert len(result.guard.doubtful) == 18  # the rows where only the praise is new

    with pytest.raises(UsageError, match="stays where it is"):
        result.register(alias="production")
    with pytest.raises(NotFound):
        load_prompt("prompts:/support@production")
    assert load_prompt("prompts:/support").version == 1
    (stored,) = result.register()
    assert stored.tags["confirmed"] == "false"
    (forced,) = result.register(alias="production", force=True)
    assert load_prompt("prompts:/support@production").version == forced.version == 2


def test_a_real_gain_is_confirmed_by_the_same_guard(server):
    result = optimize(server)
    assert result.confirmed
    assert result.guard.reasons == ()
    assert result.guard.doubtful == ()


def test_a_gain_of_which_the_guard_sees_little_is_not_confirmed(server):
    def half(outputs, inputs) -> bool:
        return "Thursday" in outputs["reply"] and int(inputs["question"].split()[1][:-1]) % 4 in (0, 1)

    result = optimize(server, Guard([half]))
    assert result.guard.shares["half"] == pytest.approx(1 / 3)
    assert result.guard.gains["half"].p_value < 0.05
    assert result.guard.reasons == ("the guard half sees 33% of it, less than 50%",)
    assert optimize(server, Guard([half], min_share=0.3)).confirmed


def test_outputs_that_become_much_longer_are_a_reason(server, world):
    plain = world.__call__

    def answer(body):
        said = plain(body)
        return (
            said + " and so on" * 50 if body["model"].endswith("agent") and NAMES_DAY in str(body) else said
        )

    server.answer = answer
    result = optimize(server)
    assert not result.confirmed
    (reason,) = result.guard.reasons
    assert reason.startswith("outputs went from ")


def test_rows_that_the_prompt_was_chosen_by_are_said_so(server, world):
    parts = iter(["One.", "Two.", NAMES_DAY])
    world.say = lambda shown: f"{shown} {next(parts, '')}".strip()
    result = optimize(server, test=None)
    assert result.held_out.split == "valid"
    assert "by which it was chosen" in result.verdict


def test_the_p_value_is_multiplied_by_the_prompts_in_the_choice():
    some = read_rows(rows(10))
    before, after = [0.0] * 10, [1.0] * 7 + [0.0] * 3
    once, five = paired(some, before, after), paired(some, before, after, 5)
    assert once.p_value == pytest.approx(2 / 2**7)
    assert five.p_value == pytest.approx(5 * once.p_value)
    assert paired(some, before, after, 1000).p_value == 1.0


def test_a_row_without_a_score_of_either_is_in_no_comparison():
    some = read_rows(rows(4))
    found = paired(some, [0.0, None, 1.0, 0.0], [1.0, 1.0, None, 0.0])
    assert (found.before, found.after, found.gain.n) == (0.0, 0.5, 2)
    nothing = paired(some, [None] * 4, [1.0] * 4)
    assert (nothing.before, nothing.p_value, nothing.up(0.05)) == (None, None, False)
    assert nothing.words() == "nothing to compare"


def test_equal_prompts_are_called_different_about_as_seldom_as_alpha_says():
    some, rng = read_rows(rows(30)), np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        a, b = rng.integers(0, 2, 30).astype(float), rng.integers(0, 2, 30).astype(float)
        p_value = paired(some, list(a), list(b)).p_value
        hits += p_value is not None and p_value <= 0.05
    assert hits <= 27  # 15 expected; above it by more than three standard deviations is no chance
