"""What it costs to import judge_opt and to ask its command line for help, beside importing dspy.

python -m benchmarks.import_cost.run
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
REPEATS = 15
CASES = {
    "python": ["-c", "pass"],
    "import dspy": ["-c", "import dspy"],
    "import judge_opt": ["-c", "import judge_opt"],
    "import judge_opt, make a judge": [
        "-c",
        "from judge_opt import make_judge; make_judge('a', '{{ outputs }}')",
    ],
    "judge-opt --help": ["-m", "judge_opt", "--help"],
    "judge-opt align --help": ["-m", "judge_opt", "align", "--help"],
}


def measure(arguments: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one fresh interpreter."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(name: str, seconds: list[tuple[float, float]]) -> dict[str, Any]:
    wall, cpu = zip(*seconds, strict=True)
    return {
        "case": name,
        "repeats": len(seconds),
        "cpu_s": round(statistics.median(cpu), 4),
        "cpu_s_range": [round(min(cpu), 4), round(max(cpu), 4)],
        "wall_s": round(statistics.median(wall), 4),
        "wall_s_range": [round(min(wall), 4), round(max(wall), 4)],
    }


def main() -> None:
    for arguments in CASES.values():  # once unmeasured: byte code is written, files are in the page cache
        measure(arguments)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for _ in range(REPEATS):
        for name, arguments in CASES.items():
            seconds[name].append(measure(arguments))
    rows = [row(name, found) for name, found in seconds.items()]
    cpu = {one["case"]: one["cpu_s"] for one in rows}
    checks = [
        check(
            "import",
            "CPU of `import judge_opt` over CPU of `import dspy` (medians)",
            cpu["import judge_opt"] / cpu["import dspy"],
            "<=",
            1.15,
        ),
        check("help", "CPU seconds of `judge-opt --help` (median)", cpu["judge-opt --help"], "<=", 1.0),
    ]
    write_results(HERE, "python -m benchmarks.import_cost.run", rows, checks, ("dspy", "typer", "rich"))
    for one in rows:
        print(f"{one['case']:<32} {one['cpu_s']:.3f} s CPU, {one['wall_s']:.3f} s wall")


if __name__ == "__main__":
    main()
