"""A registry on each kind of database, and child processes that use the same one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judge_opt.registry import Registry
from judge_opt.traces import Database

ROOT = Path(__file__).parents[2]


@pytest.fixture
def registry(store_url: str) -> Iterator[Registry]:
    with Database(store_url) as database:
        yield Registry(database)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Registry]:
    """Somebody else's registry."""
    with Database(tmp_path / "other.db") as database:
        yield Registry(database)


@pytest.fixture
def child(store_url: str) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts Python on a piece of code; `sys.argv[1]` is the registry's database, further arguments follow.
    With `kill_at`, it dies at that point (see `judge_opt.core.killpoints`)."""

    def start(code: str, *arguments: str, kill_at: str = "") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", code, store_url, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JUDGE_OPT_KILL_AT": kill_at},
        )

    return start
