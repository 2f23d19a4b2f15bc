"""The rival's environment: MLflow 3.18, in a virtual environment of its own, made once.

3.18.0's sibling packages cannot be had everywhere, so 3.17.2 brings the dependencies and the wheel of
3.18.0, which holds the whole judge code, is put over it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "judge_opt_overhead_mlflow"


def python() -> Path:
    """Its interpreter; installs what is missing."""
    found = FOLDER / "bin" / "python"
    if not (FOLDER / "ready").exists():
        print("installing MLflow for the comparison, once: some minutes")
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        for packages in (["mlflow==3.17.2", "litellm==1.106.2"], ["--no-deps", "mlflow==3.18.0"]):
            command = [found, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(packages)} cannot be installed: {done.stderr[-2000:]}")
        (FOLDER / "ready").write_text("mlflow 3.18.0\n")
    return found
