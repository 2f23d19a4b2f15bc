import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import Conflict, DataError, IntegrityError, NotFound, UsageError
from judge_opt.registry import ANY, check_name

PAYLOAD = {"instructions": "Is it right?", "demos": [1, 2.5, None, "\ud800\x00\u202e"]}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


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


def test_versions_that_were_swapped_on_disk_are_refused(registry):
    for n in (1, 2):
        registry.register("judge", "j", {"n": n})
    with registry.database.write() as connection:
        for old, new in ((1, 3), (2, 1), (3, 2)):
            change = sa.text("UPDATE registry_versions SET version = :new WHERE version = :old")
            connection.execute(change, {"new": new, "old": old})
    for version in (1, 2):
        with pytest.raises(IntegrityError, match=f"'j' version {version} was changed or damaged"):
            registry.get("judge", "j", version)


def test_tags_are_notes_that_change_and_nothing_else_does(registry):
    first = registry.register("judge", "j", PAYLOAD, tags={"team": "a", "old": "x"})
    changed = registry.set_tag("judge", "j", 1, "team", "b\ud800")
    assert changed.tags == {"team": "b\ud800", "old": "x"}
    assert registry.set_tag("judge", "j", None, "old", None).tags == {"team": "b\ud800"}
    version, payload, _ = registry.get("judge", "j")
    assert (version.content_hash, version.created, payload) == (first.content_hash, first.created, PAYLOAD)
    with pytest.raises(UsageError, match="must be text"):
        registry.set_tag("judge", "j", 1, "n", 3)
    with pytest.raises(NotFound):
        registry.set_tag("judge", "j", 2, "n", "x")


def test_a_tombstone_says_who_and_why_and_a_forced_one_takes_its_aliases(registry):
    for n in (1, 2):
        registry.register("judge", "j", {"n": n})
    for alias in ("production", "best"):
        registry.set_alias("judge", "j", alias, 2)
    with pytest.raises(Conflict, match="or force the deletion"):
        registry.delete("judge", "j", 2, reason="It was fooled.")
    gone = registry.delete("judge", "j", 2, reason="It was fooled.", by="ana", force=True)
    assert (gone.deleted, gone.deleted_by, gone.deleted_reason) == (True, "ana", "It was fooled.")
    assert gone.aliases == ()
    with pytest.raises(NotFound, match=r"was deleted on 2\S+ by ana: It was fooled\. Use another version"):
        registry.get("judge", "j", 2)
    with pytest.raises(NotFound, match="has no alias 'production'"):
        registry.get("judge", "j", "production")
    assert registry.versions("judge", "j")[1] == gone
    assert registry.register("judge", "j", {"n": 2}).version == 3


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
        "UPDATE registry_versions SET name = 'k' WHERE name = 'j'",
        """UPDATE registry_versions SET lineage_json = '{"optimizer":"another"}'""",
        "UPDATE registry_versions SET created = '2020-01-01T00:00:00.000000+00:00'",
        "UPDATE registry_versions SET record_hash = NULL",
        "DELETE FROM registry_blobs",
    ],
)
def test_a_change_on_disk_is_refused_by_name(registry, damage):
    registry.register("judge", "j", {"n": 1}, {"index": b"x"})
    with registry.database.write() as connection:
        connection.execute(sa.text(damage.replace(":", "\\:")))
    with pytest.raises(
        IntegrityError, match=r"The judge '[jk]' version 1 was changed or damaged.*import the version"
    ):
        registry.get("judge", "k" if "'k'" in damage else "j")


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
