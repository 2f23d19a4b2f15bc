"""What a newcomer waits for: set-up and quickstart in a fresh clone, and a quickstart that is killed.

python -m benchmarks.quickstart.run
"""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
PACKAGES = ("dspy", "sentence-transformers", "torch", "xllamacpp")


def timed(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command; wall and CPU seconds, peak memory of the largest child so far, exit code."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mib": round(after.ru_maxrss / 1024),
        "exit_code": done.returncode,
    }


def bought(home: Path) -> tuple[int, int]:
    """(calls bought, distinct among them) in a home's ledger."""
    with sqlite3.connect(home / "calls.db") as ledger:
        rows = ledger.execute(
            "SELECT count(*), count(DISTINCT key) FROM ledger WHERE cached = 0 AND purpose != 'embed'"
        ).fetchone()
    return int(rows[0]), int(rows[1])


def results(home: Path) -> bytes:
    (path,) = (home / "runs").glob("*/results.json")
    return path.read_bytes()


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="judge-opt-quickstart-"))
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    install = timed(["make", "install"], clone)
    align = [str(clone / ".venv/bin/judge-opt"), "align", "configs/quickstart.yaml", "--home"]
    whole = timed([*align, str(folder / "whole")], clone)
    # The same again, killed after a third of the time, then run to its end.
    killed = subprocess.Popen(
        [*align, str(folder / "killed")], cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(whole["wall_s"] / 3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = bought(folder / "killed")
    resumed = timed([*align, str(folder / "killed")], clone)
    total = bought(folder / "killed")
    rows = [
        {"case": "make install, fresh clone", **install},
        {"case": "quickstart", **whole, "calls": bought(folder / "whole")[0]},
        {
            "case": "quickstart, resumed after kill -9",
            **resumed,
            "calls_before": before[0],
            "calls": total[0],
        },
    ]
    checks = [
        check("run-time", "seconds of the quickstart after set-up", whole["wall_s"], "<=", 180),
        check(
            "promoted",
            "exit code of the quickstart (0: the aligned judge was promoted)",
            whole["exit_code"],
            "==",
            0,
        ),
        check(
            "same-bytes",
            "results of the resumed run equal those of the uninterrupted one",
            results(folder / "killed") == results(folder / "whole"),
            "==",
            True,
        ),
        check("bought-once", "answered calls that were bought twice", total[0] - total[1], "==", 0),
    ]
    write_results(HERE, "python -m benchmarks.quickstart.run", rows, checks, PACKAGES)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
