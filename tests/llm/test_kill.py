"""kill -9 at every named point: only calls in flight are bought again, and the result is the same."""

import os
import signal
import subprocess
import sys

import pytest

from judge_opt.llm.store import CallStore
from judge_opt.testing.fault_server import FaultServer

RUN = """
import sys
from pathlib import Path
from judge_opt.llm import Session, map_threads
base_url, home, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with Session(home, run_id="run") as session:
    lm = session.lm("openai:/any", base_url=base_url)
    replies = map_threads(lambda i: lm(f"question {i}")[0], range(20), concurrency=threads)
    print("|".join(replies))
"""


def answer(body):
    return "echo " + body["messages"][-1]["content"]


def run(server, home, threads, kill_at=""):
    env = {**os.environ, "PYTHONPATH": os.getcwd(), "JUDGE_OPT_KILL_AT": kill_at}
    args = [sys.executable, "-c", RUN, server.base_url, str(home), str(threads)]
    return subprocess.run(args, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("point", ["llm.before_call:7", "llm.reply_received:7", "llm.committed:7"])
def test_only_calls_in_flight_are_bought_twice(tmp_path, point, threads):
    with FaultServer(answer) as server:
        killed = run(server, tmp_path, threads, point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        server.settle()
        sent = server.completions
        (line,) = CallStore(tmp_path / "calls.db").summary("run") or [None]
        stored = line.calls if line else 0
        assert 0 <= sent - stored <= threads
        resumed = run(server, tmp_path, threads)
        assert resumed.returncode == 0, resumed.stderr
        assert server.completions - sent == 20 - stored
        (line,) = CallStore(tmp_path / "calls.db").summary("run")
        assert line.calls == 20
    assert resumed.stdout == "|".join(f"echo question {i}" for i in range(20)) + "\n"


def test_a_loop_of_kills_ends_in_the_same_result(tmp_path):
    with FaultServer(answer) as server:
        kills = 0
        while (done := run(server, tmp_path, 3, f"llm.reply_received:{4 + kills % 3}")).returncode:
            kills += 1
            assert kills < 12
        server.settle()
        (line,) = CallStore(tmp_path / "calls.db").summary("run")
        assert line.calls == 20
        assert server.completions - line.calls <= 3 * kills
    assert done.stdout == "|".join(f"echo question {i}" for i in range(20)) + "\n"


def test_ctrl_c_ends_calls_in_flight_and_keeps_them(tmp_path):
    slow = RUN.replace("range(20)", "range(500)")
    with FaultServer(lambda body: __import__("time").sleep(0.1) or answer(body)) as server:
        env = {**os.environ, "PYTHONPATH": os.getcwd()}
        args = [sys.executable, "-c", slow, server.base_url, str(tmp_path), "4"]
        child = subprocess.Popen(args, env=env, stderr=subprocess.PIPE, text=True)
        while server.completions < 8:
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in child.communicate(timeout=10)[1]
        (line,) = CallStore(tmp_path / "calls.db").summary("run")
        assert line.calls == server.completions < 100
