"""A session and a store of its own for each test, and the world's server."""

import pytest
from prompt_world import World

from judge_opt import Session, use_session, use_store
from judge_opt.testing.fault_server import FaultServer


@pytest.fixture
def world():
    return World()


@pytest.fixture
def server(world):
    with FaultServer(world) as running:
        yield running


@pytest.fixture
def session(tmp_path):
    with Session(tmp_path / "home") as made, use_session(made), use_store(tmp_path / "lab.db"):
        yield made
