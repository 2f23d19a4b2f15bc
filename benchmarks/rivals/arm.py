"""The rivals as arms of `judge-opt bench`: `rivals: benchmarks.rivals.arm:Rivals` in its configuration."""

from collections.abc import Sequence
from typing import Any

from benchmarks.rivals.runner import Rival, task, values
from judge_opt.labels.examples import LabelledExample
from judge_opt.testing.bench.cells import Outcome
from judge_opt.testing.lab import LabProcess, World
from judge_opt.testing.lab.world import TASK


class Rivals:
    """A `RivalRunner`. Rivals run on one thread, so that a run repeats."""

    def __enter__(self) -> "Rivals":
        self._rival = Rival()
        self._rival.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._rival.__exit__(*error)

    def outcome(
        self,
        arm: str,
        server: LabProcess,
        world: World,
        train: Sequence[LabelledExample],
        held_out: Sequence[LabelledExample],
        seed: int,
        limit_s: int,
    ) -> Outcome:
        """Run one arm."""
        body = task(
            arm,
            server.base_url,
            world.value_type,
            TASK,
            train,
            held_out,
            seed=seed,
            threads=1,
            limit_s=limit_s,
        )
        result = self._rival.run(body)
        return Outcome(
            tuple(values(result, world.value_type)),
            result["calls"].get("align") or {},
            result["calls"].get("judge") or {},
            result["seconds"].get("align", 0.0),
            result["seconds"].get("judge", 0.0),
            error=result["error"] or "",
        )
