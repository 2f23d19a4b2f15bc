"""Where the environment of these tests is, and what its processes may see."""

import os
from pathlib import Path

import judge_opt

ROOT = Path(next(iter(judge_opt.__path__))).parent
HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("JUDGE_OPT_INTEROP_PYTHON") or ROOT / ".venv" / "interop" / "bin" / "python")
REMEDY = (
    f"{PYTHON} is missing: run `make .venv/.interop`, or set JUDGE_OPT_INTEROP_PYTHON to a Python with the "
    "packages of tests/integrations/requirements.txt"
)


def clean_environment() -> dict[str, str]:
    """The environment without other MLflow settings, and without a network beyond loopback."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
        "HF_HUB_OFFLINE": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "NO_PROXY": "127.0.0.1",
    }
