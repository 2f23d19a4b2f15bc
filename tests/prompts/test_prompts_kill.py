"""kill -9 and Ctrl-C: what was bought is bought once, and the end is the same."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from prompt_world import BETTER, OBJECTIVES, WRITTEN, World, agent_of, judge, rows, strict

from judge_opt import (
    Guard,
    Interrupted,
    Objective,
    Session,
    optimize_prompts,
    register_prompt,
    use_session,
    use_store,
)
from judge_opt.llm.store import CallStore
from judge_opt.testing.fault_server import FaultServer

CHILD = """
import sys
from pathlib import Path
from test_prompts_kill import work
class server:
    base_url = sys.argv[2]
print(work(Path(sys.argv[1]), server), flush=True)
"""
THREADS = 3


def optimize(server, **more):
    return optimize_prompts(
        agent_of(server), rows(12), rows(16, 100), [judge(server)], test=rows(20, 200), objectives=OBJECTIVES,
        guard=Guard([strict(server)], {"strict": Objective(scores=BETTER)}),
        reflection_lm="openai:/reflect", patience=2, concurrency=THREADS, repeats=1, **more,
    )  # fmt: skip


def work(home, server):
    with Session(home) as session, use_session(session), use_store(home / "lab.db"):
        register_prompt("support", WRITTEN)
        result = optimize(server)
        told = [
            [one.name, one.score, one.gain, dict(one.texts), one.learned_from] for one in result.candidates
        ]
        return json.dumps([told, result.verdict, result.confirmed])


def child(home, server, kill_at=""):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUDGE_OPT_", "OPENAI_"))}
    path = os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parent)))
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(home), server.base_url],
        env={**kept, "PYTHONPATH": path, "JUDGE_OPT_KILL_AT": kill_at},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def server():
    with FaultServer(World()) as running:
        yield running


def test_killed_at_several_points_it_ends_in_the_same_result_and_buys_a_call_once(server, tmp_path):
    (tmp_path / "alone").mkdir()
    alone = work(tmp_path / "alone", server)
    needed = server.completions
    server.requests.clear()
    home = tmp_path / "killed"
    home.mkdir()
    # when the first reflection has come back, and further on with 30 more replies
    points = ["prompts.reflected:1", "llm.reply_received:30"]
    for point in points:
        ended = child(home, server, point)
        assert ended.returncode == -signal.SIGKILL, (point, ended.stderr)
    ended = child(home, server)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == alone
    asked = Counter(json.dumps(request.body, sort_keys=True) for request in server.requests)
    assert len(asked) == needed
    assert sum(asked.values()) <= needed + len(points) * THREADS  # only what was in flight is bought again
    booked = sum(line.attempts for line in CallStore(home / "calls.db").summary(None))
    assert needed <= booked <= sum(asked.values())


def test_ctrl_c_carries_the_best_so_far_and_the_next_run_goes_on(server, tmp_path):
    with Session(tmp_path) as session, use_session(session), use_store(tmp_path / "lab.db"):
        register_prompt("support", WRITTEN)

        def stop(event):
            if event.phase == "run the test rows":
                raise KeyboardInterrupt

        with pytest.raises(Interrupted) as caught:
            optimize(server, callbacks=[stop])
        assert "best prompts so far" in caught.value.how
        assert caught.value.so_far.changed
        assert not caught.value.so_far.confirmed
        assert "Not confirmed" in caught.value.so_far.verdict
        bought = server.completions
        result = optimize(server)
        assert result.confirmed
        asked = [json.dumps(request.body, sort_keys=True) for request in server.requests]
        assert len(asked) == len(set(asked)) > bought
