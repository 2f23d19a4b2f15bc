"""`judge-opt align` from the first row to the report, against a model server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli_helpers import Run, environment

from judge_opt.testing.fault_server import FaultServer, Reply


def test_a_run_that_keeps_the_untouched_judge_ends_with_code_10(
    judge_opt: Run, project: Callable[..., str], server: FaultServer, tmp_path: Path
) -> None:
    ended = judge_opt("align", project(), "--json")
    assert ended.code == 10, ended.err
    result = ended.json
    assert (result["status"], result["promoted"], result["version"]) == ("not_promoted", False, None)
    assert result["calls"] == {"bought": 20, "cached": 0}
    assert server.completions == 20
    folder = tmp_path / result["folder"]
    for name in ("config.yaml", "events.jsonl", "results.json", "report.html", "report.md", "run.log"):
        assert (folder / name).is_file(), name
    assert "20 to learn from, 20 held out" in ended.err
    assert "held-out rows, untouched: 20/20 rows" in ended.err


def test_the_same_run_again_buys_nothing_and_ends_in_the_same_bytes(
    judge_opt: Run, project: Callable[..., str], server: FaultServer, tmp_path: Path
) -> None:
    config = project()
    folder = tmp_path / judge_opt("align", config, "--json").json["folder"]
    first = (folder / "results.json").read_bytes()
    again = judge_opt("align", config)
    assert again.code == 10
    assert "(resumed)" in again.err
    assert server.completions == 20
    assert (folder / "results.json").read_bytes() == first


def test_stdout_of_a_run_is_the_report_for_people(judge_opt: Run, project: Callable[..., str]) -> None:
    ended = judge_opt("align", project())
    assert "\x1b" not in ended.out
    assert "20 calls bought" in ended.out
    assert "report.html" in ended.out


def test_a_dry_run_makes_no_call_and_no_run(
    judge_opt: Run, project: Callable[..., str], server: FaultServer, tmp_path: Path
) -> None:
    ended = judge_opt("align", project(), "--dry-run", "--json", "--set", "split.seed=3")
    assert ended.code == 0, ended.err
    plan = ended.json["plan"]
    assert (plan["rows"], plan["train"], plan["test"], plan["resumes"]) == (60, 20, 20, False)
    assert server.completions == 0
    assert not (tmp_path / ".judge_opt" / "runs").exists()


def test_set_changes_the_run(judge_opt: Run, project: Callable[..., str]) -> None:
    config = project()
    ids = {
        judge_opt("align", config, "--dry-run", "--json", *change).json["plan"]["run_id"]
        for change in ((), ("--set", "seed=1"), ("--set", "seed=1"))
    }
    assert len(ids) == 2


def test_money_is_not_spent_unasked(judge_opt: Run, project: Callable[..., str], server: FaultServer) -> None:
    config = project(judge__base_url=None)
    ended = judge_opt("align", config, OPENAI_BASE_URL=server.base_url)
    assert ended.code == 2
    assert "--yes" in ended.err
    assert server.completions == 0
    assert judge_opt("align", config, "--yes", OPENAI_BASE_URL=server.base_url).code == 10


def test_a_budget_is_a_hard_stop(judge_opt: Run, project: Callable[..., str], server: FaultServer) -> None:
    ended = judge_opt("align", project(budget={"calls": 7}), "--json")
    assert ended.code == 5, ended.err
    assert server.completions == 7
    assert ended.err.splitlines()[-1].startswith("error: The budget of 7 calls")
    assert ended.json["error"]["kind"] == "BudgetExceeded"


def test_ctrl_c_finishes_what_is_in_flight_and_the_next_run_buys_only_the_rest(
    judge_opt: Run, project: Callable[..., str], server: FaultServer, tmp_path: Path
) -> None:
    server.answer = lambda body: Reply(text=json.dumps({"verdict": "good"}), delay=0.15)
    config = project(concurrency=2)
    child = subprocess.Popen(
        [sys.executable, "-m", "judge_opt", "align", config],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while server.completions < 6:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    bought = server.completions
    assert bought < 20
    assert f"{bought} calls bought" in err
    assert f"To resume: judge-opt align {config}" in err
    assert "Traceback" not in err
    ended = judge_opt("align", config, "--json")
    assert ended.code == 10, ended.err
    assert server.completions == 20
    assert ended.json["calls"]["bought"] == 20
