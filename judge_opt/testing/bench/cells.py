"""Cells: what there is to run, and the running of one."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from judge_opt.align.named import make_optimizer
from judge_opt.align.objective import agreement
from judge_opt.core.results import Scored, Value
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.bench.config import KNOWN, Arm, BenchConfig
from judge_opt.testing.lab import LabProcess, World

Usage = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm in one world of a family, with one number of labels."""

    family: str
    world: int
    labels: int
    arm: str

    @property
    def key(self) -> str:
        """Its name in the journal."""
        return f"{self.family}/{self.world}/{self.labels}/{self.arm}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an arm did.

    Attributes:
        verdicts: on the held-out rows; None where there was none.
        align, judge: the server's counts of the two phases.
        changed: whether the optimizer changed the judge; None where it does not say.
        error: why alignment failed; "" where it did not.
    """

    verdicts: tuple[Value | None, ...]
    align: Usage
    judge: Usage
    align_s: float
    judge_s: float
    changed: bool | None = None
    error: str = ""


class RivalRunner(Protocol):
    """What `rivals` of a configuration names: a context manager that runs others' optimizers."""

    def __enter__(self) -> "RivalRunner": ...

    def __exit__(self, *error: Any) -> None: ...

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
        ...


def cells_of(config: BenchConfig) -> list[Cell]:
    """All cells, in the order in which they are run: world by world, so that arms can be compared early."""
    return [
        Cell(family, world, size.labels, arm.name)
        for size in config.sizes
        for world in range(size.worlds)
        for family in config.families
        for arm in config.arms
    ]


def run_cell(cell: Cell, config: BenchConfig, rivals: RivalRunner | None) -> dict[str, Any]:
    """One cell from beginning to end, as a line of the journal. What an arm raises is its result."""
    arm = next(one for one in config.arms if one.name == cell.arm)
    family = KNOWN[cell.family]
    world = family.worlds(cell.world + 1)[cell.world]
    train, held_out = world.examples(cell.labels), world.held_out(config.held_out)
    with LabProcess(replace(family.served(world), latency=config.latency)) as server:
        if arm.rival is not None:
            assert rivals is not None
            done = rivals.outcome(arm.rival, server, world, train, held_out, config.seed, config.limit_s)
        else:
            done = _ours(arm, server, world, train, held_out, config.seed)
    pairs = [
        (row.gold, said) for row, said in zip(held_out, done.verdicts, strict=True) if row.gold is not None
    ]
    told = [(gold, said) for gold, said in pairs if said is not None]
    return {
        **asdict(cell),
        "kappa": _kappa(told, world) if 2 * len(told) >= len(pairs) else None,
        "kappa_all": _kappa([(gold, _wrong(gold, world) if s is None else s) for gold, s in pairs], world),
        "coverage": len(told) / len(pairs),
        "align_calls": _calls(done.align),
        "judge_calls": _calls(done.judge),
        "align_tokens": _tokens(done.align),
        "judge_tokens": _tokens(done.judge),
        "embedding_calls": _calls(done.align, True) + _calls(done.judge, True),
        "changed": done.changed,
        "error": done.error,
        "align_s": round(done.align_s, 3),
        "judge_s": round(done.judge_s, 3),
    }


def _ours(
    arm: Arm,
    server: LabProcess,
    world: World,
    train: Sequence[LabelledExample],
    held_out: Sequence[LabelledExample],
    seed: int,
) -> Outcome:
    memory = Path("/dev/shm")  # noqa: S108 - a slow disk would be measured instead of the optimizer
    home = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    try:
        with Session(home) as session, use_session(session):
            start = time.perf_counter()
            judge, changed, error = _aligned(arm, world.judge_at(server.base_url), train, seed)
            middle, align = time.perf_counter(), server.usage(None)
            found = judge.batch([row.fields for row in held_out])
            end = time.perf_counter()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    verdicts = tuple(one.result.value if isinstance(one.result, Scored) else None for one in found)
    judging = _less(server.usage(None), align)
    return Outcome(verdicts, align, judging, middle - start, end - middle, changed, error)


def _aligned(arm: Arm, judge: Judge, train: Sequence[LabelledExample], seed: int) -> tuple[Judge, bool, str]:
    """The aligned judge; the untouched one, with the reason, where alignment failed."""
    models = {"reflection_lm": "openai:/sim-reflect", "embedder": "openai:/sim-embed"}
    assert arm.optimizer is not None
    known = _parameters(arm.optimizer)
    settings = {name: uri for name, uri in models.items() if name in known} | arm.settings
    try:
        result = make_optimizer(arm.optimizer, settings).align(judge, train, seed=seed)
    except Exception as error:  # noqa: BLE001 - whatever an optimizer raises is its result
        return judge, False, f"{type(error).__name__}: {error}"[:500]
    return result.judge, result.changed, ""


def _parameters(name: str) -> set[str]:
    import inspect

    from judge_opt.align.named import optimizer_class

    return set(inspect.signature(optimizer_class(name)).parameters)


def _kappa(pairs: Sequence[tuple[Value, Value]], world: World) -> float:
    found = agreement([gold for gold, _ in pairs], [said for _, said in pairs], world.value_type)
    return round(float(found), 6)


def _wrong(gold: Value, world: World) -> Value:
    """The label farthest from the right one."""
    choices: list[Value] = list(world.value_type.choices())
    place = choices.index(gold)
    return choices[0] if place >= len(choices) / 2 else choices[-1]


def _less(after: Usage, before: Usage) -> Usage:
    return {
        model: {name: n - before.get(model, {}).get(name, 0) for name, n in counts.items()}
        for model, counts in after.items()
    }


def _calls(usage: Usage, embedding: bool = False) -> int:
    return sum(counts["calls"] for model, counts in usage.items() if ("embed" in model) == embedding)


def _tokens(usage: Usage) -> int:
    return sum(counts["prompt_tokens"] + counts["completion_tokens"] for counts in usage.values())
