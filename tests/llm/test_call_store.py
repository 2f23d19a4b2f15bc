"""The call store: many writers, damage, and what happens when the disk says no."""

import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import orjson
import pytest

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.llm.ledger import LEDGER_COLUMNS, LedgerRow
from judge_opt.llm.store import CallStore, _digest, _entry

ROW = LedgerRow("r", "judge", "openai:/any", "k", cached=False, prompt_tokens=10, usd=0.5, attempts=1)
APPEND = """
import sys
from dataclasses import replace
from pathlib import Path
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.store import CallStore
store = CallStore(Path(sys.argv[1]))
for i in range(50):
    row = LedgerRow("r", "judge", "m", "k", cached=False, attempts=1)
    assert store.put({"by": sys.argv[2]}, replace(row, key=f"shared-{i}")) == store.get(f"shared-{i}")
    store.put({"i": i}, replace(row, key=f"{sys.argv[2]}-{i}"))
    store.record(LedgerRow("r", "judge", "m", "k", cached=True))
store.close()
"""


@pytest.fixture
def store(tmp_path):
    return CallStore(tmp_path / "calls.db")


def test_round_trip_and_first_reply_stays(store):
    assert store.get("k") is None
    assert store.put({"b": 1, "a": "é\x00"}, ROW) == {"a": "é\x00", "b": 1}
    assert store.put({"other": 1}, ROW) == {"a": "é\x00", "b": 1}
    assert store.get("k") == {"a": "é\x00", "b": 1}


def test_summary(store):
    store.put({}, ROW)
    store.record(replace(ROW, cached=True))
    store.record(replace(ROW, outcome="error:timeout", attempts=3, prompt_tokens=0, usd=0.0))
    store.put({}, replace(ROW, key="k2", purpose="reflect", usd=None))
    store.put({}, replace(ROW, key="k3", run_id="other"))
    judge, reflect = store.summary("r")
    assert (judge.calls, judge.failed, judge.attempts, judge.hits) == (1, 1, 4, 1)
    assert (judge.prompt_tokens, judge.usd, judge.unpriced) == (10, 0.5, 0)
    assert (reflect.purpose, reflect.calls, reflect.unpriced) == ("reflect", 1, 1)
    assert store.summary()[0].calls == 2


def test_ten_processes_append_without_loss(tmp_path):
    path = tmp_path / "calls.db"
    args = [sys.executable, "-c", APPEND, str(path)]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [subprocess.Popen([*args, str(n)], env=env) for n in range(10)]
    assert [process.wait(60) for process in running] == [0] * 10
    store = CallStore(path)
    (line,) = store.summary()
    assert (line.calls, line.hits) == (1000, 500)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT COUNT(*) FROM replies").fetchone() == (550,)


def test_equal_keys_in_one_transaction(store):
    """The first reply stays; each that was paid for is booked; what was stored before stays too."""
    store.put({"n": 0}, replace(ROW, key="old"))
    old, first, second = (
        _entry({"n": n}, replace(ROW, key=key)) for n, key in enumerate(("old", "new", "new"))
    )
    store.record(replace(ROW, cached=True))
    store._write([old, first, second])
    assert [entry.inserted for entry in (old, first, second)] == [False, True, False]
    assert all(entry.done for entry in (old, first, second))
    assert (store.get("old"), store.get("new")) == ({"n": 0}, {"n": 1})
    (line,) = store.summary()
    assert (line.calls, line.hits) == (4, 1)


SCHEMA_1 = """
CREATE TABLE replies (key TEXT PRIMARY KEY, response BLOB NOT NULL, sha TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, run_id TEXT NOT NULL, purpose TEXT NOT NULL,
  model TEXT NOT NULL, key TEXT NOT NULL, cached INTEGER NOT NULL, answered TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, outcome TEXT NOT NULL
);
CREATE INDEX ledger_by_run ON ledger (run_id);
CREATE TABLE vectors (
  model TEXT NOT NULL, text_sha TEXT NOT NULL, vector BLOB NOT NULL, sha TEXT NOT NULL,
  PRIMARY KEY (model, text_sha)
) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


def test_a_file_of_the_first_schema_keeps_its_replies_and_its_ledger(tmp_path):
    path = tmp_path / "calls.db"
    body = orjson.dumps({"n": 1})
    ledger = ", ".join(LEDGER_COLUMNS)
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA_1)
        for key in ("a", "b", "lost"):
            db.execute("INSERT INTO replies VALUES (?, ?, ?)", (key, body, _digest(key, body)))
        db.execute("INSERT INTO vectors VALUES ('m', 't', ?, ?)", (b"abcd", _digest("m", "t", b"abcd")))
        for key, cached, outcome in (
            ("a", 0, "error:timeout"), ("a", 0, "ok"), ("a", 1, "ok"), ("b", 0, "ok"), ("b", 0, "ok"),
            ("c", 0, "error:x"),
        ):  # fmt: skip
            values = (1.0, "r", "judge", "m", key, cached, "m", 3, 2, 0.5, 0.1, 1 - cached, outcome)
            db.execute(f"INSERT INTO ledger ({ledger}) VALUES ({','.join('?' * 13)})", values)
    store = CallStore(path)
    assert [store.get(key) for key in ("a", "b", "lost", "c")] == [{"n": 1}, {"n": 1}, {"n": 1}, None]
    (line,) = store.summary("r")
    assert (line.calls, line.failed, line.attempts, line.hits, line.usd) == (3, 2, 5, 1, 2.5)
    assert store.get_vectors("m", ["t"]) == {"t": b"abcd"}
    store.put({"n": 2}, replace(ROW, key="c"))
    assert store.get("c") == {"n": 2}
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM ledger WHERE run_id = 'r'").fetchone() == (7,)
        assert db.execute("SELECT key FROM replies ORDER BY key").fetchall() == [
            ("a",),
            ("b",),
            ("c",),
            ("lost",),
        ]
    assert CallStore(path).get("a") == {"n": 1}


def test_threads(store):
    def work(n):
        for i in range(20):
            store.put({"i": i}, replace(ROW, key=f"{n}-{i}"))
            assert store.get(f"{n}-{i}") == {"i": i}

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.summary()[0].calls == 160


def test_a_fork_opens_its_own_connection(store):
    store.put({"a": 1}, ROW)
    child = os.fork()
    if child == 0:
        ok = store.get("k") == {"a": 1}
        store.put({}, replace(ROW, key="child"))
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("child") == {}


def test_a_changed_reply_is_named(store):
    store.put({"verdict": "no"}, ROW)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("""UPDATE calls SET response = '{"verdict":"yes"}'""")
    with pytest.raises(IntegrityError, match=r"calls\.db") as caught:
        store.get("k")
    assert caught.value.remedy


def test_swapped_replies_are_named(store):
    store.put({"verdict": "no"}, replace(ROW, key="a"))
    store.put({"verdict": "yes"}, replace(ROW, key="b"))
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE calls SET key = CASE key WHEN 'a' THEN 'c' ELSE 'a' END")
    with pytest.raises(IntegrityError):
        store.get("a")


def test_a_changed_vector_is_named(store):
    store.put_vectors("m", {"t": b"abcd"})
    store.put_vectors("m", {"t": b"other"})
    assert store.get_vectors("m", ["t", "u"]) == {"t": b"abcd"}
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE vectors SET vector = 'x'")
    with pytest.raises(IntegrityError):
        store.get_vectors("m", ["t"])


def test_a_newer_file_is_refused(store):
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(IntegrityError, match="newer"):
        CallStore(store.path)


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "calls.db"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"calls\.db"):
        CallStore(path)


def test_a_truncated_file_is_named(store):
    for i in range(50):
        store.put({"text": "x" * 2000}, replace(ROW, key=f"k{i}"))
    store.close()
    data = store.path.read_bytes()
    store.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(JudgeOptError, match=r"calls\.db"):
        [store.get(f"k{i}") for i in range(50)]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JudgeOptError) as caught:
        CallStore(tmp_path / "file" / "calls.db")
    assert caught.value.remedy


FULL = """
import resource, signal, sys
from dataclasses import replace
from pathlib import Path
from judge_opt.core.errors import JudgeOptError
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.store import CallStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = CallStore(Path(sys.argv[1]))
row = LedgerRow("r", "judge", "m", "k", cached=False)
store.put({"a": 1}, replace(row, key="first"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
stored = 0
try:
    for i in range(1000):
        store.put({"text": "x" * 3000}, replace(row, key=f"k{i}"))
        stored += 1
except JudgeOptError as error:
    assert "calls.db" in str(error) and "disk" in error.remedy, error
    print(stored)
"""


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "calls.db"
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    stored = int(done.stdout)
    assert 0 < stored < 1000
    store = CallStore(path)
    assert store.get("first") == {"a": 1}
    assert all(store.get(f"k{i}") for i in range(stored))
    assert store.summary()[0].calls == stored + 1
