"""kill -9 and Ctrl-C: what was judged is judged once, and the end is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from evaluation_world import result_files, say

from judge_opt.evaluation import load_evaluation
from judge_opt.llm.store import CallStore
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.traces import Store

ROWS, THREADS = 20, 3
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from evaluation_world import polite, rows
from judge_opt.evaluation import evaluate
from judge_opt.llm import Session, current_session, use_session

class Server:
    base_url = sys.argv[1]

home, with_agent = Path(sys.argv[2]), sys.argv[3] == "agent"

def agent(question):
    lm = current_session().lm("openai:/agent", purpose="agent", base_url=Server.base_url)
    with open(home / "ran.txt", "a") as ran:
        ran.write(question + chr(10))
    return {"reply": question + lm(question)[0]}

def length(outputs) -> int:
    return len(outputs["reply"])

home.mkdir(exist_ok=True)
with Session(home) as session, use_session(session):
    result = evaluate(rows(20), [polite(Server), length], agent if with_agent else None, run_id="run", concurrency=3)
    print(result.status)
"""


def answer(body: dict[str, Any]) -> str:
    return " please" if body["model"] == "agent" else say(body)


def start(server: FaultServer, home: Path, mode: str, kill_at: str = "") -> "subprocess.Popen[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUDGE_OPT_", "OPENAI_"))}
    root = Path(__file__).parents[2]
    env = {**kept, "PYTHONPATH": str(root), "JUDGE_OPT_KILL_AT": kill_at}
    arguments = [sys.executable, "-c", RUN, server.base_url, str(home), mode, str(Path(__file__).parent)]
    return subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(server: FaultServer, home: Path, mode: str, kill_at: str = "") -> "subprocess.CompletedProcess[str]":
    child = start(server, home, mode, kill_at)
    out, err = child.communicate(timeout=120)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def bought(home: Path) -> int:
    return sum(line.calls for line in CallStore(home / "calls.db").summary())


def check_whole(home: Path, reference: Path) -> None:
    """Every row once, in the files and in the store, and the same bytes as without a kill."""
    folder = home / "evaluations" / "run"
    assert result_files(folder) == result_files(reference / "evaluations" / "run")
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    assert [one["id"] for one in verdicts] == [f"r{number:04d}" for number in range(ROWS)]
    result = load_evaluation("run", home=home)
    assert result.status == "complete"
    with Store(home / "store.db") as store:
        for row in result.to_dicts():
            words = store.assessments(row["trace_id"])
            assert sorted(word.name for word in words) == ["length", "polite"]
            assert all(word.votes for word in words)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A home for each mode with the run that nothing disturbed."""
    homes = {}
    for mode in ("rows", "agent"):
        homes[mode] = tmp_path_factory.mktemp(mode) / "home"
        with FaultServer(answer) as server:
            done = run(server, homes[mode], mode)
            assert done.returncode == 0, done.stderr
    return homes


@pytest.mark.parametrize(
    ("mode", "point"),
    [
        ("rows", "llm.reply_received:7"),
        ("rows", "llm.committed:7"),
        ("rows", "evaluation.judged:9"),
        ("rows", "evaluation.journal_written:9"),
        ("rows", "evaluation.before_store"),
        ("rows", "evaluation.store_committed"),
        ("rows", "evaluation.before_results"),
        ("rows", "evaluation.results_written"),
        ("agent", "evaluation.agent_done:5"),
        ("agent", "evaluation.judged:6"),
        ("agent", "evaluation.journal_written:11"),
        ("agent", "evaluation.before_store"),
    ],
)
def test_a_killed_run_buys_only_what_was_in_flight_again(
    tmp_path: Path, references: dict[str, Path], mode: str, point: str
) -> None:
    home = tmp_path / "home"
    with FaultServer(answer) as server:
        killed = run(server, home, mode, point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        server.settle()
        sent, stored = server.completions, bought(home)
        assert 0 <= sent - stored <= THREADS
        resumed = run(server, home, mode)
        assert resumed.returncode == 0, resumed.stderr
        server.settle()
        assert server.completions - sent == (2 if mode == "agent" else 1) * ROWS - stored
    if mode == "agent":
        ran = (home / "ran.txt").read_text().splitlines()
        assert len(set(ran)) == ROWS
        assert len(ran) <= ROWS + THREADS
    check_whole(home, references[mode])


def test_a_loop_of_kills_ends_in_the_same_result(tmp_path: Path, references: dict[str, Path]) -> None:
    home = tmp_path / "home"
    points = ["evaluation.judged:5", "evaluation.agent_done:4", "evaluation.journal_written:6"]
    with FaultServer(answer) as server:
        kills = 0
        while (done := run(server, home, "agent", points[kills % 3])).returncode:
            assert done.returncode == -signal.SIGKILL, done.stderr
            kills += 1
            assert kills < 25
        server.settle()
        assert server.completions <= 2 * ROWS + THREADS * kills
    check_whole(home, references["agent"])


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path, references: dict[str, Path]) -> None:
    home = tmp_path / "home"
    with FaultServer(lambda body: Reply(text=answer(body), delay=0.1)) as server:
        child = start(server, home, "rows")
        deadline = time.monotonic() + 60
        while server.completions < 5:
            assert time.monotonic() < deadline
            assert child.poll() is None, child.communicate()
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert "KeyboardInterrupt" in err
        assert "run_id='run'" in err
        server.settle()
        sent = server.completions
        assert bought(home) == sent < ROWS
        part = load_evaluation("run", home=home)
        assert part.status == "stopped"
        assert part.judge_metrics["polite"].n_scored == sent
        assert run(server, home, "rows").returncode == 0
        assert server.completions == ROWS
    check_whole(home, references["rows"])


def test_one_process_at_a_time(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with FaultServer(lambda body: Reply(text=answer(body), delay=0.3)) as server:
        first = start(server, home, "rows")
        deadline = time.monotonic() + 60
        while server.completions < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        second = run(server, home, "rows")
        assert "running in another process" in second.stderr
        assert first.communicate(timeout=60)[0] == "complete\n"
        assert server.completions == ROWS
