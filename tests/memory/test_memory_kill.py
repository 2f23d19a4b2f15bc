"""kill -9 at every named point of a change or of an index write: the memory opens, and is right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from episodes import DIMENSION, EMBEDDER, episode, matrix

from judge_opt.memory.episode_store import EpisodeStore
from judge_opt.memory.episodic import EpisodicMemory

HERE = str(Path(__file__).parent)
RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from episodes import *
from judge_opt.memory import index
from judge_opt.memory.episode_store import EpisodeStore
index.EXACT_ROWS = int(sys.argv[3])
rows = [episode(i) for i in range(60)]
with EpisodeStore(sys.argv[1], EMBEDDER, DIMENSION) as store:
    store.add(rows[:30], matrix(rows[:30]))     # commit 1
    store.nearest(matrix(rows[:1])[0], 1)
    store.save()                                # save 1
    for one in rows[30:40]:
        store.add([one], matrix([one]))         # commits 2 to 11
    store.remove([rows[5].id, rows[35].id])     # commit 12
    store.save()                                # save 2
"""
POINTS = [
    "memory.before_commit:1",
    "memory.rows_committed:1",
    "memory.index_written:1",
    "memory.pointer_written:1",
    "memory.log_trimmed:1",
    "memory.before_commit:5",
    "memory.rows_committed:5",
    "memory.before_commit:12",
    "memory.rows_committed:12",
    "memory.index_half_written:2",
    "memory.index_written:2",
    "memory.pointer_written:2",
    "memory.log_trimmed:2",
]


def wanted(point):
    """Numbers of the examples that were committed before that point."""
    name, _, count = point.partition(":")
    commits = int(count) if "commit" in name else {"1": 1, "2": 12}[count]
    if name == "memory.before_commit":
        commits -= 1
    numbers = set(range(30)) if commits else set()
    numbers |= set(range(30, 30 + min(commits, 11) - 1))
    return sorted(numbers - {5, 35} if commits == 12 else numbers)


@pytest.mark.parametrize("exact_rows", [20_000, 10], ids=["exact", "approximate"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_process_leaves_a_memory_that_is_right(tmp_path, point, exact_rows, monkeypatch):
    file = tmp_path / "m.db"
    env = {**os.environ, "JUDGE_OPT_KILL_AT": point}
    args = [sys.executable, "-c", RUN, str(file), HERE, str(exact_rows)]
    killed = subprocess.run(args, env=env, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    monkeypatch.setattr("judge_opt.memory.index.EXACT_ROWS", exact_rows)
    kept = [episode(i) for i in wanted(point)]
    for _ in range(2):  # what the first one saved is right, too
        with EpisodeStore(file, EMBEDDER, DIMENSION) as store:
            assert list(store.ids()) == [e.id for e in kept]
            assert store.check() == []
            if kept:
                made = EpisodicMemory(kept, matrix(kept), EMBEDDER)
                for query in matrix([episode(i) for i in (3, 5, 35, 50)]):
                    found = [(store.episode(key).id, s) for key, s in store.nearest(query, 6)]
                    assert found == [(made.episode(key).id, s) for key, s in made.nearest(query, 6)]
    with EpisodeStore(file, EMBEDDER, DIMENSION) as store:
        store.add([episode(50)], matrix([episode(50)]))
        assert store.episode(store.nearest(matrix([episode(50)])[0], 1)[0][0]).id == "e00050"
    assert len(list(tmp_path.glob("*.faiss"))) == 1, (
        "what the killed process left is dropped by the next save"
    )
    assert len(list(tmp_path.glob(".*.tmp"))) == ("half" in point)
