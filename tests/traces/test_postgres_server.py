"""What only a server does: it is elsewhere, it is shared, it restarts."""

import os
import random
import threading

import pytest
import sqlalchemy as sa

from judge_opt.core.errors import Conflict, IntegrityError, JudgeOptError, NotFound, UsageError
from judge_opt.registry import Registry
from judge_opt.traces import Database, Store, Trace, database
from judge_opt.traces.check import check_database


def backend(connection):
    return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()


def test_a_commit_is_on_disk_whatever_the_server_defaults_to(postgres_url):
    with Database(postgres_url) as opened, opened.write() as connection:
        for setting in ("synchronous_commit", "fsync"):
            assert connection.exec_driver_sql(f"SHOW {setting}").scalar() == "on"


def test_a_reader_sees_one_moment_and_cannot_write(store):
    with store.database.read() as connection:
        count = sa.text("SELECT count(*) FROM traces")
        assert connection.execute(count).scalar() == 0
        store.add_trace(Trace("a"))
        assert connection.execute(count).scalar() == 0


def test_a_connection_that_died_is_made_again(postgres, postgres_url):
    with Store(postgres_url) as store:
        store.add_trace(Trace("a"))
        with store.database.read() as connection:
            pid = backend(connection)
        postgres.end_connection(pid)
        store.add_trace(Trace("b"))
        assert [trace.id for trace in store.iter_traces()] == ["a", "b"]


def test_a_connection_that_dies_in_a_write_undoes_it(postgres, postgres_url):
    with Store(postgres_url) as store:
        store.add_trace(Trace("a"))

        def interrupted():
            with store.database.write() as connection:
                connection.execute(sa.text("DELETE FROM traces"))
                postgres.end_connection(backend(connection))

        with pytest.raises(UsageError, match="cannot be reached"):
            interrupted()
        assert store.get_trace("a").id == "a"


def test_a_writer_waits_only_so_long(postgres_url, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    holds, done = threading.Event(), threading.Event()

    def hold():
        with Database(postgres_url) as other, other.write():
            holds.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holds.wait(60)
        with Store(postgres_url) as store, pytest.raises(Conflict, match="Another process has been writing"):
            store.add_trace(Trace("a"))
    finally:
        done.set()
        thread.join()
    with Store(postgres_url) as store:
        store.add_trace(Trace("a"))


def test_a_full_disk_leaves_what_was_stored(postgres, postgres_url):
    noise = random.Random(0).randbytes(15_000_000).hex()
    with Store(postgres_url) as store:
        store.add_trace(Trace("before"))
        with store.database.read() as connection:
            # Larger than a segment of the server's own log, smaller than the row. The pool hands the store
            # this connection again.
            postgres.limit_files(backend(connection), 20_000_000)
        with pytest.raises(JudgeOptError, match=r"what was stored before is intact. Free some space"):
            store.add_trace(Trace("big", inputs=noise))
    with Store(postgres_url) as store:
        assert [trace.id for trace in store.iter_traces()] == ["before"]
        store.add_trace(Trace("after"))


def test_a_database_that_cannot_hold_every_text_is_refused(postgres):
    url = postgres.new_database(encoding="LATIN1")
    with pytest.raises(UsageError, match=r"is encoded in LATIN1, which cannot hold every text. Make"):
        Store(url)
    postgres.drop(url)


def test_what_cannot_be_reached_or_written_is_a_usage_error(postgres_url):
    with pytest.raises(UsageError, match="cannot be reached"):
        Store(postgres_url.replace("test_", "none_"))
    with pytest.raises(UsageError, match="cannot be reached"):
        Store(f"postgresql+psycopg://u:secret@/x?host={os.sep}nowhere")
    with Store(postgres_url) as store:
        with store.database.write() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        store.close()
        with pytest.raises(UsageError, match="cannot be opened for writing"):
            store.add_trace(Trace("a"))


def test_the_longest_names_of_the_strangest_text_fit_the_index(store):
    length = 250
    rng = random.Random(1)
    # No high surrogate right before a low one: as JSON those two would be one character.
    odd = "".join(chr(rng.randrange(0xDC00, 0xE000)) for _ in range(length))
    wide = "".join(chr(rng.randrange(0x10000, 0x10FFFF)) for _ in range(length))
    for name, rater in ((odd, odd[::-1]), (wide, wide[::-1]), ("\\" * length, "\x00" * length)):
        trace = Trace(name, session=name, tags={name: rater})
        store.add_trace(trace)
        word = store.log_feedback(name, name, True, rater=rater)
        assert store.assessments(name) == [word]
        assert store.get_trace(name).tags == {name: rater}


PAGE = 8192
DAMAGES = {
    "emptied": lambda data: b"",
    "cut at a page": lambda data: data[: -(len(data) // PAGE // 2) * PAGE],
    "cut in a page": lambda data: data[: len(data) - PAGE // 2],
    "bit": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
    "pages swapped": lambda data: data[PAGE : 2 * PAGE] + data[:PAGE] + data[2 * PAGE :],
}


ROWS = 20


@pytest.fixture(scope="module")
def filled(postgres, postgres_template):
    """A database with traces and a registered judge, of some pages each."""
    url = postgres.new_database(like=postgres_template)
    noise = random.Random(0)
    with Store(url) as store:
        for n in range(ROWS):
            store.add_trace(Trace(f"t{n}", inputs=noise.randbytes(500).hex()))
            store.log_feedback(f"t{n}", "ok", True, noise.randbytes(500).hex(), rater="ana")
            Registry(store).register("judge", "j", {"n": noise.randbytes(500).hex()}, {"index": b"x" * 1000})
    return url


@pytest.mark.parametrize("table", ["traces", "assessments", "registry_versions", "registry_blobs"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_of_the_server_is_named(postgres, filled, how, table):
    url = postgres.damaged_copy(filled, table, DAMAGES[how])
    with Store(url) as store:
        found = check_database(store.database) + Registry(store).check()
        assert any("damaged" in line or "not there" in line for line in found), found
        said = [refusal(read) for n in range(ROWS) for read in readers(store, n)]
    postgres.drop(url)
    assert all(one is None or "damaged" in one or "There is no" in one for one in said), said
    # The server itself reads a table of labels that was cut as one with fewer labels: only the check sees it.
    assert any(said) or (table == "assessments" and how.startswith(("emptied", "cut")))


def readers(store, n):
    """Reads of a trace, its label and a version, which fail where they are not what was written."""

    def trace():
        assert len(store.get_trace(f"t{n}").inputs) == 1000

    def label():
        assert all(len(word.rationale) == 1000 for word in store.assessments(f"t{n}"))

    def version():
        found, payload, blobs = Registry(store).get("judge", "j", n + 1)
        assert (found.version, len(payload["n"]), blobs) == (n + 1, 1000, {"index": b"x" * 1000})

    return trace, label, version


def refusal(read):
    """What was said where it was refused, with a remedy; None where it was read."""
    try:
        read()
    except (IntegrityError, NotFound) as error:
        return error.remedy and str(error)
    return None
