"""Many processes at once, and processes that are killed at a named point, on SQLite and PostgreSQL."""

import signal

import pytest

from judge_opt.traces import Store, Trace

PROCESSES, APPENDS = 10, 200

APPEND = """
import sys
from judge_opt.traces import Store
store, me, name = Store(sys.argv[1]), sys.argv[2], sys.argv[4]
for n in range(int(sys.argv[3])):
    print(store.log_feedback(f"t{n % 50}", f"{name}{n // 50}", bool(n % 2), rater=me).id, flush=True)
"""

FIRST = """
import sys
from judge_opt.traces import Store, Trace
store, me = Store(sys.argv[1]), sys.argv[2]
store.add_trace(Trace(f"{me}", inputs={"from": me}))
store.add_trace(Trace("everybody's", inputs={"n": 1}))
store.log_feedback("everybody's", "ok", True, rater=me)
"""

ENDLESS = """
import sys
from judge_opt.traces import Store, Trace
store = Store(sys.argv[1])
for n in range(1000):
    store.add_trace(Trace(f"t{n}"))
    print(f"t{n}", store.log_feedback(f"t{n}", "ok", True, rater="ana").id, flush=True)
"""

REPLACED = """
import sys
from judge_opt.traces import Store
store = Store(sys.argv[1])
change, word = sys.argv[2], sys.argv[3]
if change == "feedback":
    store.log_feedback("t", "ok", False, rater="ana")
elif change == "override":
    store.override(word, False, rater="bo")
else:
    store.retract(word)
"""

BATCHES = """
import sys
from judge_opt.traces import Store, Trace
Store(sys.argv[1]).add_traces(Trace(f"b{n}") for n in range(2000))
"""


def finished(children):
    ended = [process.communicate(timeout=240) for process in children]
    assert [err for process, (_, err) in zip(children, ended, strict=True) if process.returncode] == []
    return [out for out, _ in ended]


def test_ten_processes_append_and_no_label_is_lost_or_doubled(store_url, child):
    with Store(store_url) as store:
        store.add_traces(Trace(f"t{n}", inputs={"n": n}) for n in range(50))
        outputs = finished([child(APPEND, store_url, str(me), str(APPENDS), "ok") for me in range(PROCESSES)])
        acknowledged = {line for out in outputs for line in out.split()}
        assert len(acknowledged) == PROCESSES * APPENDS
        stored = [word for n in range(50) for word in store.assessments(f"t{n}")]
        assert {word.id for word in stored} == acknowledged
        assert len(stored) == PROCESSES * APPENDS
        votes = {(word.trace_id, word.name, word.source_id) for word in stored if word.votes}
        assert len(votes) == PROCESSES * APPENDS


def test_ten_processes_race_for_a_new_database(bare_url, child):
    finished([child(FIRST, bare_url, str(me)) for me in range(PROCESSES)])
    with Store(bare_url) as store:
        ids = sorted(trace.id for trace in store.iter_traces())
        assert ids == [*map(str, range(PROCESSES)), "everybody's"]
        assert len(store.assessments("everybody's")) == PROCESSES


def test_one_rater_in_many_processes_keeps_one_vote_and_the_whole_history(store_url, child):
    with Store(store_url) as store:
        store.add_trace(Trace("t0"))
        finished([child(APPEND.replace("n % 50", "0"), store_url, "ana", "25", "ok") for _ in range(4)])
        history = store.assessments("t0")
        assert len(history) == 100
        assert [word.current for word in history] == [False] * 99 + [True]
        assert [word.supersedes for word in history] == [None, *(word.id for word in history[:-1])]


def killed(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    return out


@pytest.mark.parametrize("point", ["database.commit", "database.committed"])
def test_killed_at_any_write_no_acknowledged_label_is_lost(store_url, child, point):
    with Store(store_url) as store:
        acknowledged = killed(child(ENDLESS, store_url, kill_at=f"{point}:20")).split()
        labels = dict(zip(acknowledged[::2], acknowledged[1::2], strict=True))
        assert len(labels) == 9
        for trace_id, label in labels.items():
            assert [word.id for word in store.assessments(trace_id)] == [label]
        # The twentieth write, a label, was not acknowledged: it is there only if it was committed.
        assert len(store.assessments("t9")) == (point == "database.committed")
        store.log_feedback("t9", "ok", False, rater="ana")  # the dead process holds no lock
        assert store.labelled_examples("ok", bool)


@pytest.mark.parametrize("change", ["feedback", "override", "retract"])
def test_killed_before_the_commit_the_earlier_label_still_votes(store_url, child, change):
    with Store(store_url) as store:
        store.add_trace(Trace("t"))
        first = store.log_feedback("t", "ok", True, rater="ana")
        killed(child(REPLACED, store_url, change, first.id, kill_at="database.commit"))
        assert store.assessments("t") == [first]
        finished([child(REPLACED, store_url, change, first.id)])
        assert not store.assessments("t")[0].votes


def test_killed_between_two_batches_whole_batches_are_there(store_url, child):
    with Store(store_url) as store:
        killed(child(BATCHES, store_url, kill_at="database.commit:3"))
        assert sum(trace.id.startswith("b") for trace in store.iter_traces()) == 1000
