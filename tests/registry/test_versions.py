import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import Conflict, DataError, IntegrityError, NotFound, UsageError
from judge_opt.registry import ANY, Registry, check_name
from judge_opt.traces import Store

ROOT = Path(__file__).parents[2]
PAYLOAD = {"instructions": "Is it right?", "demos": [1, 2.5, None, "\ud800\x00\u202e"]}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def registry(tmp_path):
    with Store(tmp_path / "lab.db") as store:
        yield Registry(store)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.dictionaries(st.text(), JSON, max_size=4), blob=st.binary())
def test_what_is_registered_is_what_is_read(registry, payload, blob):
    version = registry.register("judge", "j", payload, {"index.bin": blob}, {"parent": 1}, {"by": "ana"})
    assert registry.get("judge", "j", version.version) == (version, payload, {"index.bin": blob})


def test_versions_count_up_and_the_same_content_is_the_same_version(registry):
    first = registry.register("judge", "j", PAYLOAD, tags={"by": "ana"})
    again = registry.register("judge", "j", PAYLOAD, tags={"by": "bo"}, lineage={"x": 1})
    assert again == first
    second = registry.register("judge", "j", PAYLOAD, {"index": b"1"})
    back = registry.register("judge", "j", PAYLOAD)
    assert [first.version, second.version, back.version] == [1, 2, 3]
    assert back.content_hash == first.content_hash != second.content_hash
    other = registry.register("prompt", "j", PAYLOAD)
    assert (other.version, other.content_hash) == (1, first.content_hash)
    assert registry.list() == [back, other]
    assert registry.list("prompt") == [other]
    assert registry.versions("judge", "j") == [first, second, back]
    assert registry.versions("judge", "nobody") == []


def test_a_version_is_found_by_number_alias_or_as_the_latest(registry):
    for n in range(3):
        registry.register("judge", "is_correct", {"n": n})
    registry.set_alias("judge", "is_correct", "production", 2)
    for version, n in ((1, 0), ("1", 0), ("production", 1), (None, 2), ("latest", 2)):
        assert registry.get("judge", "is_correct", version)[1] == {"n": n}
    assert registry.get("judge", "is_correct", 2)[0].aliases == ("production",)
    for version, message in (
        (4, "has no version 4"),
        (10**30, "has no version"),
        ("prod", "has no alias 'prod'"),
    ):
        with pytest.raises(NotFound, match=message):
            registry.get("judge", "is_correct", version)
    with pytest.raises(
        NotFound, match=r"no judge 'is_corect'; registered: 'is_correct'. Did you mean 'is_corr"
    ):
        registry.get("judge", "is_corect")


def test_aliases_move_by_compare_and_swap(registry):
    for n in range(3):
        registry.register("judge", "j", {"n": n})
    registry.set_alias("judge", "j", "production", 1, expected=None)
    with pytest.raises(
        Conflict, match=r"'production' of judge 'j' points at version 1, not at nothing: somebody"
    ):
        registry.set_alias("judge", "j", "production", 2, expected=None)
    registry.set_alias("judge", "j", "production", 2, expected=1)
    with pytest.raises(Conflict, match="points at version 2, not at version 1"):
        registry.set_alias("judge", "j", "production", 3, expected=1)
    with pytest.raises(NotFound, match="has no version 9"):
        registry.set_alias("judge", "j", "production", 9, expected=ANY)
    assert registry.get("judge", "j", "production")[0].version == 2
    registry.set_alias("judge", "j", "production", None, expected=2)
    with pytest.raises(NotFound, match="has no alias"):
        registry.get("judge", "j", "production")
    for alias in ("7", "latest", "../x", ""):
        with pytest.raises(UsageError):
            registry.set_alias("judge", "j", alias, 1)


def test_a_deleted_version_leaves_a_tombstone(registry):
    registry.register("judge", "j", {"n": 1})
    registry.register("judge", "j", {"n": 2}, {"index": b"x"}, {"parent": 1})
    registry.set_alias("judge", "j", "production", 2)
    with pytest.raises(Conflict, match=r"'production' points at version 2 of judge 'j'. Move or remove"):
        registry.delete("judge", "j", 2)
    registry.set_alias("judge", "j", "production", 1)
    registry.delete("judge", "j", 2)
    for call in (registry.get, registry.delete):
        with pytest.raises(NotFound, match="Version 2 of judge 'j' was deleted on 2"):
            call("judge", "j", 2)
    assert registry.get("judge", "j")[0].version == 1
    assert [(v.version, v.deleted, v.lineage) for v in registry.versions("judge", "j")][1] == (
        2,
        True,
        {"parent": 1},
    )
    assert registry.register("judge", "j", {"n": 2}, {"index": b"x"}).version == 3


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE registry_versions SET payload_json = '{"n":2}'""",
        "UPDATE registry_versions SET payload_json = '{'",
        "UPDATE registry_blobs SET data = 'y'",
        "UPDATE registry_blobs SET name = 'other'",
        "DELETE FROM registry_blobs",
    ],
)
def test_a_change_on_disk_is_refused_by_name(registry, damage):
    registry.register("judge", "j", {"n": 1}, {"index": b"x"})
    with registry.database.write() as connection:
        connection.execute(sa.text(damage.replace(":", "\\:")))
    with pytest.raises(
        IntegrityError, match=r"The judge 'j' version 1 was changed or damaged.*import the version"
    ):
        registry.get("judge", "j")


def test_what_cannot_be_stored_is_refused(registry):
    with pytest.raises(DataError, match=r"The payload of judge 'j'.x: nan cannot be stored"):
        registry.register("judge", "j", {"x": float("nan")})
    with pytest.raises(DataError, match="must be an object"):
        registry.register("judge", "j", [1])
    with pytest.raises(UsageError, match=r"The blob name '../x' is not allowed"):
        registry.register("judge", "j", {}, {"../x": b""})
    with pytest.raises(UsageError, match="The kind 'a/b' is not allowed"):
        registry.register("a/b", "j", {})
    assert registry.list() == []


@given(st.text(min_size=1) | st.from_regex(r"[A-Za-z0-9._ /%\x00-]{1,12}", fullmatch=True))
def test_only_plain_names_pass(name):
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")
    good = set(name) <= allowed and ".." not in name and name[0] not in ". " and name[-1] not in ". "
    if good and len(name) <= 200:
        assert check_name(name) == name
    else:
        with pytest.raises(UsageError, match=r"is not allowed. Use 1 to 200 of: letters"):
            check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "a/../b",
        "/etc",
        "a\x00",
        "%2e%2e",
        "x" * 5000,
        "p\u0430ypal",
        ".hidden",
        "a\n",
        "a\u202e",
        3,
    ],
)
def test_hostile_names_are_refused_and_shown_escaped(name):
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


REGISTER = """
import sys
from judge_opt.registry import Registry
registry = Registry(sys.argv[1])
for n in range(10):
    registry.register("judge", "j", {"by": sys.argv[2], "n": n})
"""


def test_processes_that_register_at_once_get_a_version_each(registry):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    path = registry.database.name
    children = [
        subprocess.Popen([sys.executable, "-c", REGISTER, path, str(n)], env=environment) for n in range(4)
    ]
    assert [process.wait(60) for process in children] == [0] * 4
    versions = registry.versions("judge", "j")
    assert [version.version for version in versions] == list(range(1, 41))
    assert len({version.content_hash for version in versions}) == 40
