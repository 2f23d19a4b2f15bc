"""A store in a temporary file, and real child processes that use the same file."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import judge_opt
from judge_opt.traces import Store

ROOT = Path(next(iter(judge_opt.__path__))).parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store(file) as opened:
        yield opened


@pytest.fixture
def child(file: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts Python on a piece of code; `sys.argv[1]` is the database, further arguments follow."""

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(file), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    return start
