"""The databases that the store and the registry are tested on: an SQLite file and a PostgreSQL server.

`store_url` runs a test on both. Without PostgreSQL those runs are skipped, but not where
JUDGE_OPT_REQUIRE_POSTGRES=1 says that it has to be there, as CI does.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres_cluster import Cluster, NoPostgres

# A shell starts what it puts into the background with Ctrl-C ignored, and Python then never hears of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server for the whole run."""
    try:
        import psycopg  # noqa: F401

        cluster = Cluster()
    except (NoPostgres, ImportError) as error:
        if os.environ.get("JUDGE_OPT_REQUIRE_POSTGRES", "") not in ("", "0"):
            pytest.fail(f"JUDGE_OPT_REQUIRE_POSTGRES is set, but: {error}")
        pytest.skip(str(error))
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres: Cluster) -> str:
    """A migrated database without rows, to copy: a copy takes milliseconds, the migrations do not."""
    from judge_opt.traces import Database

    url = postgres.new_database()
    Database(url).close()
    return url


@pytest.fixture
def postgres_url(postgres: Cluster, postgres_template: str) -> Iterator[str]:
    """A migrated database of its own on the PostgreSQL server."""
    url = postgres.new_database(like=postgres_template)
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, on SQLite (a file that is not there yet) and on PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "lab.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """As `store_url`, without any table: whoever comes first has to migrate."""
    if request.param == "sqlite":
        yield str(tmp_path / "lab.db")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.new_database()
    yield url
    cluster.drop(url)


# Half of hypothesis' usual number, so that the whole suite stays well under the gate's time; a test that
# needs more says so itself.
settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile("suite")
