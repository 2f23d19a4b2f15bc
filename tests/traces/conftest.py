"""A store on each kind of database, and real child processes that use the same one."""

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
    """An SQLite file that is not there yet, for what concerns files."""
    return tmp_path / "lab.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def child() -> Callable[..., "subprocess.Popen[str]"]:
    """Starts Python on a piece of code; `sys.argv[1]` is the database, further arguments follow. With
    `kill_at`, it dies at that point (see `judge_opt.core.killpoints`)."""

    def start(code: str, url: str | Path, *arguments: str, kill_at: str = "") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", code, str(url), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JUDGE_OPT_KILL_AT": kill_at},
        )

    return start
