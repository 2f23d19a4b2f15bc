"""A grid is run once, whatever happens meanwhile, and what is said of it follows from its lines."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from judge_opt.core.errors import ConfigError
from judge_opt.testing.bench.analysis import differences, ranks, summaries
from judge_opt.testing.bench.config import BenchConfig, load_bench
from judge_opt.testing.bench.efficiency import efficiencies
from judge_opt.testing.bench.run import lines_of

ROOT = Path(__file__).parents[3]
TINY = {
    "name": "tiny",
    "families": ["trial"],
    "sizes": [{"labels": 10, "worlds": 2}],
    "held_out": 20,
    "reference": "untouched",
    "arms": [
        {"name": "untouched", "optimizer": "noop"},
        {"name": "failing", "optimizer": "memalign", "settings": {"shots": "many"}, "baseline": "untouched"},
    ],
}


def bench(folder, grid=TINY, **environment):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(grid))
    command = [sys.executable, "-m", "judge_opt", "bench", path, "--home", folder / "home"]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def files(folder):
    (run,) = (folder / "home" / "bench").iterdir()
    names = (
        "cells.parquet",
        "summary.parquet",
        "differences.parquet",
        "report.md",
        "curves.png",
        "pareto.png",
        "ranks.png",
    )
    return {name: (run / name).read_bytes() for name in names}


def test_a_killed_grid_resumes_to_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    done = bench(whole)
    assert done.returncode == 0, done.stderr
    assert "4/4" in done.stdout
    killed = bench(broken, JUDGE_OPT_KILL_AT="bench.cell_done:2")
    assert killed.returncode == -signal.SIGKILL
    resumed = bench(broken)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("/4 trial") == 2  # the two that were left
    assert files(broken) == files(whole)
    config = BenchConfig.model_validate(TINY)
    (run,) = (whole / "home" / "bench").iterdir()
    lines = lines_of(run, config)
    assert [line["arm"] for line in lines] == ["untouched", "failing"] * 2
    assert all(line["error"] for line in lines if line["arm"] == "failing")
    assert all(line["judge_calls"] == 20 for line in lines)
    assert lines[0]["kappa"] == lines[1]["kappa"]  # a failed alignment leaves the untouched judge


def test_a_grown_grid_runs_what_is_new_and_a_changed_arm_is_run_anew(tmp_path):
    assert bench(tmp_path).stdout.count("/4 trial") == 4
    arms = [*TINY["arms"], {"name": "other", "optimizer": "noop"}]
    grown = bench(tmp_path, grid={**TINY, "arms": arms})
    assert grown.stdout.count("/6 trial") == grown.stdout.count(" other: kappa") == 2
    arms[1] = {**arms[1], "settings": {"shots": "none"}}
    changed = bench(tmp_path, grid={**TINY, "arms": arms})
    assert changed.stdout.count("/6 trial") == changed.stdout.count(" failing: ") == 2
    config = BenchConfig.model_validate({**TINY, "arms": arms})
    (run,) = (tmp_path / "home" / "bench").iterdir()
    assert (
        len(lines_of(run, config)) == 6
    )  # the lines of the arm as it was are in the journal, and do not count


def line(arm, world, kappa, **more):
    return {
        "family": "trial", "world": world, "labels": 10, "arm": arm, "kappa": kappa, "kappa_all": kappa or 0.0,
        "coverage": 1.0, "align_calls": 5, "judge_calls": 20, "align_tokens": 50, "judge_tokens": 100,
        "embedding_calls": 0, "changed": True, "error": "", "align_s": 0.1, "judge_s": 0.1, **more,
    }  # fmt: skip


CONFIG = BenchConfig.model_validate(
    {
        **TINY,
        "reference": "good",
        "arms": [
            {"name": "plain", "optimizer": "noop"},
            {"name": "good", "optimizer": "memalign", "baseline": "plain"},
            {"name": "same", "optimizer": "memalign", "baseline": "plain"},
        ],
    }
)


def made(n=20):
    lines = []
    for world in range(n):
        base = (world % 5) / 10
        harmed = world == 3
        lines += [
            line("plain", world, base),
            line("good", world, base - 0.1 if harmed else base + 0.3),
            line("same", world, base + (0.31 if world % 2 else 0.29) - (0.4 if harmed else 0.0)),
        ]
    return lines


def test_a_clear_difference_is_settled_and_an_even_one_is_not():
    gaps = {one.arm: one for one in differences(made(), CONFIG)}
    assert gaps["plain"].settled
    assert gaps["plain"].low > 0.1
    assert gaps["plain"].p < 0.01
    assert not gaps["same"].settled
    assert gaps["same"].low < 0 < gaps["same"].high
    few = {one.arm: one for one in differences(made(3), CONFIG)}
    assert not few["plain"].settled  # three worlds settle nothing


def test_harm_and_missing_verdicts_are_counted():
    lines = [
        *made(),
        line("good", 20, None, coverage=0.3, kappa_all=-0.5, changed=False),
        line("plain", 20, 0.4, changed=None),
    ]
    good = next(one for one in summaries(lines, CONFIG) if one.arm == "good")
    assert (good.worlds, good.changed, good.harmed) == (21, 20, 2)
    assert next(one for one in summaries(lines, CONFIG) if one.arm == "plain").changed is None
    assert good.worst == 0.0 or good.worst < 0.2
    assert next(one for one in summaries(lines, CONFIG) if one.arm == "plain").harmed is None


def test_ranks_share_ties_and_need_every_arm():
    order, critical, worlds = ranks([*made(), line("good", 99, 0.5)], 10)
    assert worlds == 20
    assert order["plain"] > 2.5 > 1.9 > order["good"]
    assert sum(order.values()) == pytest.approx(6)
    assert 0.6 < critical < 0.9  # 2.343 * sqrt(3 * 4 / (6 * 20)), Demsar's table


def test_labels_needed_are_interpolated_between_the_sizes_that_were_run():
    sizes = [{"labels": 40, "worlds": 20}, {"labels": 10, "worlds": 20}]
    config = BenchConfig.model_validate({**CONFIG.model_dump(), "sizes": sizes})
    lines = []
    for world in range(20):
        base = (world % 5) / 100
        few, many = {"labels": 10}, {"labels": 40}
        lines += [line("good", world, base + 0.2, **few), line("good", world, base + 0.6, **many)]
        lines += [line("plain", world, base + 0.4, **many), line("same", world, base + 0.1, **many)]
    needed = {one.arm: one for one in efficiencies(lines, config, 40)}
    assert needed["plain"].needed == pytest.approx(20)  # half way on a logarithmic scale
    assert needed["plain"].low == needed["plain"].high == pytest.approx(20)  # worlds shift all arms alike
    assert needed["same"].needed == 10
    lines = [{**one, "kappa": 0.7} if one["arm"] == "plain" else one for one in lines]
    assert efficiencies(lines, config, 40)[0].needed == float("inf")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"families": ["nowhere"]}, "nowhere"),
        ({"reference": "nobody"}, "nobody"),
        ({"arms": [{"name": "a"}], "reference": "a"}, "either optimizer or rival"),
        ({"arms": [{"name": "a", "rival": "x"}], "reference": "a"}, "names no runner"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, change, word):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({**TINY, **change}))
    with pytest.raises(ConfigError, match=word):
        load_bench(path)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "bench").glob("*.yaml")), ids=lambda one: one.stem
)
def test_the_shipped_configurations_are_sound(path):
    config = load_bench(path)
    assert config.reference == "memalign"
