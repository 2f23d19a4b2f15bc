"""Judges in the registry: registered by their owner, loaded by their users."""

from pathlib import Path
from typing import Any

from judge_opt.judges.judge import Judge
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.llm.session import current_session
from judge_opt.registry.registry import Registry
from judge_opt.registry.versions import Version

KIND = "judge"


def registry_path(home: Path | str | None = None) -> Path:
    """The database of a home folder; default: the current session's."""
    return Path(home if home is not None else current_session().home) / "store.db"


def register(
    judge: Judge,
    name: str | None = None,
    *,
    tags: dict[str, str] | None = None,
    lineage: dict[str, Any] | None = None,
    alias: str | None = None,
    home: Path | str | None = None,
) -> Version:
    """Store a judge as an immutable version, with everything that it learned.

    Args:
        name: default: the judge's own.
        alias: pointed at the new version, for example "production".
        home: default: the current session's.

    Returns:
        the version; the latest one where the judge is the same as that.
    """
    registry = Registry(registry_path(home))
    state, blobs = dump_judge(judge)
    version = registry.register(KIND, name or judge.name, state, blobs, lineage, tags)
    if alias is not None:
        registry.set_alias(KIND, name or judge.name, alias, version.version)
    return version


def get_judge(name: str, version: int | str | None = None, *, home: Path | str | None = None) -> Judge:
    """Load a registered judge. No model is asked and nothing is embedded.

    Args:
        version: number or alias; default: the latest.

    Raises:
        NotFound, IntegrityError: never another version, and never the untouched judge, instead.
    """
    _, state, blobs = Registry(registry_path(home)).get(KIND, name, version)
    return load_judge(state, blobs)
