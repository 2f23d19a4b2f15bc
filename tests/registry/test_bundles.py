import json
import os
from hashlib import sha256

import pytest

from judge_opt.core.errors import IntegrityError, JudgeOptError, NotFound, UsageError

PAYLOAD = {"instructions": "Is it \ud800 right?\x00", "n": 1}
BLOBS = {"index.faiss": b"\x00\xff", "notes": b""}


@pytest.fixture
def bundle(registry, tmp_path):
    registry.register("judge", "is_correct", PAYLOAD, BLOBS, {"parent": None}, {"by": "ana"})
    return registry.export_bundle("judge", "is_correct", None, tmp_path / "bundle")


def seal(bundle):
    """What an attacker would do after a change: correct checksums."""
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.name != "SHA256SUMS"]
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(bundle)}\n" for path in files]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def edit(bundle, **changes):
    content = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**content, **changes}))
    seal(bundle)


def test_a_bundle_carries_a_version_elsewhere(registry, bundle, other):
    other.register("judge", "is_correct", {"n": 0})
    version = other.import_bundle(bundle)
    source, _, _ = registry.get("judge", "is_correct")
    assert (version.version, version.content_hash) == (2, source.content_hash)
    assert (version.tags, version.lineage) == ({"by": "ana"}, {"parent": None})
    assert other.get("judge", "is_correct")[1:] == (PAYLOAD, BLOBS)
    assert other.import_bundle(bundle) == version


def test_a_bundle_goes_to_an_empty_folder(registry, bundle):
    with pytest.raises(UsageError, match="is not an empty folder"):
        registry.export_bundle("judge", "is_correct", None, bundle)
    with pytest.raises(NotFound, match="There is no folder"):
        registry.import_bundle(bundle / "none")


def link_main(bundle):
    (bundle / "bundle.json").rename(bundle.parent / "elsewhere.json")
    (bundle / "bundle.json").symlink_to(bundle.parent / "elsewhere.json")


def link_blobs(bundle):
    (bundle / "blobs").rename(bundle.parent / "elsewhere")
    (bundle / "blobs").symlink_to(bundle.parent / "elsewhere")


def escape(bundle):
    (bundle.parent / "secret").write_text("secret")
    digest = sha256(b"secret").hexdigest()
    with (bundle / "SHA256SUMS").open("a") as stream:
        stream.write(f"{digest}  blobs/../../secret\n")


def pipe(bundle):
    (bundle / "blobs/notes").unlink()
    os.mkfifo(bundle / "blobs/notes")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda b: (b / "blobs/notes").write_text("x"), "blobs/notes does not match its checksum"),
        (lambda b: (b / "blobs/notes").unlink(), "blobs/notes cannot be read"),
        (lambda b: (b / "SHA256SUMS").unlink(), "SHA256SUMS cannot be read"),
        (lambda b: (b / "SHA256SUMS").write_text(""), "is not listed in SHA256SUMS"),
        (lambda b: (b / "extra.pkl").write_bytes(b"x"), "extra.pkl is not listed in SHA256SUMS"),
        (lambda b: (b / "more").mkdir(), "more does not belong in a bundle"),
        (link_main, "bundle.json is a link"),
        (link_blobs, "blobs does not belong in a bundle"),
        (escape, r"lists 'blobs/../../secret', outside the bundle"),
        (pipe, "blobs/notes is not a regular file"),
        (lambda b: edit(b, payload={"n": 2}), "does not match its content hash"),
        (lambda b: edit(b, schema=2), "is of schema 2; this judge_opt reads 1. Upgrade"),
        (lambda b: edit(b, name="../x"), r"The name '../x' is not allowed"),
        (lambda b: edit(b, payload=None), "has no valid 'payload'"),
        (lambda b: (edit(b), (b / "bundle.json").write_text("["), seal(b)), "bundle.json is not JSON"),
    ],
)
def test_a_tampered_bundle_is_refused(bundle, other, attack, message):
    attack(bundle)
    with pytest.raises(JudgeOptError, match=message) as caught:
        other.import_bundle(bundle)
    assert isinstance(caught.value, IntegrityError)
    assert other.list() == []
