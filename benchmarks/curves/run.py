"""Agreement by the number of labels, on a small real model and labels of real people.

    python -m benchmarks.curves.run --data ../shared/data

Three judges, three splits each, the labels of one split nested: the first 20 of the 200 are those of N = 20.
Stopped and run again it goes on where it was: a cell that is done lies in `cells/`, and within a cell no call is
bought twice. Remove `cells/` to run everything anew.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results
from judge_opt.align.contract import AlignmentResult
from judge_opt.align.memalign import MemAlign
from judge_opt.core.files import write_text
from judge_opt.experiments.config import load_config
from judge_opt.experiments.run import prepare
from judge_opt.experiments.validation import validate
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.session import Session, use_session
from judge_opt.validate.figures import Figure

HERE = Path(__file__).parent
PACKAGES = ("dspy", "sentence-transformers", "torch", "faiss-cpu", "xllamacpp", "scikit-learn")
SEEDS = (0, 1, 2)
SIZES = (20, 50, 100, 200)
TEST = 80
TASKS = {
    "aspects": (ROOT / "configs" / "cebab.yaml", 200),
    "stars": (HERE / "stars.yaml", 180),
    "quickstart": (ROOT / "configs" / "quickstart.yaml", 165),
}
"""Configuration, and how many labels there are to learn from at most."""
BOUNDS = {"shots": 2, "batch_chars": 5000, "trial_calls": 100, "check_rows": 100}
"""The small model reads 4,096 tokens and judges with examples in half a second: so MemAlign is bounded."""
OFF: dict[str, dict[str, Any]] = {
    "all": {},
    "no guidelines": {"guidelines": 0},
    "no examples": {"shots": 0},
    "no fusion": {"fusion": False},
    "fusion alone": {"guidelines": 0, "shots": 0},
    "examples alone": {"guidelines": 0, "fusion": False},
    "guidelines alone": {"shots": 0, "fusion": False},
}


TEXT = ("text_classifier", "nearest_neighbour", "five_neighbours")
"""Baselines that ask no language model."""


def told(found: Figure) -> dict[str, float | None]:
    return {name: getattr(found, name) for name in ("value", "low", "high")}


def chosen(made: AlignmentResult) -> list[str]:
    """The components that are on in what was returned."""
    return [one.name for one in made.components if one.on] if made.changed else []


def first(rows: Sequence[LabelledExample], size: int, seed: int) -> list[LabelledExample]:
    """`size` of the rows, whole groups in an order that depends on the seed alone."""
    groups: dict[str, list[LabelledExample]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    return [row for name in names for row in groups[name]][:size]


def cell(task: str, seed: int, size: int, home: Path) -> dict[str, Any]:
    path, most = TASKS[task]
    config, folder = load_config(
        path, {"seed": seed, "split.seed": seed, "split.train": most, "split.test": TEST}
    )
    prepared = prepare(config, folder, home)
    train, _, test = prepared.split.select(prepared.examples)
    train = first(train, size, seed)
    row: dict[str, Any] = {"task": task, "seed": seed, "labels": size, "train": len(train)}
    began = time.monotonic()
    for name, settings in OFF.items():
        with Session(home, run_id=f"{task}-{seed}-{size}-{name}") as session, use_session(session):
            made = MemAlign(**{**BOUNDS, "concurrency": 2, **settings}).align(
                prepared.judge, train, seed=seed
            )
            whole = name == "all"
            report = validate(
                prepared.judge,
                made.judge,
                test,
                train if whole else (),
                embedder="local:/minilm" if whole else None,
                concurrency=2,
                seed=seed,
            )
        metric = report.metric
        row[name] = {
            "agreement": told(report.after.metrics["agreement"]),
            "kappa": told(report.after.metrics[metric]),
            "coverage": report.after.coverage,
            "gained": told(report.comparison.difference),
            "p_one_sided": report.comparison.p_value,
            "changed": made.changed,
            "parts": chosen(made),
            "guidelines": sum(g.state == "active" for g in made.guidelines) if made.changed else 0,
            "calls": made.calls,
        }
        if whole:
            row |= {
                "metric": metric,
                "test": report.n_rows,
                "groups": report.n_groups,
                "promoted": report.decision.promoted,
                "untouched": {
                    "agreement": told(report.before.metrics["agreement"]),
                    "kappa": told(report.before.metrics[metric]),
                    "coverage": report.before.coverage,
                },
                "people": {
                    "agreement": told(report.ceiling.agreement),
                    "kappa": told(report.ceiling.primary),
                },
                "baselines": {
                    b.name: {"agreement": told(b.agreement), "kappa": told(b.primary)}
                    for b in report.baselines
                },
            }
        print(f"{task} seed {seed} N={size} {name}: {row[name]['kappa']}", file=sys.stderr, flush=True)
    row["seconds"] = round(time.monotonic() - began, 1)
    return row


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds, for each judge and number of labels."""
    cells: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        cells[row["task"], row["labels"]].append(row)
    found = []
    for (task, size), same in cells.items():
        arms = {name: [r[name]["kappa"]["value"] for r in same] for name in ("untouched", *OFF, "people")}
        arms |= {
            f"baseline: {name}": [r["baselines"][name]["kappa"]["value"] for r in same]
            for name in same[0]["baselines"]
            if all(name in r["baselines"] for r in same)
        }
        found.append(
            {
                "task": task,
                "labels": size,
                "seeds": len(same),
                "promoted": sum(r["promoted"] for r in same),
                "kappa": {
                    name: round(statistics.mean(values), 3)
                    for name, values in arms.items()
                    if None not in values
                },
            }
        )
    return found


def report(rows: Sequence[dict[str, Any]], planned: int) -> None:
    """Write what there is."""
    worse = [r for r in rows if r["all"]["gained"]["high"] is not None and r["all"]["gained"]["high"] < 0]
    checks = [
        check("done", "cells that were run", len(rows), "==", planned),
        check(
            "harm", "cells in which the aligned judge is surely worse than the untouched", len(worse), "==", 0
        ),
    ]
    many = [r for r in rows if r["labels"] >= 100]
    if many:
        gained = [r for r in many if r["all"]["gained"]["low"] is not None and r["all"]["gained"]["low"] > 0]
        what = "share of cells of 100 and 200 labels that surely gain"
        checks.append(check("gain", what, len(gained) / len(many), ">=", 0.8))
    for task in TASKS:
        same = [r for r in many if r["task"] == task]
        if not same:
            continue
        texts = [name for name in TEXT if all(name in r["baselines"] for r in same)]
        arms = {name: [r["baselines"][name]["kappa"]["value"] for r in same] for name in texts}
        mine = [r["all"]["kappa"]["value"] for r in same]
        if None in mine or any(None in values for values in arms.values()):
            continue  # a kappa that is not defined is no zero
        best, ours = max(map(statistics.mean, arms.values())), statistics.mean(mine)
        what = f"kappa over the best text-only baseline, {task}, 100 and 200 labels"
        checks.append(check(f"text_{task}", what, ours - best, ">=", 0))
    write_results(
        HERE,
        "python -m benchmarks.curves.run --data ../shared/data",
        rows,
        checks,
        PACKAGES,
        settings=BOUNDS,
        summary=summarize(rows),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cebab.jsonl")
    parser.add_argument("--home", type=Path, default=ROOT / ".judge_opt" / "curves", help="folder for calls")
    parser.add_argument("--report", action="store_true", help="run nothing, write what there is")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=SEEDS,
        help="run these only: one process a core, one seed each",
    )
    options = parser.parse_args()
    os.environ["JUDGE_OPT_DATA"] = str(options.data.resolve())
    cells = {
        (task, seed, size): HERE / "cells" / f"{task}-{seed}-{size}.json"
        for seed in SEEDS
        for task in TASKS
        for size in SIZES
    }
    for (task, seed, size), done in cells.items():
        if seed in options.seeds and not done.exists() and not options.report:
            done.parent.mkdir(exist_ok=True)
            write_text(done, json.dumps(cell(task, seed, size, options.home), indent=1) + "\n")
    report([json.loads(done.read_text()) for done in cells.values() if done.exists()], len(cells))


if __name__ == "__main__":
    main()
