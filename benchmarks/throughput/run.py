"""How near to the ideal rate many rows are judged at once.

python -m benchmarks.throughput.run [--repeats 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.overhead.run import server, stats
from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
ROWS = 2000
WIDTH = 128
LATENCY = 0.05
ARMS = ("raw aiohttp", "judge.batch", "judge.abatch")


def measure(arm: str, port: int) -> dict[str, float]:
    """One repeat: rows a second, and the connections that it opened."""
    command = [sys.executable, "-m", "benchmarks.throughput.arms", arm, str(port), str(ROWS), str(WIDTH)]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "JUDGE_OPT_"))}
    before = stats(port)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**env, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=600,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{arm}: {done.stderr[-2000:]}")
    seconds = json.loads(lines[-1].removeprefix("RESULT "))["seconds"]
    opened = stats(port)["connections"] - before["connections"]
    return {"rows_per_s": ROWS / seconds, "connections": opened}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    with server(LATENCY) as port:
        for number in range(repeats):
            for arm in ARMS:
                found[arm].append(measure(arm, port))
                print(f"{number + 1}/{repeats} {arm:<14} {found[arm][-1]['rows_per_s']:.0f} rows/s")
    rows: list[dict[str, Any]] = []
    for arm in ARMS:
        rates = [one["rows_per_s"] for one in found[arm]]
        rows.append(
            {
                "arm": arm,
                "repeats": repeats,
                "rows_per_s": round(statistics.median(rates), 1),
                "rows_per_s_range": [round(min(rates), 1), round(max(rates), 1)],
                "connections": max(one["connections"] for one in found[arm]),
            }
        )
    rate = {row["arm"]: row["rows_per_s"] for row in rows}
    ideal = min(WIDTH / LATENCY, rate["raw aiohttp"])
    checks = []
    for arm in ARMS[1:]:
        what = f"rate of {arm} over the ideal one (medians)"
        checks.append(check(f"rate_{arm}", what, rate[arm] / ideal, ">=", 0.85))
        opened = next(row["connections"] for row in rows if row["arm"] == arm)
        batches = 2 if arm == "judge.batch" else 1  # each `batch` has a loop, and so connections, of its own
        what = f"connections of {arm} ({batches} x {WIDTH} at a time)"
        checks.append(check(f"connections_{arm}", what, opened, "<=", batches * WIDTH))
    write_results(
        HERE,
        f"python -m benchmarks.throughput.run --repeats {repeats}",
        rows,
        checks,
        ("dspy", "httptools", "aiohttp", "orjson"),
        setting={
            "rows": ROWS,
            "concurrency": WIDTH,
            "latency_s": LATENCY,
            "ideal_rows_per_s": round(ideal, 1),
        },
        load_average=os.getloadavg()[0],
    )


if __name__ == "__main__":
    main()
