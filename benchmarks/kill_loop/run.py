"""Fifty random kills of each optimizer: does the ledger say what the server counted, and is the judge the same?

    python -m benchmarks.kill_loop.run

An alignment is begun in a child process, which is killed (SIGKILL, at a named point that is drawn at random), and
begun again in the same folder, until it has been killed fifty times; where it comes to its end before, the next
one begins in a fresh folder. Children are forked from this process, which has no threads.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.record import check, write_results
from judge_opt.align.any_dspy import AnyDSPy
from judge_opt.align.calibrate import Calibrate
from judge_opt.align.chain import Chain
from judge_opt.align.gepa import GEPA
from judge_opt.align.memalign import MemAlign
from judge_opt.align.simba import SIMBA
from judge_opt.core import killpoints
from judge_opt.llm.store import CallStore
from judge_opt.testing.conformance.bench import choosing, fingerprint, home, judge_at, training
from judge_opt.testing.lab.server import LabServer

HERE = Path(__file__).parent
POINTS = ("llm.before_call", "llm.reply_received", "llm.committed")
IN_FLIGHT = 4
REFLECT, EMBED = "openai:/sim-reflect", "openai:/sim-embed"
OPTIMIZERS: dict[str, Any] = {
    "memalign": lambda: MemAlign(reflection_lm=REFLECT, embedder=EMBED, concurrency=IN_FLIGHT),
    "simba": lambda: SIMBA(reflection_lm=REFLECT, concurrency=IN_FLIGHT),
    "gepa": lambda: GEPA(reflection_lm=REFLECT, concurrency=IN_FLIGHT),
    "calibrate": lambda: Calibrate(concurrency=IN_FLIGHT),
    "dspy BootstrapFewShotWithRandomSearch": lambda: AnyDSPy(
        "BootstrapFewShotWithRandomSearch",
        {"num_candidate_programs": 2, "max_bootstrapped_demos": 2, "max_labeled_demos": 2},
        concurrency=IN_FLIGHT,
    ),
    "dspy COPRO": lambda: AnyDSPy(
        "COPRO", {"breadth": 2, "depth": 1}, reflection_lm=REFLECT, concurrency=IN_FLIGHT
    ),
    "chain": lambda: Chain(
        [AnyDSPy("LabeledFewShot", {"k": 2}, concurrency=IN_FLIGHT), Calibrate(concurrency=IN_FLIGHT)]
    ),
}


def serve(talk: Connection) -> None:
    """The lab in a process of its own: counts its requests when it is asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with LabServer() as server:
        talk.send(server.base_url)
        while talk.recv() != "end":
            server.settle()
            talk.send(sum(record.method == "POST" for record in server.requests))


def attempt(name: str, base_url: str, folder: Path, kill: tuple[str, int] | None) -> dict[str, Any] | None:
    """One alignment in a forked child; its fingerprint, or None where it was killed."""
    out = folder / "found.json"
    out.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            if kill is not None:
                killpoints._TARGET, killpoints._REMAINING = kill
            with home(folder):
                result = OPTIMIZERS[name]().align(judge_at(base_url), training(), valid=choosing(), seed=0)
            out.write_text(json.dumps(fingerprint(result)), encoding="utf-8")
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def booked(folder: Path) -> int:
    """Requests that the ledger holds."""
    store = CallStore(folder / "calls.db")
    try:
        return sum(line.attempts for line in store.summary())
    finally:
        store.close()


def loop(name: str, kills: int, base_url: str, talk: Connection) -> dict[str, Any]:
    """Kill an optimizer `kills` times."""

    def count() -> int:
        talk.send("count")
        return int(talk.recv())

    rng = random.Random(name)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as room:
        before = count()
        whole = (
            attempt(name, base_url, Path(room, "whole").absolute(), None) if _made(room, "whole") else None
        )
        total = count() - before
        done = runs = lost = unbooked = different = 0
        while done < kills:
            folder = Path(room, f"run{runs}")
            folder.mkdir()
            start, own = count(), 0
            found = None
            while found is None:
                left = max(2, (total - own) or 2)
                kill = (rng.choice(POINTS), rng.randint(1, max(1, left // 3))) if done < kills else None
                found = attempt(name, base_url, folder, kill)
                if found is None:
                    own += 1
                    done += 1
            sent = count() - start
            ledger = booked(folder)
            unbooked += max(0, sent - ledger - IN_FLIGHT * own)
            lost += sent - total
            different += found != whole
            runs += 1
    return {
        "optimizer": name,
        "kills": done,
        "alignments": runs,
        "requests_of_one": total,
        "bought_again": lost,
        "bought_again_per_kill": round(lost / max(done, 1), 3),
        "not_in_the_ledger_beyond_in_flight": unbooked,
        "different_results": different,
        "seconds": round(time.monotonic() - begun, 1),
    }


def _made(room: str, name: str) -> bool:
    Path(room, name).mkdir()
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    base_url = ours.recv()
    rows = []
    for name in OPTIMIZERS:
        if given.only and given.only != name:
            continue
        rows.append(loop(name, given.kills, base_url, ours))
        print(rows[-1], flush=True)
    ours.send("end")
    process.join(10)
    if given.only:
        return
    most = max(row["bought_again_per_kill"] for row in rows)
    said = {
        "same": "alignments that ended in another result than an undisturbed one",
        "ledger": "requests that the server counted, beyond those in flight, and the ledger does not hold",
        "again": "requests bought again for each kill, the worst optimizer; 4 were in flight at most",
        "kills": "kills of each optimizer, the fewest",
    }
    checks = [
        check("same", said["same"], sum(row["different_results"] for row in rows), "==", 0),
        check(
            "ledger", said["ledger"], sum(row["not_in_the_ledger_beyond_in_flight"] for row in rows), "==", 0
        ),
        check("again", said["again"], most, "<=", IN_FLIGHT),
        check("kills", said["kills"], min(row["kills"] for row in rows), ">=", 50),
    ]
    write_results(HERE, "python -m benchmarks.kill_loop.run", rows, checks, ("dspy", "gepa", "numpy"))


if __name__ == "__main__":
    main()
