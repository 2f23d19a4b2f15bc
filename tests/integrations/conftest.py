"""The environment in which MLflow and Hugging Face datasets are installed: `make test` makes it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from integrations_help import PYTHON, REMEDY, clean_environment


@pytest.fixture(scope="session")
def interop() -> Callable[..., str]:
    """Runs a script or `-c` code with that Python, and returns its stdout. `make test` sets
    JUDGE_OPT_REQUIRE_INTEROP, so that these tests fail there and are not skipped."""
    if not PYTHON.exists():
        if os.environ.get("JUDGE_OPT_REQUIRE_INTEROP"):
            pytest.fail(REMEDY)
        pytest.skip(REMEDY)

    def run(*arguments: object, cwd: Path) -> str:
        done = subprocess.run(
            [str(PYTHON), *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
