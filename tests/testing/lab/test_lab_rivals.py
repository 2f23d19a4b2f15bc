"""The rivals' runner, where their environment was made (`python -m benchmarks.rivals.environment`)."""

import json

import pytest

from benchmarks.rivals.environment import home
from benchmarks.rivals.runner import Rival, spent, task, values
from judge_opt.core.results import Value
from judge_opt.testing.lab import LabProcess, Parameters, World
from judge_opt.testing.lab.world import TASK

WORLD = World(3)


def made(arm, url, **more):
    return task(arm, url, WORLD.value_type, TASK, WORLD.examples(12), WORLD.held_out(6), threads=1, **more)


def test_a_task_holds_no_label_of_a_held_out_row():
    body = made("untouched", "http://127.0.0.1:1/v1")
    assert set(body["held_out"][0]) == {"id", "inputs", "outputs"}
    ids = {row.id for row in WORLD.held_out(6)}
    assert not [row for row in body["train"] if row["id"] in ids]
    json.dumps(body)


def test_a_verdict_that_is_no_label_is_none():
    said: dict[str, list[Value | None]] = {"verdicts": ["Pass", " fail ", "MAYBE", None]}
    assert values(said, WORLD.value_type) == ["pass", "fail", None, None]


@pytest.mark.skipif(not (home() / "ready").exists(), reason="the rivals' environment was not made here")
def test_rivals_run_apart_and_the_server_counts_them():
    with LabProcess(Parameters(fresh_repeats=True)) as server, Rival() as rival:
        assert {"mlflow.memalign", "mlflow.gepa", "dspy.simba", "knn_copy"} <= set(rival.arms)
        found = {
            arm: rival.run(made(arm, server.base_url))
            for arm in ("mlflow.memalign", "few_shot.all", "knn_copy")
        }
        again = rival.run(made("mlflow.memalign", server.base_url))
        broken = rival.run(made("dspy.mipro", "http://127.0.0.1:9/v1", limit_s=30))
        after = rival.run(made("untouched", server.base_url))
    assert all(result["error"] is None for result in found.values())
    assert all(None not in values(result, WORLD.value_type) for result in found.values())
    assert found["mlflow.memalign"]["learned"]["guidelines"] > 0
    assert found["mlflow.memalign"]["verdicts"] == again["verdicts"]
    assert spent(found["mlflow.memalign"])["calls"] == 1 + 6
    assert spent(found["few_shot.all"]) | {"tokens": 0} == {"calls": 6, "tokens": 0, "embedding_calls": 0}
    assert spent(found["knn_copy"])["calls"] == 0
    assert broken["error"] is not None
    assert after["error"] is None  # one rival's end is not another's
