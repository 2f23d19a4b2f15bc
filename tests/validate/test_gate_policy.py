"""What a gate's YAML can ask for, each key alone: held where it should be, and what was not measured fails."""

from pathlib import Path
from typing import Any

import pytest

from judge_opt.core.errors import ConfigError, NotFound, UsageError
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import BOOL
from judge_opt.validate import GatePolicy, load_policy, stability, validate
from judge_opt.validate.bias import paired_bias
from judge_opt.validate.gate import decide
from judge_opt.validate.gate_checks import Evidence

from .conftest import World


def decided(skill: float = 0.9, old: float = 0.5, evidence: Any = None, **policy: Any) -> dict[str, bool]:
    world = World(n=200, value_type=BOOL, rows_a_group=1)
    found = validate(
        world.gold, world.judge(old), world.judge(skill), world.groups, BOOL, ids=world.ids, n_boot=300,
        policy=GatePolicy(**policy),
    )  # fmt: skip
    if evidence is None:
        return {check.name: check.holds for check in found.decision.checks}
    again = decide(
        found.after.coverage,
        found.comparison,
        found.after.metrics["kappa"],
        0.0,
        GatePolicy(**policy),
        evidence=evidence,
    )
    return {check.name: check.holds for check in again.checks}


@pytest.mark.parametrize(
    ("key", "easy", "hard", "name"),
    [
        ("min_agreement", 0.6, 0.999, "agreement"),
        ("min_metric", 0.3, 0.99, "metric"),
        ("max_lean", 0.5, 0.001, "lean"),
    ],
)
def test_bounds_hold_the_interval_and_not_the_value(key: str, easy: float, hard: float, name: str) -> None:
    assert decided(**{key: easy})[name]
    assert not decided(**{key: hard})[name]


def test_a_margin_takes_the_place_of_better() -> None:
    checks = decided(skill=0.9, old=0.9, margin=0.2)
    assert "better_than_before" not in checks
    assert checks["not_worse_than_before"]
    assert not decided(skill=0.5, old=0.9, margin=0.1)["not_worse_than_before"]


def test_many_candidates_make_the_level_smaller() -> None:
    assert GatePolicy(candidates=10).level == pytest.approx(0.005)


def test_what_was_not_measured_fails() -> None:
    checks = decided(
        evidence=Evidence(), max_bias={"position": 0.1}, min_consistency=0.8, max_rate_width=0.2, above_noise=True,
        no_leakage=True, min_agreement=0.1, max_lean=0.9,
    )  # fmt: skip
    for name in (
        "bias_position",
        "consistency",
        "rate_width",
        "above_noise",
        "no_leakage",
        "agreement",
        "lean",
    ):
        assert not checks[name]


def test_what_was_measured_decides() -> None:
    n = 60
    groups = [str(i) for i in range(n)]
    same: list[Judgement] = [Scored(True)] * n
    moved: list[Judgement] = [Scored(i % 2 == 0) for i in range(n)]
    steady = stability([same, same], groups, BOOL)
    for found, holds in ((paired_bias("position", "", same, same, groups, BOOL), True),
                         (paired_bias("position", "", same, moved, groups, BOOL), False)):  # fmt: skip
        checks = decided(
            evidence=Evidence(biases=[found], learned_from=0, stability=steady), max_bias={"position": 0.2},
            no_leakage=True, above_noise=True,
        )  # fmt: skip
        assert checks["bias_position"] is holds
        assert checks["no_leakage"]
        assert not checks["above_noise"]  # without labels there is no floor
    assert not decided(evidence=Evidence(learned_from=3), no_leakage=True)["no_leakage"]


def test_the_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("min_agreement: 0.7\nmax_bias:\n  position: 0.1\n")
    assert load_policy(file) == GatePolicy(min_agreement=0.7, max_bias={"position": 0.1})
    for text, said in (
        ("min_agrement: 0.7", "Did you mean 'min_agreement'"),
        ("min_agreement: 7", "min_agreement"),
        ("- a", "no keys"),
        ("a: [", "not YAML"),
        ("min_agreement: !!python/object/apply:os.system ['true']", "not YAML"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=said.replace("'", ".")):
            load_policy(file)
    with pytest.raises(NotFound):
        load_policy(tmp_path / "none.yaml")


def test_a_gate_without_a_judge_to_replace() -> None:
    world = World(n=100, value_type=BOOL, rows_a_group=1)
    figure = validate(
        world.gold, world.judge(0.5), world.judge(0.9), world.groups, BOOL, ids=world.ids
    ).after.metrics["kappa"]
    found = decide(1.0, None, figure, 0.0, GatePolicy(min_metric=0.5), metric="kappa")
    assert found.promoted
    assert [check.name for check in found.checks] == ["coverage", "rows", "better_than_constant", "metric"]
    with pytest.raises(UsageError, match="replace"):
        decide(1.0, None, figure, 0.0, GatePolicy(margin=0.1), metric="kappa")
