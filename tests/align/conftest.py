"""Sessions and servers for alignments."""

import alignment_world as world
import pytest

from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5.0, deadline=10.0)


@pytest.fixture
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture
def in_session(tmp_path):
    """Make a session current: in_session("name") has a home of its own."""
    made = []

    def enter(name="home", **options):
        session = Session(tmp_path / name, retry=QUICK, **options)
        context = use_session(session)
        context.__enter__()
        made.append((context, session))
        return session

    yield enter
    for context, session in reversed(made):
        context.__exit__(None, None, None)
        session.close()
