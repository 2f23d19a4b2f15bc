"""`judge-opt evaluate` with criteria, several judges and a budget; `judge-opt compare`."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import LABELS, Run, environment, row, write_rows

from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.registry.judges import register
from judge_opt.testing.fault_server import FaultServer, Reply


@pytest.fixture
def home(tmp_path: Path, server: FaultServer) -> Path:
    """A home with two judges and a file of rows."""
    for name in ("tone", "manners"):
        judge = make_judge(
            name,
            f"Is {{{{ outputs.reply }}}} of good {name}?",
            "openai:/any",
            categories(*LABELS),
            base_url=server.base_url,
            generate_rationale_first=False,
        )
        register(judge, home=tmp_path / ".judge_opt")
    write_rows(tmp_path / "rows.jsonl", [row(i) for i in range(24)])
    return tmp_path / ".judge_opt"


EVALUATE = ("evaluate", "--data", "rows.jsonl", "--judge", "tone")


def test_criteria_decide_the_exit_code(judge_opt: Run, home: Path, server: FaultServer) -> None:
    met = judge_opt(*EVALUATE, "--require", "tone/share/good >= 0.25 at 95 %", "--json")
    assert met.code == 0, met.err
    assert met.json["criteria"][0]["status"] == "met"
    mixed = judge_opt(
        *EVALUATE, "--require", "tone/share/good >= 0.25", "--require", "tone/share/good >= .9", "--json"
    )
    assert mixed.code == 10
    assert [one["status"] for one in mixed.json["criteria"]] == ["met", "not met"]
    unsure = judge_opt(*EVALUATE, "--require", "tone/share/good >= 0.5")
    assert unsure.code == 10
    assert "undecided" in unsure.out
    assert server.completions == 24
    wrong = judge_opt(*EVALUATE, "--require", "tune >= 1")
    assert wrong.code == 2
    assert "Did you mean 'tone'" in wrong.err


def test_several_judges_and_a_comparison(judge_opt: Run, home: Path, tmp_path: Path) -> None:
    both = ("--judge", "manners", "--out", "said.jsonl", "--csv", "table.csv")
    first = judge_opt(*EVALUATE, *both, "--id", "before", "--json")
    assert first.code == 0, first.err
    assert set(first.json["judges"]) == {"tone", "manners"}
    assert first.json["judges"]["tone"]["agreement"]["metrics"]["agreement"]["value"] == 1.0
    assert (home / "evaluations" / "before" / "results.json").is_file()
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [one["name"] for one in said[0]["judges"]] == ["tone", "manners"]
    with (tmp_path / "table.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 24
    write_rows(tmp_path / "rows.jsonl", [row(i) for i in range(2, 26)])
    assert judge_opt(*EVALUATE, "--id", "after").code == 0
    compared = judge_opt("compare", "before", "after", "--json")
    assert compared.code == 0, compared.err
    assert (compared.json["n_shared"], compared.json["only_a"], compared.json["only_b"]) == (22, 2, 2)
    shown = judge_opt("compare", "before", "after")
    assert "tone: no difference shown" in shown.out
    assert judge_opt("compare", "before", "nothing").code == 7


def test_a_budget_ends_with_code_5_and_shows_what_there_is(
    judge_opt: Run, home: Path, server: FaultServer
) -> None:
    ended = judge_opt(*EVALUATE, "--budget-calls", "7", "--json")
    assert ended.code == 5, ended.err
    assert server.completions == 7
    assert (ended.json["status"], ended.json["unscored"]) == ("stopped", {"cancelled": 17})
    assert judge_opt(*EVALUATE).code == 0
    assert server.completions == 24


def test_a_dry_run_says_what_would_be_bought(judge_opt: Run, home: Path, server: FaultServer) -> None:
    plan = judge_opt(*EVALUATE, "--dry-run", "--json").json["plan"]["tone"]
    assert (plan["rows"], plan["calls"], plan["cached"]) == (24, 24, 0)
    assert plan["tokens"] > 24 * 20
    assert server.completions == 0
    assert not (home / "evaluations").exists()
    judge_opt(*EVALUATE)
    plan = judge_opt(*EVALUATE, "--dry-run", "--json").json["plan"]["tone"]
    assert (plan["calls"], plan["cached"], plan["usd"]) == (0, 24, 0.0)
    assert "from cache" in judge_opt(*EVALUATE, "--dry-run").out


def test_no_store_writes_no_trace(judge_opt: Run, home: Path) -> None:
    from judge_opt.traces import Store

    def traces() -> int:
        with Store(home / "store.db") as store:
            return len(list(store.iter_traces()))

    assert judge_opt(*EVALUATE, "--no-store").code == 0
    assert traces() == 0
    assert judge_opt(*EVALUATE).code == 0
    assert traces() == 24


def test_ctrl_c_keeps_what_is_judged(judge_opt: Run, home: Path, server: FaultServer, tmp_path: Path) -> None:
    said = server.answer

    def slowly(body: dict[str, Any]) -> Reply:
        return Reply(text=str(said(body)), delay=0.5)

    server.answer = slowly
    child = subprocess.Popen(
        [sys.executable, "-m", "judge_opt", *EVALUATE, "--concurrency", "2"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while server.completions < 4:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "To resume: judge-opt evaluate" in err
    assert "Traceback" not in err
    server.settle()
    sent = server.completions
    assert sent < 24
    server.answer = said
    ended = judge_opt(*EVALUATE, "--json")
    assert ended.code == 0, ended.err
    assert (server.completions, ended.json["coverage"]) == (24, 1.0)
