"""Every kind of file, emptied, cut, with a bit flipped, swapped, or from the future: found out and named."""

import json
import random
import shutil
import sqlite3
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.experiments.runs import load_report
from judge_opt.judges.stored import read_judge
from judge_opt.labels.splits import Split
from judge_opt.registry import Registry
from judge_opt.traces import Store
from judge_opt.traces.check import check_database

GOLDEN = sorted(Path(__file__).parent.glob("schema_*"))[-1]
RUN = "a-run"


@pytest.fixture
def home(tmp_path):
    shutil.copytree(GOLDEN / "bundle", tmp_path / "bundle")
    shutil.copytree(GOLDEN / "run", tmp_path / "runs" / RUN)
    shutil.copy(GOLDEN / "split.json", tmp_path / "split.json")
    return tmp_path


def read_bundle(home):
    with Store(home / "registry.db") as store:
        return Registry(store).import_bundle(home / "bundle")


KINDS = {
    "bundle/bundle.json": read_bundle,
    "bundle/SHA256SUMS": read_bundle,
    "bundle/blobs/episodic_vectors.f32": read_bundle,
    "bundle/blobs/classifier_weights.f32": read_bundle,
    f"runs/{RUN}/judge/judge.json": lambda home: read_judge(
        home / "runs" / RUN / "judge", trust_base_url=True
    ),
    f"runs/{RUN}/judge/episodic_vectors.f32": lambda home: read_judge(
        home / "runs" / RUN / "judge", trust_base_url=True
    ),
    f"runs/{RUN}/report.json": lambda home: load_report(home, RUN),
    "split.json": lambda home: Split.load(home / "split.json"),
}


def refused(home, file, read):
    """Reading fails, and says of which file; nothing was registered."""
    with pytest.raises(IntegrityError) as caught:
        read(home)
    assert file.name in str(caught.value) or file.parent.name in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_read(home, name):
    KINDS[name](home)


@pytest.mark.parametrize("name", KINDS)
def test_an_emptied_or_cut_file_is_refused(home, name):
    file = home / name
    data = file.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        if file.suffix == ".f32" or data[:length].strip() != data.strip():  # else a last line end
            refused(home, file, KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_is_refused(home, name):
    file = home / name
    data = file.read_bytes()
    rng = random.Random(name)
    for _ in range(40):
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        changed = bytearray(data)
        changed[place] ^= bit
        file.write_bytes(changed)
        if _says_the_same(file, bytes(changed), data):
            continue
        refused(home, file, KINDS[name])


def _says_the_same(file, changed, data):
    """A blank that became another blank says what was said before."""
    if file.suffix != ".json" or "bundle" in str(file) or file.name == "report.json":
        return False
    try:
        return json.loads(changed) == json.loads(data)
    except ValueError:
        return False


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_one_in_its_place_is_refused(home, name):
    """Whole, of the right kind, but not the one that belongs there."""
    file = home / name
    others = {
        "SHA256SUMS": lambda: (home / "runs" / RUN / "SHA256SUMS").read_bytes(),
        "bundle.json": lambda: (GOLDEN.parent / "schema_0001" / "bundle" / "bundle.json").read_bytes(),
        "report.json": lambda: (GOLDEN.parent / "schema_0001" / "run" / "report.json").read_bytes(),
        "judge.json": lambda: _judge_without_memory(file.read_bytes()),
        "split.json": lambda: _split_with_other_rows(file.read_bytes()),
    }
    swapped = others.get(file.name, lambda: bytes(reversed(file.read_bytes())))()
    assert swapped != file.read_bytes()
    file.write_bytes(swapped)
    refused(home, file, KINDS[name])


def _judge_without_memory(data):
    """The untouched judge in the place of the aligned one, by somebody who did not know the hash."""
    body = json.loads(data)
    body["judge"]["memory"] = None
    return json.dumps(body).encode()


def _split_with_other_rows(data):
    body = json.loads(data)
    body["train"], body["test"] = body["test"], body["train"]
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bundle/bundle.json", {"schema": 99}),
        ("split.json", {"schema": 99}),
        (f"runs/{RUN}/judge/judge.json", {"judge": {"schema": 99, "kind": "judge"}}),
    ],
)
def test_a_file_of_a_future_release_says_so(home, name, change):
    file = home / name
    body = {**json.loads(file.read_bytes()), **change}
    if "content_hash" in body and file.name == "judge.json":
        from judge_opt.core.hashing import content_hash

        body.pop("content_hash")
        body["content_hash"] = content_hash(body)
    file.write_text(json.dumps(body))
    if file.name == "bundle.json":
        sums = file.parent / "SHA256SUMS"
        lines = [line for line in sums.read_text().splitlines() if "bundle.json" not in line]
        lines.append(f"{sha256(file.read_bytes()).hexdigest()}  bundle.json")
        sums.write_text("\n".join(lines) + "\n")
    with pytest.raises(IntegrityError, match=r"schema 99|of schema 1") as caught:
        KINDS[name](home)
    assert "pgrade" in caught.value.remedy


def contents(file):
    """Everything that never changes once it is written. Tags, aliases and what was taken back may change, and
    carry no hash."""
    with Store(file) as store:
        found = [repr(replace(trace, tags={}, assessments=())) for trace in store.iter_traces()]
        for trace in store.iter_traces():
            for word in store.assessments(trace.id):
                found.append(repr(replace(word, supersedes=None, retracted=False, current=True)))
        registry = Registry(store)
        for latest in registry.list():
            for version in registry.versions(latest.kind, latest.name):
                if not version.deleted:
                    read, payload, blobs = registry.get(version.kind, version.name, version.version)
                    kept = (read.version, read.created, read.content_hash, read.lineage)
                    found.append(repr((kept, payload, blobs)))
        return found


def test_a_flipped_bit_in_the_database_changes_nothing_unseen(tmp_path):
    """Each flip is harmless, or refused when it is read, or found by the check of the whole."""
    clean = tmp_path / "clean.db"
    connection = sqlite3.connect(clean)
    connection.executescript((GOLDEN / "store.sql").read_bytes().decode())
    connection.close()
    Store(clean).close()
    before = contents(clean)
    with Store(clean) as store:
        assert check_database(store.database) == Registry(store).check() == []
    data = clean.read_bytes()
    rng, refusals, unnamed, unseen = random.Random(0), 0, 0, []
    file = tmp_path / "flipped.db"
    for _ in range(120):
        for left in tmp_path.glob("flipped.db*"):
            left.unlink()
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        changed = bytearray(data)
        changed[place] ^= bit
        file.write_bytes(changed)
        try:
            same = contents(file) == before
        except JudgeOptError as error:
            refusals += "flipped.db" in str(error) or "on disk" in str(error)
            unnamed += not ("flipped.db" in str(error) or "on disk" in str(error))
            continue
        with Store(file) as store:
            found = check_database(store.database) + Registry(store).check()
        if not same and not found:
            unseen.append((place, bit))
    assert refusals > 3  # else this test would show nothing
    assert unseen == []
    assert unnamed == 0
