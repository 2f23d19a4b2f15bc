"""Processes that register at once, and processes that are killed at a named point, on both databases."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from judge_opt.core.errors import NotFound
from judge_opt.registry import Registry

ROOT = Path(__file__).parents[2]

PROCESSES, APPENDS = 10, 200

REGISTER = """
import sys
from judge_opt.registry import Registry
registry, me, count, name = Registry(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
for n in range(count):
    print(registry.register("judge", name, {"by": me, "n": n}, {"index": me.encode() * 100}).version)
"""

CLAIM = """
import sys
from judge_opt.core.errors import Conflict
from judge_opt.registry import Registry
registry, me = Registry(sys.argv[1]), sys.argv[2]
won = 0
while won < 20:
    version, _, _ = registry.get("judge", "j", "production")
    try:
        registry.set_alias("judge", "j", "production", version.version + 1, expected=version.version)
        won += 1
    except Conflict:
        continue
"""

CHANGE = """
import sys
from judge_opt.registry import Registry
registry, change = Registry(sys.argv[1]), sys.argv[2]
if change == "register":
    registry.register("judge", "j", {"n": 3}, {"index": b"3", "weights": b"3"})
elif change == "move":
    registry.set_alias("judge", "j", "production", 2, expected=1)
elif change == "lift":
    registry.set_alias("judge", "j", "production", None)
elif change == "tag":
    registry.set_tag("judge", "j", 1, "team", "b")
else:
    registry.delete("judge", "j", 1, force=True, reason="wrong")
"""


def finished(children):
    ended = [process.communicate(timeout=240) for process in children]
    assert [err for process, (_, err) in zip(children, ended, strict=True) if process.returncode] == []
    return [out.split() for out, _ in ended]


def test_ten_processes_register_and_every_version_is_whole(registry, child):
    acknowledged = finished([child(REGISTER, str(me), str(APPENDS), "j") for me in range(PROCESSES)])
    numbers = sorted(int(number) for some in acknowledged for number in some)
    assert numbers == list(range(1, PROCESSES * APPENDS + 1))
    versions = registry.versions("judge", "j")
    assert [version.version for version in versions] == numbers
    assert len({version.content_hash for version in versions}) == PROCESSES * APPENDS
    for me, some in enumerate(acknowledged):
        for n in (0, APPENDS - 1):
            _, payload, blobs = registry.get("judge", "j", int(some[n]))
            assert (payload, blobs) == ({"by": str(me), "n": n}, {"index": str(me).encode() * 100})


def test_two_alignments_of_one_judge_get_two_versions(registry, child):
    finished([child(REGISTER, me, "1", "aligned") for me in ("one", "two")])
    assert sorted(
        registry.get("judge", "aligned", version)[1]["by"] for version in (1, 2)
    ) == ["one", "two"]  # fmt: skip


def test_processes_that_move_one_alias_never_skip_a_step(registry, child):
    for n in range(81):
        registry.register("judge", "j", {"n": n})
    registry.set_alias("judge", "j", "production", 1)
    finished([child(CLAIM, str(me)) for me in range(4)])
    # 80 swaps that each added one to what they had seen: a lost one would leave less.
    assert registry.get("judge", "j", "production")[0].version == 81


def state(registry):
    """All that the registry would tell anybody."""
    found = []
    for version in registry.versions("judge", "j"):
        content = None if version.deleted else registry.get("judge", "j", version.version)[1:]
        found.append((version, content))
    return found


POINTS = [
    ("register", "registry.row_inserted", False),
    ("register", "database.commit", False),
    ("register", "database.committed", True),
    ("register", "registry.registered", True),
    ("move", "registry.alias_lifted", False),
    ("move", "database.commit", False),
    ("move", "registry.alias_moved", True),
    ("lift", "registry.alias_lifted", False),
    ("lift", "registry.alias_moved", True),
    ("tag", "database.commit", False),
    ("tag", "database.committed", True),
    ("delete", "registry.blobs_deleted", False),
    ("delete", "database.commit", False),
    ("delete", "database.committed", True),
]


@pytest.mark.parametrize(("change", "point", "happened"), POINTS)
def test_killed_anywhere_a_change_has_happened_whole_or_not_at_all(registry, child, change, point, happened):
    for n in (1, 2):
        registry.register("judge", "j", {"n": n}, {"index": b"%d" % n})
    registry.set_alias("judge", "j", "production", 1)
    before = state(registry)
    process = child(CHANGE, change, kill_at=point)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    after = state(registry)
    assert (after != before) == happened
    if change == "register" and happened:
        assert after[2][1] == ({"n": 3}, {"index": b"3", "weights": b"3"})
    if change == "delete" and happened:
        with pytest.raises(NotFound, match=r"was deleted on .*: wrong"):
            registry.get("judge", "j", 1)
    finished([child(CHANGE, "register")])  # the dead process holds no lock, and registering again is safe
    assert [version.version for version in registry.versions("judge", "j")] == [1, 2, 3]


FULL = """
import resource, signal, sys
from judge_opt.core.errors import JudgeOptError
from judge_opt.registry import Registry
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
registry = Registry(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    registry.register("judge", "j", {"n": 2}, {"index": b"x" * 1_000_000})
except JudgeOptError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_version(tmp_path):
    """On PostgreSQL the disk is the server's: tests/traces/test_postgres_server.py."""
    registry = Registry(tmp_path / "lab.db")
    registry.register("judge", "j", {"n": 1}, {"index": b"x"})
    registry.set_alias("judge", "j", "production", 1)
    code = [sys.executable, "-c", FULL, str(tmp_path / "lab.db")]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
    assert "what was stored before is intact. Free some space" in done.stdout, done.stderr
    assert [version.version for version in registry.versions("judge", "j")] == [1]
    assert registry.get("judge", "j", "production")[2] == {"index": b"x"}
    assert registry.register("judge", "j", {"n": 2}).version == 2
    registry.database.close()
