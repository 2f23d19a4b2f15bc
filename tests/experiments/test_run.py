"""Whole experiments in child processes against a real endpoint: promoted, refused, killed, resumed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import alignment_world as world
import pytest
import yaml

from judge_opt.align.noop import NoOp
from judge_opt.align.running import alignment
from judge_opt.core.errors import BudgetExceeded
from judge_opt.experiments.config import load_config
from judge_opt.experiments.run import prepare, run
from judge_opt.experiments.runs import list_runs, load_report
from judge_opt.llm.keys import repeat
from judge_opt.llm.store import CallStore
from judge_opt.registry.judges import get_judge
from judge_opt.testing.fault_server import FaultServer

ROOT = Path(__file__).parents[2]
CONCURRENCY = 4


@pytest.fixture(scope="module")
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture(scope="module")
def config(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("config")
    data = folder / "rows.jsonl"
    with data.open("w") as lines:
        for row in [*world.rows(60), *world.rows(60, seed=1)]:
            votes = [
                {"rater": v.rater, "name": "dated", "value": v.value, "rationale": v.rationale}
                for v in row.votes
            ]
            item = {
                "id": row.id,
                "outputs": row.fields["outputs"],
                "inputs": "",
                "session": row.group,
                "human": votes,
            }
            lines.write(json.dumps(item) + "\n")
    path = folder / "world.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "world",
                "data": {"path": str(data)},
                "judge": {
                    "name": "dated",
                    "model": "openai:/sim",
                    "base_url": server.base_url,
                    "values": {"categories": ["good", "bad"]},
                    "instructions": "Is {{ outputs }} a good reply?",
                },
                "optimizer": {"settings": {"embedder": "openai:/embed", "first_rows": 10}},
                "split": {"train": 40, "test": 50},
                "concurrency": CONCURRENCY,
            }
        )
    )
    return path


def align(config, home, kill_at=""):
    environment = {k: v for k, v in os.environ.items() if k != "JUDGE_OPT_KILL_AT"}
    if kill_at:
        environment["JUDGE_OPT_KILL_AT"] = kill_at
    environment["PYTHONPATH"] = str(ROOT)
    command = [
        sys.executable,
        "-m",
        "judge_opt",
        "align",
        str(config),
        "--home",
        str(home),
        "--yes",
        "--json",
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def results(home):
    (found,) = (home / "runs").glob("*/results.json")
    return found.read_bytes()


def test_a_judge_that_learns_is_promoted_and_registered(config, tmp_path):
    home = tmp_path / "home"
    done = align(config, home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    (summary,) = list_runs(home)
    report = load_report(home, summary.run_id)
    assert report.status == "promoted"
    assert report.validation.after.metrics["kappa"].value > 0.9
    judge = get_judge("dated", "production", home=home)
    assert judge.memory is not None
    for name in ("report.html", "report.md", "config.yaml", "split.json", "events.jsonl"):
        assert (summary.folder / name).stat().st_size > 0


def test_where_nothing_helps_the_untouched_judge_is_kept(config, server, tmp_path):
    server.answer = world.perfect
    home = tmp_path / "home"
    try:
        done = align(config, home)
    finally:
        server.answer = world.answer
    assert done.returncode == 10, done.stderr
    (summary,) = list_runs(home)
    assert summary.status == "not_promoted"
    assert "untouched" in summary.headline
    assert not list((home / "runs").glob("*/judge/*.f32"))


POINTS = [
    "llm.before_call:5",
    "llm.reply_received:1",
    "llm.reply_received:47",
    "llm.committed:60",
    "experiment.aligned",
    "experiment.validated",
    "experiment.registered",
    "experiment.results",
]


@pytest.fixture(scope="module")
def whole(config, server, tmp_path_factory):
    """What an uninterrupted run ends in, and what it buys."""
    home = tmp_path_factory.mktemp("whole") / "home"
    before = server.completions
    done = align(config, home)
    assert done.returncode == 0, done.stderr
    return results(home), server.completions - before


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_resumes_and_buys_only_what_was_in_flight(config, server, tmp_path, whole, point):
    expected, bought = whole
    home, before = tmp_path / "home", server.completions
    killed = align(config, home, kill_at=point)
    assert killed.returncode == -9, (point, killed.returncode, killed.stderr[-500:])
    server.settle()
    resumed = align(config, home)
    assert resumed.returncode == 0, resumed.stderr
    assert results(home) == expected
    asked = server.completions - before
    assert bought <= asked <= bought + CONCURRENCY
    store = CallStore(home / "calls.db")
    booked = sum(line.calls for line in store.summary() if line.purpose != "embed")
    store.close()
    assert booked == bought


def test_a_finished_run_buys_nothing_when_it_is_run_again(config, server, tmp_path):
    home = tmp_path / "home"
    align(config, home)
    before, first = server.completions, results(home)
    assert align(config, home).returncode == 0
    assert server.completions == before
    assert results(home) == first


class Greedy(NoOp):
    """Asks the same again until nobody lets it, as a search without an end would."""

    name = "greedy"

    def align(self, judge, train, *, valid=None, budget=None, seed=0, callbacks=()):
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            for index in range(100):
                try:
                    with repeat(index):
                        judge.batch([one.fields for one in train], concurrency=1)
                except BudgetExceeded:
                    return run.result(judge, stopped="budget")
        raise AssertionError("nothing stopped it")


def test_a_search_leaves_the_calls_that_the_comparison_needs(config, tmp_path):
    loaded, folder = load_config(config, {"budget.calls": 180, "split.train": 30})
    outcome = run(replace(prepare(loaded, folder, tmp_path), optimizer=Greedy()))
    assert outcome.report.validation.n_rows == 50
    assert outcome.report.validation.after.coverage == 1.0
    calls = sum(line.calls for line in outcome.report.ledger if line.purpose != "embed")
    assert 80 + 50 <= calls <= 180  # 80 for the search, and every held-out row once: the judge is the same
