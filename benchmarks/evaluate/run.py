"""2,000 rows through `evaluate` at its defaults, durable; MLflow's `evaluate` on 500 rows beside it.

python -m benchmarks.evaluate.run

The first run makes MLflow's own virtual environment (minutes). Then it takes about 12 minutes, most of which is
waiting for MLflow at its defaults.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.overhead import mlflow_env
from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
OURS, REPEATS = 2000, 3
RIVALS, WORKERS = 500, 10
PATIENCE = 420
"""Seconds after which the rival's process is ended: at its defaults it can wait for locks for very long."""


@contextmanager
def server() -> Iterator[str]:
    """A server that answers at once, in a process of its own; its address without the form of the reply."""
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "overhead" / "server.py")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.terminate()
        child.wait()


def requests_at(address: str) -> int:
    with urllib.request.urlopen(f"{address}/stats", timeout=10) as reply:
        return int(json.load(reply)["requests"])


def arm(name: str, python: str, count: int, *more: str) -> dict[str, Any]:
    """Run an arm against a server of its own, in an empty folder."""
    who, form = ("ours", "judge") if name == "judge_opt" else ("mlflow", "mlflow")
    with server() as address, tempfile.TemporaryDirectory(prefix="evaluate_") as folder:
        command = [python, str(HERE / "arm.py"), who, f"{address}/{form}/v1", folder, str(count), *more]
        row: dict[str, Any] = {"arm": name, "rows": count, "load_1min": round(os.getloadavg()[0], 2)}
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("JUDGE_OPT_", "OPENAI_"))
        }
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env={**kept, "PYTHONPATH": str(ROOT)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {**row, "ended": f"not within {PATIENCE} s", "requests": requests_at(address) - 3}
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        row |= {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}
        return {
            **row,
            "cpu_ms_per_row": round(found["cpu_s"] / count * 1e3, 3),
            "wall_ms_per_row": round(found["wall_s"] / count * 1e3, 3),
            "requests": requests_at(address) - 3,
        }


def main() -> None:
    rival = str(mlflow_env.python())
    rows = []
    for repeat in range(REPEATS):
        rows.append({**arm("judge_opt", sys.executable, OURS), "repeat": repeat})
        print(rows[-1], flush=True)
        if repeat == 0:
            rows.append(arm("mlflow, defaults", rival, RIVALS))
            print(rows[-1], flush=True)
        if repeat == 1:
            rows.append(arm(f"mlflow, {WORKERS} workers", rival, RIVALS, str(WORKERS)))
            print(rows[-1], flush=True)
    ours = [row for row in rows if row["arm"] == "judge_opt"]
    whole = min(
        min(
            row[key] for key in ("rows_returned", "rows_with_verdict", "rows_on_disk", "assessments_recorded")
        )
        for row in ours
    )
    cpu = statistics.median(row["cpu_ms_per_row"] for row in ours)
    checks = [
        check("present", "rows in the result, on disk and in the store (fewest)", whole, "==", OURS),
        check("cpu", "CPU milliseconds a row, model call included (median)", cpu, "<=", 2.5),
    ]
    others = [row["cpu_ms_per_row"] for row in rows if "mlflow" in row["arm"] and "cpu_ms_per_row" in row]
    write_results(
        HERE,
        "python -m benchmarks.evaluate.run",
        rows,
        checks,
        ("dspy", "sqlalchemy", "orjson"),
        summary={
            "cpu_ms_per_row": cpu,
            "mlflow_cpu_ms_per_row": min(others, default=None),
            "requests_per_row": max(row["requests"] for row in ours) / OURS,
        },
    )


if __name__ == "__main__":
    main()
