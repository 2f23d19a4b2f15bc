"""The rivals' environment: a virtual environment of its own, made once.

    python -m benchmarks.rivals.environment [FOLDER]

The folder is `.judge_opt/rivals` of the checkout, or JUDGE_OPT_RIVALS. Where the wheel of MLflow 3.18.0
cannot be had, 3.17.2 stays, whose MemAlign, SIMBA and GEPA are the same bytes; `versions` says which it is.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.record import ROOT

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_PACKAGES = ("mlflow", "dspy", "gepa", "litellm", "openai", "faiss-cpu", "optuna", "numpy")


def home() -> Path:
    """Where the environment is."""
    return Path(os.environ.get("JUDGE_OPT_RIVALS") or ROOT / ".judge_opt" / "rivals")


def python(folder: Path | None = None) -> Path:
    """The interpreter; installs what is missing (some minutes, once). Processes wait for each other.

    Raises:
        SystemExit: a package cannot be installed.
    """
    folder = folder or home()
    found, ready = folder / "bin" / "python", folder / "ready"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == wanted:
            return found
        print(f"installing the rivals into {folder}, once: some minutes", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        _install(found, ["-r", str(REQUIREMENTS)])
        newer = _install(found, ["--no-deps", "mlflow==3.18.0"], needed=False)
        if not newer:
            print("MLflow 3.18.0 cannot be had here: 3.17.2 is used", file=sys.stderr)
        ready.write_text(wanted)
    return found


def versions(folder: Path | None = None) -> dict[str, str]:
    """Of the packages that matter."""
    code = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [python(folder), "-c", code, *_PACKAGES], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _install(interpreter: Path, packages: list[str], needed: bool = True) -> bool:
    command = [str(interpreter), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and needed:
        raise SystemExit(f"{' '.join(packages)} cannot be installed: {done.stderr[-2000:]}")
    return not done.returncode


if __name__ == "__main__":
    print(python(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
