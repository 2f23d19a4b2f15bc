"""C3 and K1: one queue in many processes, and processes that are killed while they label."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from judge_opt.core.values import scale
from judge_opt.labels.queues import create_queue, get_queue
from judge_opt.labels.schemas import create_label_schema
from judge_opt.traces import Store, Trace

ROOT = str(Path(__file__).parents[2])
RATERS, ITEMS, PLACES = 10, 24, 3

LABEL = """
import sys
from judge_opt.labels.queues import get_queue
from judge_opt.traces import Store

queue = get_queue("q", store=Store(sys.argv[1]))
while task := queue.next(sys.argv[2]):
    queue.submit(task, 1 + (task.inputs["n"] + len(sys.argv[2])) % 5, rationale=f"{sys.argv[2]} {task.trace_id}")
    print(task.trace_id, flush=True)
"""


def start(url, rater, kill_at=""):
    return subprocess.Popen(
        [sys.executable, "-c", LABEL, url, rater],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT, "JUDGE_OPT_KILL_AT": kill_at},
    )


def queue_in(url, raters_per_item, items=ITEMS):
    store = Store(url)
    create_label_schema("stars", input=scale(1, 5), store=store)
    return create_queue(
        "q",
        [Trace(f"t{n}", inputs={"n": n}) for n in range(items)],
        "stars",
        raters_per_item=raters_per_item,
        lease_seconds=600,
        store=store,
    )


def test_ten_raters_share_a_queue_and_no_label_is_lost_or_doubled(store_url):
    queue = queue_in(store_url, PLACES)
    children = {f"rater{n}": start(store_url, f"rater{n}") for n in range(RATERS)}
    said = {}
    for rater, child in children.items():
        out, err = child.communicate(timeout=200)
        assert child.returncode == 0, err
        said[rater] = out.split()
    for ids in said.values():
        assert len(ids) == len(set(ids))
    # Everybody stopped when nothing was left for him, which may be while others still held the last items.
    assert sum(map(len, said.values())) == ITEMS * PLACES
    progress = queue.progress()
    assert progress.done
    assert {one.rater: one.labelled for one in progress.raters} == {r: len(i) for r, i in said.items() if i}
    examples = queue.results()
    assert [len(one.votes) for one in examples] == [PLACES] * ITEMS
    for example in examples:
        for vote in example.votes:
            assert vote.rationale == f"{vote.rater} {example.id}"
            assert example.id in said[vote.rater]
    history = [word for n in range(ITEMS) for word in queue.store.assessments(f"t{n}")]
    assert len(history) == ITEMS * PLACES
    assert all(word.supersedes is None for word in history)


@pytest.mark.parametrize(
    ("point", "labelled"), [("queue.before_commit:3", 2), ("queue.committed:3", 3)], ids=["before", "after"]
)
def test_a_rater_whose_process_is_killed_goes_on_where_he_was(store_url, point, labelled):
    queue = queue_in(store_url, 1, items=6)
    child = start(store_url, "ana", kill_at=point)
    printed, err = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, err
    assert len(printed.split()) == 2  # what was acknowledged
    assert queue.progress().labels == labelled
    assert sum(len(queue.store.assessments(f"t{n}")) for n in range(6)) == labelled
    child = start(store_url, "ana")
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert len(out.split()) == 6 - labelled
    assert [(one.id, one.votes[0].value) for one in queue.results()] == [
        (f"t{n}", 1 + (n + 3) % 5) for n in range(6)
    ]
    assert get_queue("q", store=queue.store).progress().done
