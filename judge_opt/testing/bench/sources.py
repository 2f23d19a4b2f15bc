"""What a cell's result depends on, as one digest: so that a changed optimizer is run anew, and nothing else.

A rival's cell depends on the lab, on the runner and on the rival's own packages, which the runner pins; one of
ours depends on the lab and on our code. Which other arms, worlds and sizes a grid has changes no cell.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import judge_opt
from judge_opt.core.errors import ConfigError
from judge_opt.core.hashing import content_hash, file_sha256
from judge_opt.testing.bench.config import Arm, BenchConfig

_PACKAGE = Path(next(iter(judge_opt.__path__)))
_OURS = ("align", "core", "judges", "labels", "llm", "memory")
_LAB = ("testing/lab", "testing/bench/cells.py")


def source_of(arm: Arm, config: BenchConfig) -> str:
    """The digest of what this arm's cells depend on, beside the world and the number of labels."""
    meant = arm.model_dump(mode="json", exclude={"name", "baseline"})
    if arm.rival is None:
        return content_hash([meant, _digest(_PACKAGE, (*_OURS, *_LAB))])[:16]
    return content_hash([meant, _digest(_PACKAGE, _LAB), _digest(_folder(str(config.rivals)), (".",))])[:16]


def sources_of(config: BenchConfig) -> dict[str, str]:
    """Arm to `source_of`."""
    return {arm.name: source_of(arm, config) for arm in config.arms}


@cache
def _digest(root: Path, parts: tuple[str, ...]) -> str:
    files: list[Path] = []
    for part in parts:
        place = root / part
        files += [place] if place.is_file() else [*place.rglob("*.py"), *place.rglob("*.txt")]
    return content_hash(sorted([str(file.relative_to(root)), file_sha256(file)] for file in files))


def _folder(runner: str) -> Path:
    module = runner.partition(":")[0]
    try:
        spec = find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(f"No runner of rivals {runner!r}.", "Run from the checkout's root.")
    return Path(spec.origin).parent
