"""Shared by the tests of judge_opt.llm: a server, and sessions that do not wait."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session
from judge_opt.testing.fault_server import FaultServer

QUICK = RetryPolicy(attempts=4, first_wait=0.01, longest_wait=0.05, timeout=5.0, deadline=10.0)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "JUDGE_OPT_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def make_session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(**options: Any) -> Session:
        made.append(Session(tmp_path / "home", **{"retry": QUICK, **options}))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session()
