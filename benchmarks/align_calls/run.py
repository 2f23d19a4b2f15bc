"""How many model calls an alignment by MemAlign takes, by purpose, from nothing and with a few more labels.

python -m benchmarks.align_calls.run
"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import check, write_results
from judge_opt import MemAlign, Session, use_session
from judge_opt.judges.stored import read_judge, save_judge
from judge_opt.testing.lab import LabServer, World, kappa

HERE = Path(__file__).parent
WORLD = 3000
SIZES = (20, 50, 200, 1000)
MORE = (1, 10)
RIVAL_SIMBA, RIVAL_GEPA = (lambda n: 1040 + 7 * n), (lambda n: 4 * n)
"""MLflow 3.18, measured: shared FACTS; judge calls, without their 30 and 5 to 9 calls of advice and reflection."""


def main() -> None:
    rows: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    world = World(seed=WORLD)
    labelled = world.examples(max(SIZES) + max(MORE))
    optimizer = MemAlign(reflection_lm="openai:/sim-reflect", embedder="openai:/sim-embed")
    for n in SIZES:
        with LabServer() as server, use_session(Session(Path(tempfile.mkdtemp()))):
            judge, held_out = world.judge(server), world.held_out(200)
            before = kappa(judge, held_out)
            server.forget()
            start = time.monotonic()
            result = optimizer.align(judge, labelled[:n])
            seconds = time.monotonic() - start
            asked = dict(server.asked)
            server.forget()
            optimizer.align(judge, labelled[:n])
            again = sum(server.asked.get(kind, 0) for kind in ("judge", "reflect"))
            fewest, most = optimizer.estimate(n)
            after = kappa(result.judge, held_out)
            kept = Path(tempfile.mkdtemp()) / "judge"
            save_judge(result.judge, kept)
        row = {
            "labels": n,
            "judge_calls": asked.get("judge", 0),
            "reflection_calls": asked.get("reflect", 0),
            "embedding_requests": asked.get("embed", 0),
            "estimate": [fewest, most],
            "same_rows_again": again,
            "seconds": round(seconds, 1),
            "kappa": [round(before, 3), round(after, 3)],
            "mlflow_memalign": {"judge": 0, "reflection": math.ceil(n / 50)},
            "mlflow_simba_judge": RIVAL_SIMBA(n),
            "mlflow_gepa_judge": RIVAL_GEPA(n),
            "more": {},
        }
        for more in MORE:
            # Another machine's home: what the memory holds must do, the call store knows nothing.
            with LabServer() as server, use_session(Session(Path(tempfile.mkdtemp()))):
                grown = read_judge(kept, base_url=server.base_url)
                optimizer.align(grown, labelled[n : n + more])
                row["more"][str(more)] = {
                    "judge": server.asked.get("judge", 0),
                    "reflection": server.asked.get("reflect", 0),
                }
        rows.append(row)
        print(row)
        checks.append(
            check(
                f"reflection_{n}",
                f"reflection calls beyond MLflow's, {n} labels",
                row["reflection_calls"] - math.ceil(n / 50),
                "<=",
                2,
            )
        )
        checks.append(
            check(
                f"bounded_{n}",
                f"calls over the stated most, {n} labels",
                row["judge_calls"] + row["reflection_calls"] - most,
                "<=",
                0,
            )
        )
        checks.append(check(f"again_{n}", f"calls for the same {n} labels again", again, "==", 0))
    write_results(HERE, "python -m benchmarks.align_calls.run", rows, checks, ["dspy"])


if __name__ == "__main__":
    main()
