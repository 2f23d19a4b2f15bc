"""Kill each optimizer 50 times at random moments, resume it each time, and hold its ledger against the server's.

python -m benchmarks.kill_loop.run [--kills 50] [--only gepa] [--report]
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.kill_loop.optimizers import OPTIMIZERS
from benchmarks.record import ROOT, check, write_results
from judge_opt.testing.conformance.killing import CONCURRENCY, kill_loop
from judge_opt.testing.lab import LabServer, Parameters

HERE = Path(__file__).parent
RUNS = ROOT / ".judge_opt" / "kill_loop.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=sorted(OPTIMIZERS))
    parser.add_argument("--report", action="store_true", help="only write results.json of the last runs")
    given = parser.parse_args()
    for name in [given.only] if given.only else [] if given.report else OPTIMIZERS:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, LabServer(Parameters(latency=0.02)) as lab:
            found = kill_loop(OPTIMIZERS[name], lab, Path(folder), given.kills, seed=0)
        row = {"optimizer": name, **asdict(found), "seconds": round(time.perf_counter() - began, 1)}
        print(json.dumps(row), flush=True)
        RUNS.parent.mkdir(parents=True, exist_ok=True)
        with RUNS.open("a") as out:
            out.write(json.dumps(row) + "\n")
    last = {row["optimizer"]: row for row in map(json.loads, RUNS.read_text().splitlines())}
    rows = [last[name] for name in OPTIMIZERS if name in last]
    checks = []
    for row in rows:
        name = row["optimizer"]
        checks += [
            check(f"{name}-kills", f"{name}: kills", row["kills"], ">=", 50),
            check(
                f"{name}-ledger",
                f"{name}: kills after which the ledger and the server's count differ by more than the "
                f"{CONCURRENCY} calls that can be in flight",
                sum(n > 0 for n in row["unaccounted"]),
                "==",
                0,
            ),
            check(
                f"{name}-same",
                f"{name}: share of alignments that end in the same judge, every call booked once",
                row["same"] / row["alignments"],
                "==",
                1.0,
            ),
            check(
                f"{name}-lost",
                f"{name}: mean requests bought again by kill",
                statistics.mean(row["lost"]),
                "<=",
                4.0,
            ),
        ]
    write_results(HERE, "python -m benchmarks.kill_loop.run", rows, checks, ("dspy", "gepa"))


if __name__ == "__main__":
    main()
