"""Run each rival once on two worlds and write what happened: `python -m benchmarks.rivals.verify`."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.record import check, write_results
from benchmarks.rivals.environment import versions
from benchmarks.rivals.runner import Rival, spent, task, values
from judge_opt.align.objective import agreement
from judge_opt.testing.lab import LabProcess, Parameters, World
from judge_opt.testing.lab.world import TASK

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", nargs="*")
    parser.add_argument("--worlds", type=int, default=2)
    parser.add_argument("--train", type=int, default=50)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--show", action="store_true", help="print what was learned; write no results")
    given = parser.parse_args()
    rows = []
    with LabProcess(Parameters(fresh_repeats=True)) as server, Rival(log=given.log) as rival:
        for arm in given.arms or [name for name in rival.arms if not name.endswith(".budget")]:
            for seed in range(9001, 9001 + given.worlds):
                world = World(seed)
                held_out = world.held_out(given.held_out)
                made = task(
                    arm,
                    server.base_url,
                    world.value_type,
                    TASK,
                    world.examples(given.train),
                    held_out,
                    threads=4,
                )
                result = rival.run(made)
                pairs = [
                    (row.gold, value)
                    for row, value in zip(held_out, values(result, world.value_type), strict=True)
                    if row.gold is not None and value is not None
                ]
                kappa = agreement(*map(list, zip(*pairs, strict=True)), world.value_type) if pairs else None
                row = {
                    "arm": arm,
                    "world": seed,
                    "kappa": None if kappa is None else round(kappa, 3),
                    "verdicts": len(pairs),
                    "error": result["error"],
                    **spent(result),
                    "align_calls": {m: c["calls"] for m, c in (result["calls"]["align"] or {}).items()},
                    "seconds": result["seconds"],
                    "cpu_seconds": result["cpu_seconds"],
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
                if given.show:
                    print(
                        json.dumps(result["learned"], indent=1), result.get("traceback", ""), file=sys.stderr
                    )
                    print(dict(list(result["errors"].items())[:3]), file=sys.stderr)
    if given.show or given.arms:
        return
    failed = sum(row["error"] is not None for row in rows)
    silent = sum(row["verdicts"] < 0.9 * given.held_out for row in rows)
    checks = [
        check("errors", "runs that ended in an error", failed, "==", 0),
        check("verdicts", "runs with a verdict for fewer than nine in ten held-out rows", silent, "==", 0),
    ]
    write_results(HERE, "python -m benchmarks.rivals.verify", rows, checks, (), rivals=versions())


if __name__ == "__main__":
    main()
