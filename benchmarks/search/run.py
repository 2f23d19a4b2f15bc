"""SIMBA and GEPA beside DSPy's and MLflow's at equal budgets, on the simulated lab.

    python -m benchmarks.search.run --ours                 # minutes
    python -m benchmarks.search.run --rivals               # hours; installs the rivals' environment first
    python -m benchmarks.search.run --report               # results.json of what has been run

Runs are kept one a line in `.judge_opt/search_runs.jsonl`; a run that is there is not made again, so that a
stopped campaign goes on. Worlds with seeds from 1000 on are for developing; the recorded ones begin at 0.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import ROOT, check, write_results
from benchmarks.rivals.environment import versions
from benchmarks.rivals.runner import Rival, spent, task, values
from judge_opt.align.gepa import GEPA
from judge_opt.align.objective import agreement
from judge_opt.align.simba import SIMBA
from judge_opt.llm.budget import Budget
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.lab import VERSION, LabProcess, Parameters, World, kappa
from judge_opt.testing.lab.world import TASK

HERE = Path(__file__).parent
RUNS = ROOT / ".judge_opt" / "search_runs.jsonl"
BUDGETS = (200, 500, 1500)
THIRDS = {67: 200, 167: 500, 500: 1500}
"""A third of the calls, to the budget whose third it is."""
ROWS = (50, 200)
HELD_OUT = 200
REFLECTION = "openai:/sim-reflect"
OURS = {"judge_opt.simba": SIMBA, "judge_opt.gepa": GEPA}
RIVALS = ("dspy.simba.budget", "dspy.gepa.budget", "mlflow.simba.budget", "mlflow.gepa.budget")

Run = dict[str, Any]


def key(run: Run) -> tuple[Any, ...]:
    return run["arm"], run["n"], run["budget"], run["world"]


def known() -> dict[tuple[Any, ...], Run]:
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    runs = [json.loads(line) for line in lines if line.endswith("}")]
    return {key(run): run for run in runs}


def keep(run: Run) -> None:
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    with RUNS.open("a") as out:
        out.write(json.dumps(run) + "\n")
    print(json.dumps(run), flush=True)


def todo(arms: tuple[str, ...], rows: list[int], budgets: list[int], worlds: range) -> Iterator[Run]:
    """Runs that are not known, one world of every arm after the other."""
    have = known()
    for n in rows:
        for world in worlds:
            for budget in budgets:
                for arm in arms:
                    run = {"arm": arm, "n": n, "budget": budget, "world": world}
                    if key(run) not in have:
                        yield run


def ours(arms: tuple[str, ...], rows: list[int], budgets: list[int], worlds: range) -> None:
    with LabProcess(Parameters(fresh_repeats=True)) as server:
        for run in todo(arms, rows, budgets, worlds):
            world = World(seed=run["world"])
            judge, held_out = world.judge(server), world.held_out(HELD_OUT)
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as home, Session(Path(home)) as session, use_session(session):
                if run["arm"] == "untouched":
                    keep(run | {"kappa": round(kappa(judge, held_out), 4), "calls": 0, "tokens": 0})
                    continue
                result = OURS[run["arm"]](reflection_lm=REFLECTION).align(
                    judge,
                    world.examples(run["n"]),
                    budget=Budget(calls=run["budget"]),
                    seed=run["world"],
                )
                took = time.perf_counter() - began
                tokens = sum(line.prompt_tokens + line.completion_tokens for line in result.ledger)
                keep(
                    run
                    | {
                        "kappa": round(kappa(result.judge, held_out), 4),
                        "calls": result.calls,
                        "tokens": tokens,
                        "changed": result.changed,
                        "forms": len(result.candidates),
                        "stopped": result.stopped,
                        "seconds": round(took, 2),
                    }
                )


def rivals(arms: tuple[str, ...], rows: list[int], budgets: list[int], worlds: range) -> None:
    with LabProcess(Parameters(fresh_repeats=True)) as server, Rival() as rival:
        for run in todo(arms, rows, budgets, worlds):
            world = World(seed=run["world"])
            held_out = world.held_out(HELD_OUT)
            made = task(
                run["arm"],
                server.base_url,
                world.value_type,
                TASK,
                world.examples(run["n"]),
                held_out,
                seed=run["world"],
                threads=4,
            )
            result = rival.run(made | {"calls": run["budget"]})
            pairs = [
                (row.gold, value)
                for row, value in zip(held_out, values(result, world.value_type), strict=True)
                if row.gold is not None and value is not None
            ]
            found = agreement([g for g, _ in pairs], [v for _, v in pairs], world.value_type)
            used = spent({"calls": {"align": result["calls"].get("align")}})
            keep(
                run
                | {
                    "kappa": round(found, 4) if 2 * len(pairs) >= len(held_out) else None,
                    "calls": used["calls"],
                    "tokens": used["tokens"],
                    "verdicts": len(pairs),
                    "error": result["error"],
                    "seconds": result["seconds"].get("align"),
                }
            )


def interval(values: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over worlds."""
    drawn = np.random.default_rng(0).choice(values, size=(4000, len(values))).mean(axis=1)
    return round(float(np.quantile(drawn, 0.025)), 3), round(float(np.quantile(drawn, 0.975)), 3)


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    cells: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        cells.setdefault((run["arm"], run["n"], run["budget"]), []).append(run)
    out = []
    for (arm, n, budget), some in sorted(cells.items(), key=lambda one: (one[0][1], one[0][2], one[0][0])):
        scores = [run["kappa"] for run in some if run["kappa"] is not None]
        if scores:
            out.append(
                {
                    "arm": arm,
                    "rows": n,
                    "budget": budget,
                    "worlds": len(scores),
                    "failed": len(some) - len(scores),
                    "kappa": round(statistics.mean(scores), 3),
                    "interval": interval(scores),
                    "least": min(scores),
                    "calls": round(statistics.mean(run["calls"] for run in some)),
                    "tokens": round(statistics.mean(run["tokens"] for run in some)),
                }
            )
    return out


def paired(runs: list[Run], mine: str, at: int, theirs: str, budget: int, n: int) -> list[float]:
    """Differences of kappa on worlds where both were run."""
    table = {key(run): run["kappa"] for run in runs}
    found = []
    for world in sorted({run["world"] for run in runs}):
        a, b = table.get((mine, n, at, world)), table.get((theirs, n, budget, world))
        if a is not None and b is not None:
            found.append(a - b)
    return found


def report(worlds: range) -> None:
    runs = [run for run in known().values() if run["world"] in worlds]
    checks, differences = [], []
    for mine in OURS:
        for theirs in [one for one in RIVALS if mine.split(".")[1] in one]:
            for n in ROWS:
                for at, budget in [*((b, b) for b in BUDGETS), *THIRDS.items()]:
                    gaps = paired(runs, mine, at, theirs, budget, n)
                    if not gaps:
                        continue
                    low, high = interval(gaps)
                    differences.append(
                        {
                            "ours": mine,
                            "calls_allowed": at,
                            "rival": theirs,
                            "rival_calls_allowed": budget,
                            "rows": n,
                            "worlds": len(gaps),
                            "difference": round(statistics.mean(gaps), 3),
                            "interval": (low, high),
                        }
                    )
                    if at in THIRDS and at != budget:
                        checks.append(
                            check(
                                f"{mine}-{theirs}-{n}-{budget}",
                                f"{mine} with {at} calls less {theirs} with {budget}, {n} rows: mean kappa",
                                statistics.mean(gaps),
                                ">=",
                                0.0,
                            )
                        )
    write_results(
        HERE,
        "python -m benchmarks.search.run --ours --rivals --report",
        sorted(runs, key=lambda run: (run["n"], run["budget"], run["arm"], run["world"])),
        checks,
        ("dspy", "gepa"),
        rivals=versions(),
        lab_version=VERSION,
        summary=summary(runs),
        differences=differences,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--arms", nargs="*")
    parser.add_argument("--rows", nargs="*", type=int, default=list(ROWS))
    parser.add_argument("--budgets", nargs="*", type=int)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--worlds", type=int, default=10)
    given = parser.parse_args()
    worlds = range(given.first, given.first + given.worlds)
    if given.ours:
        arms = tuple(given.arms or OURS)
        ours(arms, given.rows, given.budgets or sorted({*BUDGETS, *THIRDS}), worlds)
        if not given.arms:
            ours(("untouched",), given.rows[:1], [0], worlds)
    if given.rivals:
        rivals(tuple(given.arms or RIVALS), given.rows, given.budgets or list(BUDGETS), worlds)
    if given.report:
        report(worlds)


if __name__ == "__main__":
    main()
