"""The call store: many writers, damage, and what happens when the disk says no."""

import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.store import CallStore

ROW = LedgerRow("r", "judge", "openai:/any", "k", cached=False, prompt_tokens=10, usd=0.5, attempts=1)
APPEND = """
import sys
from pathlib import Path
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.store import CallStore
store = CallStore(Path(sys.argv[1]))
for i in range(50):
    row = LedgerRow("r", "judge", "m", "k", cached=False, attempts=1)
    assert store.put(f"shared-{i}", {"by": sys.argv[2]}, row) == store.get(f"shared-{i}")
    store.put(f"{sys.argv[2]}-{i}", {"i": i}, row)
    store.record(LedgerRow("r", "judge", "m", "k", cached=True))
store.close()
"""


@pytest.fixture
def store(tmp_path):
    return CallStore(tmp_path / "calls.db")


def test_round_trip_and_first_reply_stays(store):
    assert store.get("k") is None
    assert store.put("k", {"b": 1, "a": "é\x00"}, ROW) == {"a": "é\x00", "b": 1}
    assert store.put("k", {"other": 1}, ROW) == {"a": "é\x00", "b": 1}
    assert store.get("k") == {"a": "é\x00", "b": 1}


def test_summary(store):
    store.put("k", {}, ROW)
    store.record(replace(ROW, cached=True))
    store.record(replace(ROW, outcome="error:timeout", attempts=3, prompt_tokens=0, usd=0.0))
    store.put("k2", {}, replace(ROW, purpose="reflect", usd=None))
    store.put("k3", {}, replace(ROW, run_id="other"))
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


def test_threads(store):
    def work(n):
        for i in range(20):
            store.put(f"{n}-{i}", {"i": i}, ROW)
            assert store.get(f"{n}-{i}") == {"i": i}

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.summary()[0].calls == 160


def test_a_fork_opens_its_own_connection(store):
    store.put("k", {"a": 1}, ROW)
    child = os.fork()
    if child == 0:
        ok = store.get("k") == {"a": 1}
        store.put("child", {}, ROW)
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("child") == {}


def test_a_changed_reply_is_named(store):
    store.put("k", {"verdict": "no"}, ROW)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("""UPDATE replies SET response = '{"verdict":"yes"}'""")
    with pytest.raises(IntegrityError, match=r"calls\.db") as caught:
        store.get("k")
    assert caught.value.remedy


def test_swapped_replies_are_named(store):
    store.put("a", {"verdict": "no"}, ROW)
    store.put("b", {"verdict": "yes"}, ROW)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE replies SET key = CASE key WHEN 'a' THEN 'c' ELSE 'a' END")
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
        store.put(f"k{i}", {"text": "x" * 2000}, ROW)
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
from pathlib import Path
from judge_opt.core.errors import JudgeOptError
from judge_opt.llm.ledger import LedgerRow
from judge_opt.llm.store import CallStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = CallStore(Path(sys.argv[1]))
row = LedgerRow("r", "judge", "m", "k", cached=False)
store.put("first", {"a": 1}, row)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
stored = 0
try:
    for i in range(1000):
        store.put(f"k{i}", {"text": "x" * 3000}, row)
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
