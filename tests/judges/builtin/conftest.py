"""An endpoint that knows the cases' verdicts, and sessions to ask it in."""

import builtin_world as world
import pytest

from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer


@pytest.fixture
def server():
    with FaultServer(answer=world.knows_all) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    quick = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=30.0, deadline=60.0)
    with Session(tmp_path / "home", retry=quick) as made, use_session(made):
        yield made
