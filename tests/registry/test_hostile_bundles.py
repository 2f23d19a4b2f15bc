"""Bundles and saved judges made to reach outside their folder."""

import json
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import IntegrityError, JudgeOptError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import read_judge, save_judge

SECRET = b"the secret outside"
PARTS = st.sampled_from(
    ["..", ".", "/", "\\", "%2e%2e", "%2f", "\x00", "~", "blobs", "bundle.json", "secret", "", " ", "\n", "\r",
     "\u2024\u2024", "\uff0e\uff0e", "\u2215", "C:", "/etc/passwd", "x" * 5000, "-", "CON", "aux.txt"]
)  # fmt: skip
PATHS = st.lists(PARTS | st.text(max_size=5), min_size=1, max_size=6).flatmap(
    lambda parts: st.sampled_from(["/", ""]).map(lambda joint: joint.join(parts))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS)
def test_no_listed_path_reaches_outside(registry, path):
    with TemporaryDirectory() as place:
        folder = Path(place) / "bundle"
        (folder / "blobs").mkdir(parents=True)
        (Path(place) / "secret").write_bytes(SECRET)
        payload = {"n": 1}
        content = {"schema": 1, "kind": "judge", "name": "j", "tags": {}, "lineage": {}, "payload": payload}
        content["content_hash"] = content_hash(
            {"payload": payload, "blobs": {"secret": sha256(SECRET).hexdigest()}}
        )
        main = json.dumps(content).encode()
        (folder / "bundle.json").write_bytes(main)
        lines = [f"{sha256(main).hexdigest()}  bundle.json", f"{sha256(SECRET).hexdigest()}  {path}"]
        (folder / "SHA256SUMS").write_bytes("\n".join(lines).encode("utf-8", "backslashreplace"))
        with pytest.raises(IntegrityError) as caught:
            registry.import_bundle(folder)
        assert "\x00" not in str(caught.value)
        assert len(str(caught.value)) < 1000
        assert registry.list() == []


@pytest.mark.parametrize("link", ["blobs/secret", "bundle.json", "SHA256SUMS", "blobs"])
def test_no_link_is_followed(registry, other, tmp_path, link):
    registry.register("judge", "j", {"n": 1}, {"secret": SECRET})
    folder = registry.export_bundle("judge", "j", None, tmp_path / "bundle")
    outside = tmp_path / "outside"
    (folder / link).rename(outside)
    (folder / link).symlink_to(outside)
    with pytest.raises(IntegrityError):
        other.import_bundle(folder)
    assert other.list() == []


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "..", "", "blob\x00"])
def test_a_saved_judge_reads_nothing_outside_its_folder(tmp_path, name):
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "judge"
    save_judge(make_judge("j", "Is {{ outputs }} fine?"), folder)
    body = json.loads((folder / "judge.json").read_text())
    body["blobs"] = {name: sha256(SECRET).hexdigest()}
    body.pop("content_hash")
    body["content_hash"] = content_hash(body)
    (folder / "judge.json").write_text(json.dumps(body))
    with pytest.raises(IntegrityError, match="missing or does not match"):
        read_judge(folder)


def allowed(name):
    """As the rule is written for people, without the code that enforces it."""
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")
    plain = 1 <= len(name) <= 200 and set(name) <= letters and ".." not in name
    return plain and name[0] not in ". " and name[-1] not in ". "


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=PATHS | st.text(), alias=PATHS | st.text())
def test_no_name_or_alias_reaches_a_path(registry, tmp_path, name, alias):
    """What is registered can be exported inside its folder; everything else is refused at the door."""
    before = sorted(path.name for path in tmp_path.iterdir())
    if not allowed(name):
        with pytest.raises(UsageError, match="is not allowed") as caught:
            registry.register("judge", name, {"n": 1}, {name: b"x"})
        assert str(caught.value).isascii()
        return
    number = registry.register("judge", name, {"n": 1}, {name: b"x"}).version
    with TemporaryDirectory() as place:
        folder = registry.export_bundle("judge", name, None, Path(place) / "out")
        assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
            ["bundle.json", "SHA256SUMS", name]
        )
        assert [path.name for path in Path(place).iterdir()] == ["out"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    try:
        registry.set_alias("judge", name, alias, number)
    except UsageError:
        assert registry.get("judge", name)[0].aliases == ()
    registry.delete("judge", name, number, force=True)


@pytest.mark.parametrize("depth", [2000, 200_000])
def test_json_that_nests_without_end_is_refused(other, tmp_path, depth):
    folder = tmp_path / "bundle"
    folder.mkdir()
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    main = (
        b'{"schema":1,"kind":"judge","name":"j","content_hash":"x","tags":{},"lineage":{},"payload":'
        + nested
        + b"}"
    )
    (folder / "bundle.json").write_bytes(main)
    (folder / "SHA256SUMS").write_text(f"{sha256(main).hexdigest()}  bundle.json\n")
    with pytest.raises(JudgeOptError, match=r"bundle\.json"):
        other.import_bundle(folder)


def test_a_folder_that_cannot_be_made_leaves_the_registry_as_it_was(registry, tmp_path):
    registry.register("judge", "j", {"n": 1}, {"b": b"x"})
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        registry.export_bundle("judge", "j", None, tmp_path / "file" / "bundle")
    assert (tmp_path / "file").read_text() == "not a folder"
    assert registry.get("judge", "j")[1] == {"n": 1}
