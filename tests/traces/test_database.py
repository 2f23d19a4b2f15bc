import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import judge_opt
from judge_opt.core.errors import IntegrityError, JudgeOptError, NotFound, UsageError
from judge_opt.traces import Database, Store, Trace
from judge_opt.traces.migrate import FOLDER, HEAD, VERSION_TABLE, all_tables


def pragma(database, name):
    with database.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_is_set_up_for_durability(file):
    database = Database(file)
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") >= 30_000


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(bare_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Database(bare_url) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, all_tables()) == []


def test_head_is_the_last_migration():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_database_from_the_future_is_refused(store_url):
    with Database(store_url) as database, database.write() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(
        IntegrityError, match=r"was written by a newer judge_opt \(schema 9999; .*Upgrade with"
    ) as caught:
        Store(store_url)
    assert database.name in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda data: b"not a database at all, but long enough" * 40, lambda data: data[:5000]]
)
def test_a_damaged_file_is_named(file, damage):
    with Store(file) as store:
        store.add_traces(Trace(f"t{n}", inputs="x" * 500) for n in range(50))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(IntegrityError, match=r"lab.db is damaged or is no database.*Restore it"):
        list(Store(file).iter_traces())


def test_a_missing_file_is_made_only_where_that_is_wanted(file):
    with pytest.raises(NotFound, match=r"There is no database"):
        Store(file, create=False)
    assert not file.exists()
    Store(file)
    Store(file, create=False)


@pytest.mark.parametrize(
    "url", ["", "nonsense://x", "postgresql+nodriver://u:secret@h/d", "sqlite:///\x00://"]
)
def test_a_wrong_url_is_a_usage_error_without_its_password(url):
    with pytest.raises(JudgeOptError) as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be opened for writing"):
        Store(tmp_path)


def test_a_forked_child_gets_its_own_connection(store):
    store.add_trace(Trace("parent"))
    pid = os.fork()
    if pid == 0:
        try:
            store.add_trace(Trace("child"))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    store.add_trace(Trace("parent again"))
    assert {trace.id for trace in store.iter_traces()} == {"parent", "child", "parent again"}


def test_a_full_disk_leaves_what_was_stored(file, child):
    with Store(file) as store:
        store.add_trace(Trace("before"))
    code = """
import resource, signal, sys
from judge_opt.core.errors import JudgeOptError
from judge_opt.traces import Store, Trace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    store.add_trace(Trace("big", inputs="x" * 1_000_000))
except JudgeOptError as error:
    print(error)
"""
    out, err = child(code, file).communicate(timeout=120)
    assert "what was stored before is intact. Free some space" in out, err
    assert [trace.id for trace in Store(file).iter_traces()] == ["before"]


def test_a_read_only_folder_is_named_and_can_still_not_be_half_written(file):
    """Root may write anywhere, so the child gives up that right (setpriv is in util-linux, as prlimit is)."""
    with Store(file) as store:
        store.add_trace(Trace("before"))
    code = """
import sys
from judge_opt.core.errors import JudgeOptError
from judge_opt.traces import Store, Trace
try:
    Store(sys.argv[1]).add_trace(Trace("after"))
except JudgeOptError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(file)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-dac_override", *command]
    root = str(Path(judge_opt.__path__[0]).parent)
    file.chmod(0o444)
    file.parent.chmod(0o555)
    try:
        environment = {**os.environ, "PYTHONPATH": root}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=environment, check=False
        )
    finally:
        file.parent.chmod(0o755)
        file.chmod(0o644)
    assert "cannot be opened for writing" in done.stdout, done.stderr
    assert "Check the path and its permissions" in done.stdout
    assert [trace.id for trace in Store(file).iter_traces()] == ["before"]
