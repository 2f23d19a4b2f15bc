"""The reference lines, the negative controls, and the example of the documentation."""

import re
from pathlib import Path

import pytest

import judge_opt.testing.lab as lab
from judge_opt import Session, use_session
from judge_opt.core.errors import DataError
from judge_opt.testing.lab import (
    JudgeParameters,
    LabServer,
    Parameters,
    World,
    WorldParameters,
    constant,
    kappa,
    nearest,
    oracle,
    pasted,
    reference_lines,
    untouched,
)

ROWS = 100


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path) as opened, use_session(opened):
        yield opened


@pytest.mark.parametrize(
    "labels", [("fail", "pass"), ("poor", "fair", "good", "excellent")], ids=["binary", "ordinal"]
)
def test_the_oracle_is_far_above_the_untouched_judge_and_the_constant_is_nothing(labels):
    gains = []
    for seed in range(4):
        world = World(seed, WorldParameters(labels=labels))
        with LabServer() as server:
            lines = reference_lines(world, server, world.examples(30), world.held_out(ROWS))
        assert lines["constant"] == 0.0
        assert lines["oracle"] > 0.3
        gains.append(lines["oracle"] - lines["untouched"])
    assert sum(gains) / len(gains) > 0.25


def test_a_judge_that_ignores_guidelines_gains_nothing_from_the_truth():
    world = World(1)
    with LabServer(Parameters(judge=JudgeParameters(follow=0.0, noise=0.0))) as server:
        rows = world.held_out(ROWS)
        assert oracle(world, server, rows) == untouched(world, server, rows)


def test_a_perfect_judge_is_perfect_and_nothing_harms_it():
    world = World(1)
    with LabServer(Parameters(judge=world.perfect())) as server:
        rows = world.held_out(ROWS)
        assert untouched(world, server, rows) == 1.0
        assert pasted(world, server, world.examples(20), rows) == 1.0


def test_copying_neighbours_is_better_than_nothing_and_worse_than_the_truth():
    copied, told = [], []
    for seed in range(4):
        world = World(seed)
        rows = world.held_out(ROWS)
        copied.append(nearest(world, world.examples(100), rows))
        with LabServer() as server:
            told.append(oracle(world, server, rows))
    assert 0.1 < sum(copied) / 4 < sum(told) / 4


def test_figures_repeat():
    world = World(1)
    found = []
    for _ in range(2):
        with LabServer() as server:
            found.append(kappa(world.judge(server), world.held_out(20)))
    assert found[0] == found[1]
    assert constant(world, world.examples(10), world.held_out(10)) == 0.0


def test_a_silent_model_has_no_kappa():
    world = World(1)
    silent = Parameters(judge=JudgeParameters(malformed=1.0))
    with LabServer(silent) as server, pytest.raises(DataError, match="held-out rows got a verdict"):
        untouched(world, server, world.held_out(10))


def test_the_example_of_the_documentation_runs(capsys):
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    indented = "".join(f"    {line}" if line.strip() else line for line in example.splitlines(keepends=True))
    assert indented in lab.__doc__  # the module shows the same
    exec(compile(example, "lab.md", "exec"), {})
    before, after = map(
        float, re.fullmatch(r"(-?\d\.\d\d) -> (-?\d\.\d\d)\n", capsys.readouterr().out).groups()
    )
    assert after > before
