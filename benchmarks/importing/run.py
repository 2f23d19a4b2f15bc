"""Rows a second and peak memory of an import, by format and number of rows.

python -m benchmarks.importing.run               # 10,000 and 100,000 rows: some minutes
python -m benchmarks.importing.run --million     # and 1,000,000: about twenty minutes and 4 GB of disk
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
FORMATS = ("jsonl", "csv", "parquet")
CEILING_MIB = 256
WORDS = ["alpha", "beta", "gamma", "delta", "river", "stone", "cloud", "engine", "paper", "green", "silver"]

CHILD = """
import sys, time
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces
began, cpu = time.perf_counter(), time.process_time()
with Store(sys.argv[2]) as store:
    report = import_traces(store, sys.argv[1])
wall, cpu = time.perf_counter() - began, time.process_time() - cpu
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
assert not report.skipped and not report.conflicts, str(report)
print(report.traces, report.assessments, wall, cpu, peak)
"""


def rows(number: int) -> Iterator[dict[str, Any]]:
    """Labelled rows of about 500 bytes: a question, an answer, and what two raters said."""
    draw = random.Random(0)
    for n in range(number):
        words = " ".join(draw.choices(WORDS, k=40))
        yield {
            "id": f"item-{n}",
            "inputs": {"question": f"{n} {words[:60]}?"},
            "outputs": {"answer": words},
            "human": [
                {"rater": rater, "name": "correct", "value": draw.choice(("yes", "no"))}
                for rater in ("ana", "bo")
            ],
        }


def write(kind: str, number: int, folder: Path) -> Path:
    path = folder / f"rows-{number}.{kind}"
    if kind == "jsonl":
        with path.open("w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows(number))
    elif kind == "csv":  # one label a line
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "inputs.question", "outputs.answer", "rater", "name", "value"])
            for row in rows(number):
                cells = [row["id"], row["inputs"]["question"], row["outputs"]["answer"]]
                writer.writerows([*cells, one["rater"], one["name"], one["value"]] for one in row["human"])
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kept = iter(rows(number))
        schema = None
        writer = None
        while some := [row for _, row in zip(range(10_000), kept, strict=False)]:
            table = pa.Table.from_pylist(some, schema=schema)
            schema = table.schema
            writer = writer or pq.ParquetWriter(path, schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    return path


def measure(kind: str, number: int, folder: Path) -> dict[str, Any]:
    """One import in a process of its own."""
    path = write(kind, number, folder)
    store = folder / f"{kind}-{number}.db"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(store)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    traces, words, wall, cpu, peak = map(float, done.stdout.split())
    assert (traces, words) == (number, 2 * number), "rows were lost"
    found = {
        "format": kind,
        "rows": number,
        "assessments": int(words),
        "source_mib": round(path.stat().st_size / 2**20, 1),
        "store_mib": round(store.stat().st_size / 2**20, 1),
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "rows_per_s": round(number / wall),
        "peak_mib": round(peak / 1024, 1),
    }
    for file in (path, store, *folder.glob(f"{store.name}-*")):
        file.unlink()
    return found


def checks_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The goals, for each format, of the largest number of rows that was measured."""
    checks = []
    for kind in FORMATS:
        rows = [one for one in found if one["format"] == kind]
        if not rows:
            continue
        small, large = rows[0], rows[-1]
        what = f"of {large['rows']:,} {kind} rows"
        checks.append(check(f"{kind}_peak", f"peak MiB {what}", large["peak_mib"], "<=", CEILING_MIB))
        growth = large["peak_mib"] / small["peak_mib"]
        checks.append(check(f"{kind}_growth", f"peak {what} over {small['rows']:,}", growth, "<=", 1.25))
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also measure 1,000,000 rows")
    million = parser.parse_args().million
    command = "python -m benchmarks.importing.run" + (" --million" if million else "")
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in (10_000, 100_000, *((1_000_000,) if million else ())):
            for kind in FORMATS:
                found.append(measure(kind, number, Path(folder)))
                print(json.dumps(found[-1]), flush=True)
                # After each, so that a run that is stopped leaves what it measured.
                write_results(HERE, command, found, checks_of(found), ("sqlalchemy", "pyarrow"))


if __name__ == "__main__":
    main()
