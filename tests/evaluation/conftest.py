"""Shared by the tests of evaluation: a server, and a session that does not wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from evaluation_world import say

from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.05, timeout=30.0, deadline=60.0)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "JUDGE_OPT_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "JUDGE_OPT_HOME",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(answer=say) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def session(home: Path) -> Iterator[Session]:
    """The current session of the test."""
    with Session(home, retry=QUICK) as made, use_session(made):
        yield made
