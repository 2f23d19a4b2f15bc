"""The registered comparison of `configs/bench/alignment.yaml`, some hours of it at a time.

    python -m benchmarks.alignment.run --jobs 2                          # everything: many hours
    python -m benchmarks.alignment.run --labels 50 --worlds 20 --arms memalign "MLflow MemAlign"
    python -m benchmarks.alignment.run --report                          # run nothing, write what there is

The journal of cells lies in `bench/` here and is committed: what has ended is not run again, on no machine, until the
lab or the arm changes. An arm's judge before alignment is run with it.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results
from benchmarks.rivals.environment import versions
from judge_opt.testing.bench.analysis import Summary, differences, summaries
from judge_opt.testing.bench.config import BenchConfig, Size, load_bench
from judge_opt.testing.bench.efficiency import efficiencies
from judge_opt.testing.bench.report import write_report
from judge_opt.testing.bench.run import lines_of, run_bench

HERE = Path(__file__).parent
CONFIG = ROOT / "configs" / "bench" / "alignment.yaml"
STANDARD = 50
"""Labels at which arms are held against each other."""
AIM = 15
"""Labels with which ours should reach what a rival has at `STANDARD`."""


def part_of(
    config: BenchConfig, arms: list[str], families: list[str], labels: list[int], worlds: int
) -> BenchConfig:
    """Some of the grid; its cells are those of the whole."""
    named = set(arms or [arm.name for arm in config.arms])
    if unknown := named - {arm.name for arm in config.arms}:
        raise SystemExit(f"No arm is called {sorted(unknown)[0]!r}.")
    named |= {config.reference} | {arm.baseline for arm in config.arms if arm.name in named and arm.baseline}
    return config.model_copy(
        update={
            "arms": tuple(arm for arm in config.arms if arm.name in named),
            "families": tuple(families or config.families),
            "sizes": tuple(
                Size(labels=size.labels, worlds=min(size.worlds, worlds))
                for size in config.sizes
                if not labels or size.labels in labels
            ),
        }
    )


def checks_of(config: BenchConfig, found: list[Summary], lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the issue asks for, in each family, of the arms that were run in all of its worlds."""
    at = {(one.family, one.arm): one for one in found if one.labels == STANDARD}
    wanted = next(size.worlds for size in config.sizes if size.labels == STANDARD)
    rivals = {arm.name for arm in config.arms if arm.rival}
    checks = []
    for family in config.families:
        ours = at.get((family, config.reference))
        whole = [
            one for (f, arm), one in at.items() if f == family and arm in rivals and one.worlds >= wanted
        ]
        if ours is None or not whole:
            continue
        for gap in differences(lines, config):
            if gap.family == family and gap.labels == STANDARD and gap.arm in {one.arm for one in whole}:
                what = f"{family}: lower end of our mean kappa less that of {gap.arm}, {STANDARD} labels"
                checks.append(check(f"beats-{family}-{gap.arm}", what, gap.low, ">=", 0.0))
        best = max(one.tenth for one in whole)
        what = f"{family}: our tenth percentile less the best rival's"
        checks.append(check(f"tenth-{family}", what, ours.tenth - best, ">=", 0.0))
        gepa = at.get((family, "MLflow GEPA"))
        if gepa is not None:
            what = f"{family}: our calls over those of MLflow's GEPA"
            checks.append(check(f"calls-{family}", what, ours.calls / gepa.calls, "<=", 1.0))
    for one in efficiencies(lines, config, STANDARD):
        if one.arm in rivals:
            what = f"{one.family}: labels with which ours reaches {one.arm} at {STANDARD}"
            checks.append(check(f"labels-{one.family}-{one.arm}", what, min(one.needed, 999), "<=", AIM))
    for arm in config.arms:
        told = [one for one in found if one.arm == arm.name and one.harmed is not None]
        if told and not arm.rival:
            worlds = sum(one.worlds for one in told)
            what = (
                f"worlds of {worlds} in which {arm.name} is worse than the untouched judge by more than .05"
            )
            checks.append(check(f"harm-{arm.name}", what, sum(one.harmed or 0 for one in told), "==", 0))
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=[], help="run these; default: all")
    parser.add_argument("--families", nargs="+", default=[])
    parser.add_argument("--labels", nargs="+", type=int, default=[])
    parser.add_argument("--worlds", type=int, default=10**6, help="the first so many of each family")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="run nothing, write what there is")
    given = parser.parse_args()
    config = load_bench(CONFIG)
    if not given.report:
        some = part_of(config, given.arms, given.families, given.labels, given.worlds)

        def told(done: int, total: int, line: dict[str, Any]) -> None:
            said = line["error"] or f"kappa {line['kappa']}"
            print(
                f"{done}/{total} {line['family']} {line['world']} {line['labels']} {line['arm']}: {said}",
                flush=True,
            )

        run_bench(some, HERE, given.jobs, told)
    folder = HERE / "bench" / f"{config.name}-{config.run_id}"
    lines = lines_of(folder, config)
    write_report(folder, config, lines)
    found = summaries(lines, config)
    write_results(
        HERE,
        "python -m benchmarks.alignment.run",
        [asdict(one) for one in found],
        checks_of(config, found, lines),
        ("dspy", "gepa"),
        rivals=versions(),
        cells=len(lines),
        differences=[asdict(one) for one in differences(lines, config)],
    )


if __name__ == "__main__":
    main()
