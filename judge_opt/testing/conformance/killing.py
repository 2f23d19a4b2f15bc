"""A loop of random kills: one alignment in child processes that are killed with SIGKILL at random moments, and
resumed each time, until it ends; then the next, until there were enough kills.

    with LabServer(Parameters(latency=0.02)) as lab:
        found = kill_loop(make_gepa, lab, Path("work"), kills=50, seed=0)

After every kill the ledger is held against the server's own count: what was asked and answered is in it, less what
was in flight. At the end of every alignment the judge is the one of an alignment that was left alone, and every
call is in the ledger once.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judge_opt.llm.store import CallStore
from judge_opt.testing.conformance.bench import Make, choosing, fingerprint, home, judge_at, sent, training
from judge_opt.testing.lab.server import LabServer

CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class KillLoop:
    """What a loop found.

    Attributes:
        kills: children that were killed before they ended.
        alignments: that came to an end.
        calls: of an alignment that was left alone.
        lost: by kill, requests that the server answered and the ledger does not have: bought again.
        unaccounted: by kill, how far the ledger was off by more than what was in flight; all 0 where it holds.
        same: alignments that ended in the same result, and with the same number of calls in the ledger, as the one
            that was left alone.
    """

    kills: int
    alignments: int
    calls: int
    lost: tuple[int, ...]
    unaccounted: tuple[int, ...]
    same: int


def kill_loop(make: Make, lab: LabServer, folder: Path, kills: int, seed: int) -> KillLoop:
    """Kill an alignment by the optimizer that `make` makes, until there were `kills` kills.

    Args:
        make: a function of the concurrency, at the level of a module; see `OptimizerConformance`.
        lab: with some latency, so that a kill can hit a call in flight.
        folder: for the sessions.
    """
    rng = random.Random(seed)
    with home(folder / "alone") as session:
        lab.forget()
        alone = make(CONCURRENCY).align(judge_at(lab.base_url), training(), valid=choosing(), seed=0)
        calls = sent(lab)
        assert _booked(session.store) == calls, "the ledger of an undisturbed alignment is the server's count"
    lost: list[int] = []
    unaccounted: list[int] = []
    ended = same = 0
    while len(lost) < kills:
        ended += 1
        work = folder / f"run{ended}"
        lab.forget()
        begun, missing = 0, 0
        while True:
            child = _start(make, lab, work)
            if not (len(lost) < kills and _killed(child, lab, begun + rng.randint(1, max(2, calls // 4)))):
                _, errors = child.communicate(timeout=300)
                assert child.returncode == 0, errors.decode()[-2000:]
                break
            child.communicate(timeout=60)
            lab.settle()
            begun = sent(lab)
            with home(work) as session:
                now = begun - _booked(session.store)
            lost.append(now - missing)
            unaccounted.append(max(0, now - missing - CONCURRENCY) + max(0, missing - now))
            missing = now
        with home(work) as session:
            result = make(CONCURRENCY).align(judge_at(lab.base_url), training(), valid=choosing(), seed=0)
            booked = _booked(session.store)
        same += fingerprint(result) == fingerprint(alone) and booked == calls and sent(lab) == calls + missing
    return KillLoop(len(lost), ended, calls, tuple(lost), tuple(unaccounted), same)


def _start(make: Make, lab: LabServer, folder: Path) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(entry for entry in sys.path if entry)
    args: Sequence[str] = (
        sys.executable,
        "-m",
        "judge_opt.testing.conformance.child",
        f"{make.__module__}:{make.__qualname__}",
        str(folder),
        lab.base_url,
    )
    return subprocess.Popen(  # noqa: S603 - our own program
        args,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _killed(child: "subprocess.Popen[bytes]", lab: LabServer, at: int) -> bool:
    """Kill when the server has seen `at` requests; False where the child ended before."""
    while child.poll() is None:
        if sent(lab) >= at:
            child.send_signal(signal.SIGKILL)
            return child.wait() == -signal.SIGKILL
        time.sleep(0.001)
    return False


def _booked(store: CallStore) -> int:
    return sum(line.attempts for line in store.summary(None))
