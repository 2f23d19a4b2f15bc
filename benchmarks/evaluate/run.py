"""2,000 rows through `evaluate` at its defaults, durable; MLflow's `evaluate` on 500 rows beside it.

python -m benchmarks.evaluate.run

The first run makes MLflow's own virtual environment (minutes); JUDGE_OPT_RIVAL_MLFLOW names the Python of one
that is there already.
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

from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
OURS, REPEATS = 2000, 3
RIVALS, WORKERS = 500, 10
PATIENCE = 420
"""Seconds after which the rival's process is ended: at its defaults it can wait for locks for very long."""

MLFLOW, SIBLINGS = "3.18.0", "3.17.2"


def rival_python() -> str:
    """The Python of an environment with MLflow, made where there is none. MLflow 3.18.0's sibling packages
    are missing on some indexes; its wheel works with those of 3.17.2."""
    if known := os.environ.get("JUDGE_OPT_RIVAL_MLFLOW"):
        return known
    cache = Path(os.environ.get("JUDGE_OPT_CACHE") or Path.home() / ".cache" / "judge_opt")
    folder = cache / "rivals" / f"mlflow-{MLFLOW}"
    python, done = folder / "bin" / "python", folder / "done"
    if not done.is_file():
        print(f"making MLflow's environment in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"mlflow=={SIBLINGS}", "litellm==1.106.2"], check=True)
        subprocess.run([*pip, "--no-deps", f"mlflow=={MLFLOW}"], check=True)
        done.touch()
    return str(python)


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
    rival = rival_python()
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
    whole = [
        min(
            row[key] for key in ("rows_returned", "rows_with_verdict", "rows_on_disk", "assessments_recorded")
        )
        for row in ours
    ]
    cpu = statistics.median(row["cpu_ms_per_row"] for row in ours)
    checks = [
        check(
            "present",
            "rows present in the result, on disk and in the store (fewest of all runs)",
            min(whole),
            "==",
            OURS,
        ),
        check("cpu", "CPU milliseconds a row, model call included (median of runs)", cpu, "<=", 2.5),
        check(
            "once",
            "requests that reached the server, a row (most of all runs)",
            max(row["requests"] for row in ours) / OURS,
            "==",
            1,
        ),
    ]
    others = [row["cpu_ms_per_row"] for row in rows if "mlflow" in row["arm"] and "cpu_ms_per_row" in row]
    if others:
        checks.append(
            check("rival", "our CPU a row over MLflow's (its lowest)", cpu / min(others), "<=", 0.1)
        )
    write_results(
        HERE,
        "python -m benchmarks.evaluate.run",
        rows,
        checks,
        ("dspy", "sqlalchemy", "orjson"),
        rival={"mlflow": MLFLOW, "siblings": SIBLINGS},
    )


if __name__ == "__main__":
    main()
