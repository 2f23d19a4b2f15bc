"""Children forked while other threads write: neither is locked, nothing is lost."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import judge_opt
from judge_opt.core import forks

ROOT = Path(next(iter(judge_opt.__path__))).parent

FORKS = """
import os, sys, threading, time
from judge_opt.traces import Store, Trace

store, stop = Store(sys.argv[1]), threading.Event()

def keep_writing(name):
    n = 0
    while not stop.is_set():
        store.add_trace(Trace(f"{name}-{n}"))
        n += 1

threads = [threading.Thread(target=keep_writing, args=(f"thread{k}",)) for k in range(3)]
for thread in threads:
    thread.start()
for number in range(int(sys.argv[2])):
    time.sleep(0.01)
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            store.add_trace(Trace(f"child-{number}"))
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"child {number} after {time.monotonic() - begun:.1f} s"
stop.set()
for thread in threads:
    thread.join()
"""


def test_children_forked_amid_writes_of_other_threads_can_write(store_url: str) -> None:
    forks_made = 25
    done = subprocess.run(
        [sys.executable, "-c", FORKS, store_url, str(forks_made)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    from judge_opt.traces import Store

    with Store(store_url) as store:
        ids = {trace.id for trace in store.iter_traces()}
    assert {f"child-{n}" for n in range(forks_made)} <= ids


def test_a_fork_waits_for_another_threads_block() -> None:
    inside, ended = threading.Event(), threading.Event()

    def work() -> None:
        with forks.no_fork():
            inside.set()
            time.sleep(0.3)
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if ended.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()


def test_a_thread_that_forks_inside_its_own_block_does_not_wait_for_itself() -> None:
    with forks.no_fork():
        child = os.fork()
        if child == 0:
            with forks.no_fork():
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_block_that_does_not_end_holds_a_fork_up_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "LONGEST_WAIT", 0.2)
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with forks.no_fork():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    thread.join()
