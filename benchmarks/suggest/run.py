"""Do suggested rows teach more than rows drawn at random, in simulated worlds?

python -m benchmarks.suggest.run
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import check, write_results
from judge_opt import MemAlign, Session, suggest, use_session
from judge_opt.align.calibrate import Calibrate
from judge_opt.testing.lab import LabServer, World, kappa

HERE = Path(__file__).parent
EMBED = "openai:/sim-embed"
FIRST, MORE, POOL, HELD_OUT = 20, 20, 120, 150
WAYS = {
    "random": (),
    "uncertainty": ("uncertainty",),
    "coverage": ("coverage",),
    "all": ("uncertainty", "disagreement", "coverage"),
}
OPTIMIZERS = {
    "memory alone": lambda: MemAlign(embedder=EMBED, guidelines=0, shots=0, concurrency=4),
    "calibrate": lambda: Calibrate(concurrency=4),
}


def one_world(seed: int) -> list[dict[str, Any]]:
    """Kappa on held-out rows after 20 random labels and 20 more, by way and optimizer."""
    world = World(seed)
    rows = []
    with tempfile.TemporaryDirectory() as home, LabServer() as server:  # noqa: SIM117 - two lines are clearer
        with Session(Path(home)) as session, use_session(session):
            judge, held_out = world.judge(server), world.held_out(HELD_OUT)
            everything = world.examples(FIRST + POOL)
            first, pool = everything[:FIRST], everything[FIRST:]
            other = OPTIMIZERS["memory alone"]().align(judge, first, seed=seed).judge
            for way, by in WAYS.items():
                if by:
                    picks = suggest(
                        judge,
                        [row.fields for row in pool],
                        MORE,
                        candidates=[other],
                        labelled=first,
                        by=by,
                        embedder=EMBED,
                        seed=seed,
                        concurrency=4,
                    )
                    chosen = [pool[pick.index] for pick in picks]
                else:
                    drawn = np.random.default_rng(seed).permutation(len(pool))[:MORE]
                    chosen = [pool[i] for i in drawn.tolist()]
                for name, make in OPTIMIZERS.items():
                    made = make().align(judge, [*first, *chosen], seed=seed).judge
                    rows.append(
                        {
                            "world": seed,
                            "way": way,
                            "optimizer": name,
                            "kappa": round(kappa(made, held_out, 4), 4),
                        }
                    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=6)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(given.worlds):
        rows += one_world(seed)
        print(rows[-len(WAYS) * len(OPTIMIZERS) :], flush=True)
    table = {(r["world"], r["way"], r["optimizer"]): r["kappa"] for r in rows}
    summary, checks = [], []
    rng = np.random.default_rng(0)
    for name in OPTIMIZERS:
        base = np.asarray([table[w, "random", name] for w in range(given.worlds)])
        for way in WAYS:
            gain = np.asarray([table[w, way, name] for w in range(given.worlds)]) - base
            draws = gain[rng.integers(len(gain), size=(2000, len(gain)))].mean(axis=1)
            low, high = np.quantile(draws, [0.025, 0.975])
            summary.append(
                {
                    "optimizer": name,
                    "way": way,
                    "kappa": round(float((base + gain).mean()), 4),
                    "gain": round(float(gain.mean()), 4),
                    "low": round(float(low), 4),
                    "high": round(float(high), 4),
                }
            )
            print(summary[-1])
        best = next(s for s in summary if s["optimizer"] == name and s["way"] == "all")
        what = f"{name}: mean kappa over random, all ways together"
        checks.append(check(f"gain_{name.replace(' ', '_')}", what, best["gain"], ">=", 0.0))
    command = f"python -m benchmarks.suggest.run --worlds {given.worlds}"
    write_results(HERE, command, rows, checks, ("numpy", "scipy", "scikit-learn"), summary=summary)


if __name__ == "__main__":
    main()
