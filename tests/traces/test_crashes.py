"""Many processes at once, and processes that are killed at a named point."""

import signal

from judge_opt.traces import Store, Trace

PROCESSES, APPENDS = 10, 50

APPEND = """
import sys
from judge_opt.traces import Store, Trace
store, me = Store(sys.argv[1]), sys.argv[2]
for n in range(int(sys.argv[3])):
    store.add_trace(Trace(f"{me}-{n}", inputs={"n": n}))
    store.log_feedback(f"{me}-{n}", "ok", True, rater=me)
    store.log_feedback("shared" if n else f"{me}-0", "ok", bool(n % 2), rater="everybody")
"""

KILLED = """
import os, signal, sys
from sqlalchemy import event
from judge_opt.traces import Store, Trace

point, count = sys.argv[2], int(sys.argv[3])
def kill():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

store = Store(sys.argv[1])
for n in range(count):
    store.add_trace(Trace(f"t{n}"))
    print(store.log_feedback(f"t{n}", "ok", True, rater="ana").id)
if point == "after an acknowledged write":
    kill()
if point == "before a commit":
    event.listen(store.database._engine, "commit", lambda connection: kill())
    store.log_feedback("t0", "ok", False, rater="ana")
if point == "between two batches":
    def endless():
        for n in range(1200):
            if n == 1100:
                kill()
            yield Trace(f"b{n}")
    store.add_traces(endless())
"""


def test_ten_processes_append_and_nothing_is_lost_or_doubled(file, child):
    # Nobody made the file before: the children race for the migration as well.
    children = [
        child(APPEND.replace('"shared" if n else ', ""), str(me), str(APPENDS)) for me in range(PROCESSES)
    ]
    failures = [
        err for process in children for _, err in [process.communicate(timeout=120)] if process.returncode
    ]
    assert failures == []
    store = Store(file)
    ids = [trace.id for trace in store.iter_traces()]
    assert sorted(ids) == sorted(f"{me}-{n}" for me in range(PROCESSES) for n in range(APPENDS))
    votes = [(e.id, vote.rater) for e in store.labelled_examples("ok", bool) for vote in e.votes]
    assert len(votes) == len(set(votes)) == PROCESSES * (APPENDS + 1)
    store.add_trace(Trace("after"))


def test_one_rater_in_many_processes_keeps_one_vote_and_the_whole_history(file, child):
    store = Store(file)
    store.add_trace(Trace("shared"))
    children = [child(APPEND, str(me), "11") for me in range(4)]
    failures = [
        err for process in children for _, err in [process.communicate(timeout=120)] if process.returncode
    ]
    assert failures == []
    history = [word for word in store.assessments("shared") if word.source_id == "everybody"]
    assert len(history) == 4 * 10
    assert [word.current for word in history] == [False] * 39 + [True]
    assert [word.supersedes for word in history] == [None, *(word.id for word in history[:-1])]


def killed(child, point):
    process = child(KILLED, point, "20")
    acknowledged, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    return acknowledged.split()


def test_kill_after_an_acknowledged_write_loses_nothing(file, child):
    acknowledged = killed(child, "after an acknowledged write")
    store = Store(file)
    assert [word.id for n in range(20) for word in store.assessments(f"t{n}")] == acknowledged


def test_kill_before_a_commit_undoes_that_write_alone(file, child):
    acknowledged = killed(child, "before a commit")
    store = Store(file)
    assert [word.id for word in store.assessments("t0")] == acknowledged[:1]
    assert len(store.labelled_examples("ok", bool)) == 20
    store.log_feedback("t0", "ok", False, rater="ana")  # the dead process holds no lock


def test_kill_between_two_batches_leaves_whole_batches(file, child):
    killed(child, "between two batches")
    store = Store(file)
    assert sum(trace.id.startswith("b") for trace in store.iter_traces()) == 1000
