"""Our optimizers where the prompt can gain nothing, and where nothing can be gained at all: `configs/bench/harm.yaml`.

python -m benchmarks.harm.run --jobs 2
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results
from judge_opt.testing.bench.analysis import summaries
from judge_opt.testing.bench.config import load_bench
from judge_opt.testing.bench.run import lines_of, run_bench

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    config = load_bench(ROOT / "configs" / "bench" / "harm.yaml")

    def told(done: int, total: int, line: dict[str, Any]) -> None:
        print(f"{done}/{total} {line['family']} {line['world']} {line['arm']}: {line['kappa']}", flush=True)

    folder = run_bench(config, ROOT / ".judge_opt", given.jobs, told)
    found = summaries(lines_of(folder, config), config)
    checks = [
        check(
            f"harm-{one.family}-{one.arm}",
            f"{one.family}: worlds of {one.worlds} in which {one.arm} is worse than untouched by over .05",
            one.harmed,
            "==",
            0,
        )
        for one in found
        if one.harmed is not None
    ]
    command = "python -m benchmarks.harm.run --jobs 2"
    write_results(HERE, command, [asdict(one) for one in found], checks, ("dspy", "gepa"))


if __name__ == "__main__":
    main()
