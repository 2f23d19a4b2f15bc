"""kill -9 and Ctrl-C: what was judged is judged once, and the end is the same."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from evaluation_world import polite, result_files, rows, say

from judge_opt.core.errors import Conflict
from judge_opt.evaluation import evaluate, load_evaluation
from judge_opt.llm.session import Session, use_session
from judge_opt.llm.store import CallStore
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.traces import Store

ROWS, THREADS = 20, 3
FORGE = """
import importlib, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from evaluation_world import polite, rows
from judge_opt.core import killpoints
from judge_opt.evaluation import evaluate
import judge_opt.evaluation.run
from judge_opt.llm import Session, current_session, use_session

def length(outputs) -> int:
    return len(outputs["reply"])

def work(home, mode, server, store):
    def agent(question):
        lm = current_session().lm("openai:/agent", purpose="agent", base_url=server.base_url)
        with open(home / "ran.txt", "a") as ran:
            ran.write(question + chr(10))
        return {"reply": question + lm(question)[0]}

    home.mkdir(exist_ok=True)
    judges, by = [polite(server), length], agent if mode == "agent" else None
    with Session(home) as session, use_session(session):
        print(evaluate(rows(20), judges, by, run_id="run", concurrency=3, store=store).status, flush=True)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        os.environ["JUDGE_OPT_KILL_AT"] = order["kill_at"]
        importlib.reload(killpoints)
        class server:
            base_url = order["base_url"]
        try:
            work(Path(order["home"]), order["mode"], server, order["store"])
        except BaseException as error:
            print(repr(error), *getattr(error, "__notes__", ()), flush=True)
            os._exit(1)
        os._exit(0)
    print(json.dumps({"pid": child}), flush=True)
    print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}), flush=True)
"""
"""Imports once and forks a process for each order: what is killed is a process, what is paid for is one."""


class Forge:
    def __init__(self) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUDGE_OPT_", "OPENAI_"))}
        env = {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}
        arguments = [sys.executable, "-c", FORGE, str(Path(__file__).parent)]
        self._process = subprocess.Popen(
            arguments, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._said: list[str] = []
        self._child = 0

    def start(
        self, server: FaultServer, home: Path, mode: str, kill_at: str = "", store: str | None = None
    ) -> int:
        """Begin a run and return its process id."""
        assert self._process.stdin is not None
        order = {
            "base_url": server.base_url, "home": str(home), "mode": mode, "kill_at": kill_at, "store": store
        }  # fmt: skip
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._child = int(self._read("pid"))
        return self._child

    def wait(self) -> tuple[int, str]:
        """Exit code and output of the run that was begun."""
        code = int(self._read("code"))
        said, self._said = "\n".join(self._said), []
        return code, said

    def wait_within(self, seconds: float) -> tuple[int, str] | None:
        """As `wait`; None where the run has not ended by then."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.wait)
            try:
                return waiting.result(seconds)
            except TimeoutError:
                os.kill(self._child, signal.SIGKILL)
                return None

    def run(
        self, server: FaultServer, home: Path, mode: str, kill_at: str = "", store: str | None = None
    ) -> tuple[int, str]:
        self.start(server, home, mode, kill_at, store)
        return self.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _read(self, key: str) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)[key]
            self._said.append(line.rstrip())
        raise AssertionError("the forge has ended")


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


def answer(body: dict[str, Any]) -> str:
    return " please" if body["model"] == "agent" else say(body)


def bought(home: Path) -> int:
    return sum(line.calls for line in CallStore(home / "calls.db").summary())


def check_whole(home: Path, reference: Path, store_url: str | Path | None = None) -> None:
    """Every row once, in the files and in the store, and the same bytes as without a kill."""
    folder = home / "evaluations" / "run"
    assert result_files(folder) == result_files(reference / "evaluations" / "run")
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    assert [one["id"] for one in verdicts] == [f"r{number:04d}" for number in range(ROWS)]
    result = load_evaluation("run", home=home)
    assert result.status == "complete"
    with Store(store_url or home / "store.db", create=False) as store:
        for row in result.to_dicts():
            words = store.assessments(row["trace_id"])
            assert sorted(word.name for word in words) == ["length", "polite"]
            assert all(word.votes for word in words)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory, forge: Forge) -> dict[str, Path]:
    """A home for each mode with the run that nothing disturbed."""
    homes = {}
    for mode in ("rows", "agent"):
        homes[mode] = tmp_path_factory.mktemp(mode) / "home"
        with FaultServer(answer) as server:
            code, said = forge.run(server, homes[mode], mode)
            assert code == 0, said
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
    tmp_path: Path, forge: Forge, references: dict[str, Path], mode: str, point: str
) -> None:
    home = tmp_path / "home"
    with FaultServer(answer) as server:
        code, said = forge.run(server, home, mode, point)
        assert code == -signal.SIGKILL, said
        server.settle()
        sent, stored = server.completions, bought(home)
        assert 0 <= sent - stored <= THREADS
        code, said = forge.run(server, home, mode)
        assert code == 0, said
        server.settle()
        assert server.completions - sent == (2 if mode == "agent" else 1) * ROWS - stored
    if mode == "agent":
        ran = (home / "ran.txt").read_text().splitlines()
        assert len(set(ran)) == ROWS
        assert len(ran) <= ROWS + THREADS
    check_whole(home, references[mode])


@pytest.mark.parametrize("point", ["before_store", "store_committed", "journal_written:9"])
def test_a_killed_run_leaves_each_verdict_once_in_the_store(
    tmp_path: Path, forge: Forge, references: dict[str, Path], store_url: str, point: str
) -> None:
    home = tmp_path / "home"
    with FaultServer(answer) as server:
        code, said = forge.run(server, home, "rows", f"evaluation.{point}", store_url)
        assert code == -signal.SIGKILL, said
        code, said = forge.run(server, home, "rows", store=store_url)
        assert code == 0, said
        assert forge.run(server, home, "rows", store=store_url)[0] == 0  # once more changes nothing
    check_whole(home, references["rows"], store_url)
    assert not (home / "store.db").exists()
    with Store(store_url) as store:
        assert sum(len(trace.assessments) for trace in store.iter_traces()) == 2 * ROWS


def test_a_loop_of_kills_ends_in_the_same_result(
    tmp_path: Path, forge: Forge, references: dict[str, Path]
) -> None:
    home = tmp_path / "home"
    points = ["evaluation.judged:5", "evaluation.agent_done:4", "evaluation.journal_written:6"]
    kills = 0
    with FaultServer(answer) as server:
        while (ended := forge.run(server, home, "agent", points[kills % 3]))[0]:
            assert ended[0] == -signal.SIGKILL, ended
            kills += 1
            assert kills < 25
        server.settle()
        assert server.completions <= 2 * ROWS + THREADS * kills
    assert kills > 3
    check_whole(home, references["agent"])


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, forge: Forge, references: dict[str, Path]
) -> None:
    home = tmp_path / "home"
    with FaultServer(lambda body: Reply(text=answer(body), delay=1.0)) as server:
        child = forge.start(server, home, "rows")
        wait_for(lambda: server.completions >= 5)
        os.kill(child, signal.SIGINT)
        code, said = forge.wait()
        assert code == 1
        assert "KeyboardInterrupt" in said
        assert "run_id='run'" in said
        server.settle()
        sent = server.completions
        assert bought(home) == sent < ROWS
        part = load_evaluation("run", home=home)
        assert part.status == "stopped"
        assert part.judge_metrics["polite"].n_scored == sent
        server.answer = answer
        assert forge.run(server, home, "rows")[0] == 0
        assert server.completions == ROWS
    check_whole(home, references["rows"])


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, forge: Forge, references: dict[str, Path]) -> None:
    home = tmp_path / "home"
    go_on = threading.Event()

    def waiting(body: dict[str, Any]) -> str:
        go_on.wait(200)
        return answer(body)

    with FaultServer(waiting) as server:
        child = forge.start(server, home, "rows")
        wait_for(lambda: server.completions >= 3)
        for _ in range(2):
            os.kill(child, signal.SIGINT)
            time.sleep(1.0)
        ended = forge.wait_within(30)
        go_on.set()
        assert ended is not None, "it waited for the calls in flight"
        assert (ended[0], "KeyboardInterrupt" in ended[1]) == (1, True)
    assert load_evaluation("run", home=home).status == "stopped"


def test_one_process_at_a_time(tmp_path: Path, forge: Forge) -> None:
    home = tmp_path / "home"
    go_on = threading.Event()

    def waiting(body: dict[str, Any]) -> str:
        go_on.wait(200)
        return answer(body)

    with FaultServer(waiting) as server:
        forge.start(server, home, "rows")
        wait_for(lambda: server.completions >= 3)
        refused = pytest.raises(Conflict, match="running in another process")
        with Session(home) as session, use_session(session), refused:
            evaluate(rows(20), polite(server), run_id="run")
        go_on.set()
        assert forge.wait() == (0, "complete")
        assert server.completions == ROWS


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
