"""From what a user names to the judge: a registry reference, a saved folder, or a configuration."""

from pathlib import Path
from typing import TYPE_CHECKING

from judge_opt.core.errors import NotFound
from judge_opt.registry.names import parse_reference

__all__ = ["find_judge", "judge_of", "parse_reference"]

if TYPE_CHECKING:
    from judge_opt.experiments.config import JudgeConfig
    from judge_opt.judges.judge import Judge


def find_judge(reference: str, home: Path) -> "Judge":
    """The judge that a user named.

    Raises:
        NotFound, IntegrityError, UsageError: never another judge instead.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        from judge_opt.judges.stored import read_judge

        ours = folder.resolve().is_relative_to(home.resolve())  # a run's own judge; else from anybody
        run = folder / "judge"
        return read_judge(run if (run / "judge.json").is_file() else folder, trust_base_url=ours)
    name, version = parse_reference(reference)
    from judge_opt.registry.judges import get_judge, registry_path

    if not registry_path(home).is_file():
        raise NotFound(
            f"There is no judge {name!r}: nothing is registered in {home}.",
            "Align one, or give the right --home.",
        )
    return get_judge(name, version, home=home)


def judge_of(said: "JudgeConfig") -> "Judge":
    """The untouched judge of a configuration."""
    from judge_opt.judges.make import make_judge

    return make_judge(
        said.name,
        said.instructions,
        said.model,
        said.values.value_type(),
        inference_params=dict(said.inference_params),
        base_url=said.base_url,
        generate_rationale_first=said.generate_rationale_first,
    )
