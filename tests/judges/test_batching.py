"""Many items at a time: how many requests are at the server, and how far the work is."""

import asyncio
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import dspy
import pytest
from dspy.utils.callback import BaseCallback

from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer, Reply

ROOT = Path(__file__).parents[2]
MOST = 8


@pytest.fixture
def server():
    with FaultServer(answer=lambda body: Reply(text='{"verdict": "good"}', delay=0.02)) as running:
        yield running


@pytest.fixture
def session(tmp_path):
    with Session(tmp_path) as session, use_session(session):
        yield session


def judge(server, **options):
    return make_judge(
        "tone",
        "Is {{ outputs }} good?",
        "openai:/any",
        categories("bad", "good"),
        base_url=server.base_url,
        generate_rationale_first=False,
        **options,
    )


def items(n, what="item"):
    return [{"outputs": f"{what} {i}"} for i in range(n)]


# -- how many requests are at the server -----------------------------------------------------------------------


def on_a_loop(made, rows):
    return made.batch(rows, concurrency=MOST)


def in_the_callers_loop(made, rows):
    return asyncio.run(made.abatch(rows, concurrency=MOST))


def on_threads(made, rows):
    with dspy.context(callbacks=[BaseCallback()]):
        return made.batch(rows, concurrency=MOST)


def slow_disk(session, before):
    """Every commit of the session waits before it is written."""
    commits = session.store._commits
    write = commits._write

    def late(batch):
        before()
        write(batch)

    commits._write = late


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("road", [on_a_loop, in_the_callers_loop, on_threads])
def test_no_more_than_concurrency_are_at_the_server_while_commits_are_slow(session, server, road, samples):
    slow_disk(session, lambda: time.sleep(0.06))
    said = road(judge(server, samples=samples), items(48))
    assert [f.value for f in said] == ["good"] * 48
    assert server.completions == 48 * samples
    assert MOST // 2 <= server.in_flight_most <= MOST


@pytest.mark.parametrize("road", [on_a_loop, in_the_callers_loop])
def test_the_next_request_is_sent_while_a_reply_is_on_its_way_to_the_disk(session, server, road):
    held = threading.Event()
    slow_disk(session, lambda: held.wait(20))
    made = judge(server)
    done = []
    runner = threading.Thread(target=lambda: done.append(road_in(session, road, made, items(MOST + 1))))
    runner.start()
    deadline = time.monotonic() + 20
    while server.completions <= MOST and time.monotonic() < deadline:
        time.sleep(0.005)
    sent = server.completions
    held.set()
    runner.join(30)
    assert sent == MOST + 1, "no reply was on the disk, and one more request had been sent"
    assert [f.value for f in done[0]] == ["good"] * (MOST + 1)


def road_in(session, road, made, rows):
    with use_session(session):
        return road(made, rows)


# -- how far it is ---------------------------------------------------------------------------------------------

LINE = re.compile(
    r"judge tone: (\d+)/(\d+) rows, [\d.]+ rows/s.* \((\d+) calls bought, (\d+) from cache, (.*)\)"
)


def aloud(made, rows):
    return made.batch(rows, progress=True)


def told(err):
    return [match.groups() for match in map(LINE.fullmatch, err.splitlines()) if match]


@pytest.mark.parametrize("road", [on_a_loop, in_the_callers_loop, on_threads])
def test_without_a_terminal_nothing_is_said_unless_it_is_asked_for(session, server, road, capfd):
    road(judge(server), items(10))
    assert capfd.readouterr().err == ""


def test_where_it_is_asked_for_rows_rate_and_cost_are_plain_lines(session, server, capfd):
    made = judge(server)
    made.batch(items(10), concurrency=4, progress=True)
    assert told(capfd.readouterr().err)[-1][:4] == ("10", "10", "10", "0")
    asyncio.run(made.abatch(items(16), concurrency=4, progress=True))
    out, err = capfd.readouterr()
    assert told(err)[-1][:4] == ("16", "16", "6", "10")
    assert out == ""


def test_a_batch_counts_its_own_calls_and_not_those_beside_it(session, server, capfd):
    made = judge(server)
    threads = [
        threading.Thread(target=road_in, args=(session, aloud, made, items(n, f"of {n}"))) for n in (12, 30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ends = {line[1]: line[2] for line in told(capfd.readouterr().err) if line[0] == line[1]}
    assert ends == {"12": "12", "30": "30"}


def test_a_function_is_told_as_before_and_nothing_is_drawn(session, server, capfd):
    seen = []
    judge(server).batch(items(5), progress=lambda done, total: seen.append((done, total)))
    assert sorted(seen) == [(i, 5) for i in range(1, 6)]
    assert capfd.readouterr().err == ""


CHILD = """
import sys
from judge_opt import make_judge
from typing import Literal
made = make_judge("tone", "Is {{ outputs }} good?", "openai:/any", Literal["bad", "good"],
                  base_url=sys.argv[1], generate_rationale_first=False)
progress = {"default": None, "off": False}[sys.argv[2]]
said = made.batch([{"outputs": str(i)} for i in range(40)], concurrency=4, progress=progress)
print(sum(f.value == "good" for f in said))
"""


def on_a_terminal(server, folder, how):
    """stdout of a script whose stderr is a terminal, and what was drawn there."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.base_url, how],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "TERM": "xterm",
            "JUDGE_OPT_HOME": "home",
        },
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the child has closed its end
            break
        if not data:
            break
        drawn += data
    os.close(ours)
    return child.communicate(timeout=60)[0], drawn.decode()


def test_on_a_terminal_there_is_a_bar_and_it_can_be_switched_off(server, tmp_path):
    server.answer = lambda body: Reply(text='{"verdict": "good"}', delay=0.25)
    out, drawn = on_a_terminal(server, tmp_path, "default")
    assert out == "40\n"
    for part in ("judge tone", "rows/s", "s left", "calls bought", "40/40 rows in"):
        assert part in drawn
    (tmp_path / "home" / "calls.db").unlink()
    assert on_a_terminal(server, tmp_path, "off") == ("40\n", "")
    assert server.completions == 80


def test_what_is_quick_draws_nothing(server, tmp_path):
    out, drawn = on_a_terminal(server, tmp_path, "default")
    assert out == "40\n"
    assert "judge tone" not in drawn
