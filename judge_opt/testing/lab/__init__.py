"""The simulated lab: worlds with known truth, and a model server that sees nothing but requests.

    import tempfile
    from pathlib import Path
    from judge_opt import MemAlign, Session, use_session
    from judge_opt.testing.lab import LabServer, World, kappa

    world = World(seed=1)
    with LabServer() as server, use_session(Session(Path(tempfile.mkdtemp()))):
        judge, held_out = world.judge(server), world.held_out(200)
        optimizer = MemAlign(reflection_lm="openai:/sim-reflect", embedder="openai:/sim-embed")
        result = optimizer.align(judge, world.examples(50))
        print(f"{kappa(judge, held_out):.2f} -> {kappa(result.judge, held_out):.2f}")

What it is for and what it cannot show: docs/lab.md. Its numbers: `parameters`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.testing.lab.parameters import (
        VERSION,
        JudgeParameters,
        Parameters,
        ReflectionParameters,
        WorldParameters,
    )
    from judge_opt.testing.lab.policy import Policy
    from judge_opt.testing.lab.process import LabProcess
    from judge_opt.testing.lab.references import (
        constant,
        kappa,
        nearest,
        oracle,
        pasted,
        reference_lines,
        untouched,
    )
    from judge_opt.testing.lab.server import LabServer
    from judge_opt.testing.lab.world import World

_HOMES = {
    "VERSION": "parameters",
    "JudgeParameters": "parameters",
    "LabProcess": "process",
    "LabServer": "server",
    "Parameters": "parameters",
    "Policy": "policy",
    "ReflectionParameters": "parameters",
    "World": "world",
    "WorldParameters": "parameters",
    "constant": "references",
    "kappa": "references",
    "nearest": "references",
    "oracle": "references",
    "pasted": "references",
    "reference_lines": "references",
    "untouched": "references",
}

__all__ = [
    "VERSION",
    "JudgeParameters",
    "LabProcess",
    "LabServer",
    "Parameters",
    "Policy",
    "ReflectionParameters",
    "World",
    "WorldParameters",
    "constant",
    "kappa",
    "nearest",
    "oracle",
    "pasted",
    "reference_lines",
    "untouched",
]


def __getattr__(name: str) -> Any:
    """Imported when first used: the server's process needs neither judges nor DSPy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
