"""What a row of `evaluate` costs in memory: a function judges 10,000 and 100,000 rows, the store on.

python -m benchmarks.evaluate.memory             # about three minutes, no model

Each run is a process of its own that reads its rows from a JSON Lines file. Its peak (VmHWM) holds the imports, the
rows, the verdicts, the figures and their intervals; the difference of two peaks is what the further rows cost.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
ROWS = (10_000, 100_000)
CEILING_KIB = 5.0
"""Of memory a row, as docs/evaluation.md states it."""

CHILD = """
import sys, time
from pathlib import Path
from judge_opt import evaluate

def dated(outputs) -> bool:
    return "Thursday" in outputs["reply"]

began = time.perf_counter()
result = evaluate(Path(sys.argv[1]), judges=[dated], home=sys.argv[2])
wall = time.perf_counter() - began
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(result.judge_metrics["dated"].n_scored, peak, wall)
"""


def write(path: Path, number: int) -> int:
    """Rows of about 1 kB, no two alike; returns their bytes."""
    with path.open("w") as stream:
        for n in range(number):
            day = "on Thursday" if n % 3 else "soon"
            row = {
                "id": f"item-{n}",
                "inputs": {"question": f"Where is order {n}? " + "I have waited for two weeks now. " * 10},
                "outputs": {
                    "reply": f"Order {n} arrives {day}. " + "Thank you for your patience with us. " * 14
                },
            }
            stream.write(json.dumps(row) + "\n")
    return path.stat().st_size


def run(number: int) -> dict[str, Any]:
    """One evaluation of so many rows, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="evaluate_memory_") as folder:
        source = Path(folder) / "rows.jsonl"
        size = write(source, number)
        command = [sys.executable, "-c", CHILD, str(source), str(Path(folder) / "home")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise SystemExit(f"{number} rows failed:\n{done.stderr[-3000:]}")
        judged, peak, wall = done.stdout.split()
    assert int(judged) == number
    return {
        "rows": number,
        "bytes_per_row": round(size / number),
        "peak_mib": round(int(peak) / 1024, 1),
        "wall_s": round(float(wall), 1),
    }


def main() -> None:
    rows = []
    for number in ROWS:
        rows.append(run(number))
        print(rows[-1], flush=True)
    few, many = rows
    more = (many["peak_mib"] - few["peak_mib"]) * 1024 / (many["rows"] - few["rows"])
    write_results(
        HERE,
        "python -m benchmarks.evaluate.memory",
        rows,
        [
            check(
                "memory",
                "KiB of memory that a further row of 1 kB costs, at the peak",
                more,
                "<=",
                CEILING_KIB,
            )
        ],
        ("sqlalchemy", "orjson"),
        file="memory.json",
        summary={"kib_per_row": round(more, 2), "peak_mib_100_000_rows": many["peak_mib"]},
    )


if __name__ == "__main__":
    main()
