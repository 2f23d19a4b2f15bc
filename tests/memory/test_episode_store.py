"""A memory in a file: the same answers as one in the judge; the index is a cache that may be lost or damaged."""

import gc
import json
import logging
import random
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from episodes import DIMENSION, EMBEDDER, LABELS, WordEmbedder, episode, matrix, vector
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, IntegrityError, JudgeOptError, NotFound
from judge_opt.llm.session import Session, use_session
from judge_opt.memory import index
from judge_opt.memory.episode_store import EpisodeStore
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.memory import Memory
from judge_opt.memory.stored import dump_memory, load_memory
from judge_opt.memory.vectors import ItemEmbedder

ALL = [episode(i) for i in range(60)]
QUERY = vector("item 3 about thing 3")


def opened(path, **changed):
    return EpisodeStore(**{"path": path, "embedder": EMBEDDER, "dimension": DIMENSION, **changed})


def filled(path, episodes):
    store = opened(path)
    store.add(episodes, matrix(episodes))
    return store


QUERIES = (QUERY, vector("thing 5"))


def answers(memory, queries=QUERIES):
    """Ids and similarities: keys differ between memories of the same examples."""
    found = []
    for query in queries:
        for group in (None, "g1"):
            found.append([(memory.episode(k).id, s) for k, s in memory.nearest(query, 7, not_group=group)])
            found.append([(memory.episode(k).id, s) for k, s in memory.examples(query, 3, not_group=group)])
    return found


@pytest.fixture(params=["exact", "approximate"])
def kind(request, monkeypatch):
    """Both indexes, with few rows."""
    if request.param == "approximate":
        monkeypatch.setattr(index, "EXACT_ROWS", 20)
    return request.param


def test_it_answers_as_a_memory_in_the_judge(tmp_path, kind):
    with filled(tmp_path / "m.db", ALL) as store:
        assert store.describe()["kind"] == kind
        assert answers(store) == answers(EpisodicMemory(ALL, matrix(ALL), EMBEDDER))
        assert list(store.ids()) == [e.id for e in ALL]
        assert len(store) == 60
        assert store.check() == []


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "update", "remove", "reopen", "save"]),
        st.sets(st.integers(0, 59), max_size=8),
    ),
    max_size=10,
)


@settings(max_examples=25)
@given(steps)
def test_any_history_is_a_memory_that_was_made_at_once(tmp_path_factory, steps):
    path, there = tmp_path_factory.mktemp("store") / "m.db", {}
    store = opened(path)
    for step, numbers in steps:
        chosen = [ALL[i] for i in numbers]
        if step == "remove":
            gone = {e.id for e in chosen}
            assert store.remove(gone) == len(gone & there.keys())
            there = {id: e for id, e in there.items() if id not in gone}
        elif step in ("add", "update"):
            chosen = [replace(e, missed=step == "update") for e in chosen]
            store.add(chosen, matrix(chosen) if chosen else np.zeros((0, DIMENSION), np.float32))
            there |= {e.id: e for e in chosen}
        elif step == "save":
            store.nearest(QUERY, 1)
            store.save()
        else:
            store.close()
            store = opened(path)
    kept = [there[id] for id in sorted(there)]
    made = EpisodicMemory(kept, matrix(kept) if kept else np.zeros((0, DIMENSION), np.float32), EMBEDDER)
    assert answers(store) == answers(made)
    assert list(store.ids()) == list(made.ids())
    assert len(store) == len(made)
    assert store.check() == []
    with (
        filled(path.with_name("other.db"), kept[::-1])
        if kept
        else opened(path.with_name("other.db")) as other
    ):
        assert store.digest == other.digest
    store.close()


def test_one_by_one_is_as_all_at_once_and_needs_no_new_index(tmp_path, kind, caplog):
    caplog.set_level(logging.INFO, "judge_opt")
    with filled(tmp_path / "m.db", ALL[:40]) as store:
        store.nearest(QUERY, 1)
        caplog.clear()
        for one in ALL[40:]:
            assert store.add([one], matrix([one])) == 1
        for one in ALL[:10]:
            assert store.remove([one.id]) == 1
        changed = replace(ALL[20], missed=True)
        assert store.add([changed], vector("something else")[None]) == 1
        assert "built" not in caplog.text
        assert store.describe()["rows"] == len(store) == 50
        kept = [*ALL[10:20], changed, *ALL[21:]]
        vectors = matrix(kept)
        vectors[10] = vector("something else")
        assert answers(store) == answers(EpisodicMemory(kept, vectors, EMBEDDER))


def test_what_is_there_already_is_not_written_again(tmp_path):
    with filled(tmp_path / "m.db", ALL) as store:
        assert store.add(ALL, matrix(ALL)) == 0
        assert store.remove(["nobody"]) == 0
        assert store.add([replace(ALL[3], missed=True)], matrix([ALL[3]])) == 1


def test_equal_texts_are_embedded_once_and_a_killed_embedding_goes_on(tmp_path):
    rows = [episode(i, text=f"text {i % 5}") for i in range(40)]
    space = ItemEmbedder(embedder := WordEmbedder(), ["outputs"])
    with EpisodeStore.open(tmp_path / "m.db", space) as store:
        assert store.remember(rows, space) == 40
        assert sorted(embedder.asked) == ["dimension", *(f"text {i}" for i in range(5))]
        assert store.remember(rows, space) == 0


# -- the index is a cache ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path, kind):
    """A folder with rows and an index, and the answers that it gives."""
    with filled(tmp_path / "m.db", ALL) as store:
        found = answers(store)
    return tmp_path, found


def files(folder):
    (data,) = folder.glob("m.db.index.*.faiss")
    return {"pointer": folder / "m.db.index.json", "data": data}


def reopened(folder, caplog):
    caplog.clear()
    caplog.set_level(logging.INFO, "judge_opt")
    with opened(folder / "m.db") as store:
        return answers(store), caplog.text


def test_a_whole_index_is_read_and_nothing_is_built(saved, caplog):
    folder, before = saved
    found, said = reopened(folder, caplog)
    assert found == before
    assert "built" not in said


@pytest.mark.parametrize("which", ["pointer", "data"])
@pytest.mark.parametrize("damage", ["empty", "cut", "missing", "future", "swapped"])
def test_a_damaged_index_is_built_again_and_told(saved, caplog, which, damage):
    folder, before = saved
    file = files(folder)[which]
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "future":
        file.write_bytes(
            data.replace(b'"schema":1', b'"schema":2') if which == "pointer" else b"IxFu" + data[4:]
        )
    elif damage == "swapped":
        file.write_bytes(files(folder)["data" if which == "pointer" else "pointer"].read_bytes())
    else:
        file.write_bytes(data[: len(data) // 2 if damage == "cut" else 0])
    found, said = reopened(folder, caplog)
    assert found == before
    assert "is built" in said
    found, said = reopened(folder, caplog)
    assert "built" not in said, "the new index was saved"


def test_a_flipped_bit_of_the_index_is_found(saved, caplog):
    folder, before = saved
    rng = random.Random(0)
    for which in ("pointer", "data"):
        for _ in range(12):
            file = files(folder)[which]
            data = bytearray(file.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            file.write_bytes(data)
            found, said = reopened(folder, caplog)
            assert found == before
            assert "is built" in said


def test_an_index_that_is_older_than_the_rows_catches_up(saved, caplog):
    folder, _ = saved
    old = {name: file.read_bytes() for name, file in files(folder).items()}
    names = dict(files(folder))
    with opened(folder / "m.db") as store:
        store.remove([ALL[3].id])
        store.add([episode(70)], matrix([episode(70)]))
        before = answers(store)
        store._file.save = lambda *_: None  # as if the process ended before the index was saved
        store._rows.trim = lambda seq: None
    assert {name: file.read_bytes() for name, file in files(folder).items()} == old
    found, said = reopened(folder, caplog)
    assert found == before
    assert "built" not in said
    # And one whose missed changes are forgotten is built again.
    for name, file in files(folder).items():
        file.unlink()
        names[name].write_bytes(old[name])
    found, said = reopened(folder, caplog)
    assert found == before
    assert "is built" in said


def test_an_index_of_other_rows_is_not_used(saved, tmp_path_factory, caplog):
    """The rows were put back from a backup, or built anew: keys mean something else there."""
    folder, _ = saved
    elsewhere = tmp_path_factory.mktemp("other")
    with filled(elsewhere / "m.db", ALL[::-1]) as store:
        before = answers(store)
    for file in files(elsewhere).values():
        file.unlink()
    for file in files(folder).values():
        shutil.copy(file, elsewhere)
    found, said = reopened(elsewhere, caplog)
    assert found == before
    assert "is built" in said


def test_rows_from_a_backup_beside_a_newer_index(saved, caplog):
    folder, before = saved
    shutil.copy(folder / "m.db", folder / "backup")
    with opened(folder / "m.db") as store:
        other = [episode(i, text=f"quite different {i}") for i in range(80, 83)]
        store.add(other, matrix(other))
        store.remove([ALL[3].id])
        assert answers(store) != before
    for tail in ("", "-wal", "-shm"):
        (folder / f"m.db{tail}").unlink(missing_ok=True)
    shutil.move(folder / "backup", folder / "m.db")
    found, said = reopened(folder, caplog)
    assert found == before
    assert "is built" in said


def test_the_index_can_be_thrown_away_and_gives_the_same_answers(tmp_path, kind):
    """The same rows in any order, and an index from scratch: the same answers, and of the large index the same
    centres."""
    with filled(tmp_path / "a.db", ALL) as a, filled(tmp_path / "b.db", ALL[::-1]) as b:
        a.rebuild()
        assert answers(a) == answers(b)


def test_faiss_threads_do_not_change_the_index(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    made = []
    for n in (1, 2):
        monkeypatch.setattr(index, "_builders", lambda rows, n=n: n)
        one = index.ApproximateIndex(rows, 64, len(rows))
        one.add(np.arange(len(rows)), rows)
        one.write(tmp_path / "one")
        made.append([one.search(q, 10, np.zeros(0, np.int64)).tolist() for q in rows[:50]])
        made.append(index._faiss().downcast_index(one._index.quantizer).reconstruct_n(0, 64).tobytes())
    assert made[:2] == made[2:]


def test_a_large_index_finds_nearly_all_and_follows_removals(monkeypatch):
    monkeypatch.setattr(index, "EXACT_ROWS", 500)
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 32))
    rows = centres[rng.integers(0, 60, 6000)] + 0.7 * rng.normal(size=(6000, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    keys = np.arange(6000)
    made = index.build_index(32, 6000, lambda n: rows[:n], [(keys, rows)])
    assert made.describe()["kind"] == "approximate"
    made.remove(keys[::2])
    nearest = np.argsort(-(rows[:100] @ rows[1::2].T), axis=1)[:, :10] * 2 + 1
    hits = [len(set(made.search(rows[i], 32, keys[:0])) & set(nearest[i].tolist())) for i in range(100)]
    assert np.mean(hits) > 9.5
    assert not (made.search(rows[0], 100, keys[:0]) % 2 == 0).any()
    assert not set(made.search(rows[0], 10, nearest[0])) & set(nearest[0].tolist())


# -- the rows are the truth ----------------------------------------------------------------------------------


def test_another_embedding_model_or_dimension_is_refused_with_the_remedy(tmp_path):
    filled(tmp_path / "m.db", ALL).close()
    for changed, match in (
        ({"embedder": "another"}, "built with embedding model words, not another"),
        ({"dimension": 8}, "built with dimension 16, not 8"),
        ({"pieces": 1}, "built with pieces 8, not 1"),
    ):
        with pytest.raises(IntegrityError, match=match) as caught:
            opened(tmp_path / "m.db", **changed)
        assert "Open it with" in caught.value.remedy
    with opened(tmp_path / "m.db") as store:
        assert len(store) == 60


def test_a_changed_row_is_refused_and_named(tmp_path):
    filled(tmp_path / "m.db", ALL).close()
    db = sqlite3.connect(tmp_path / "m.db")
    db.execute("UPDATE episodes SET body = replace(body, '\"bad\"', '\"good\"') WHERE key = 5")
    db.commit()
    db.close()
    with opened(tmp_path / "m.db") as store:
        with pytest.raises(IntegrityError, match=r"m\.db: the example of row 5 does not match its hash"):
            store.nearest(matrix([ALL[4]])[0], 1)
        assert len(store.check()) == 1


def test_a_lost_row_is_found_by_the_check(tmp_path):
    filled(tmp_path / "m.db", ALL).close()
    db = sqlite3.connect(tmp_path / "m.db")
    db.execute("DELETE FROM episodes WHERE key = 5")
    db.commit()
    db.close()
    with opened(tmp_path / "m.db") as store:
        assert ["59 of 60" in line for line in store.check()] == [True]


def test_a_flipped_bit_of_the_rows_changes_nothing_unseen(tmp_path):
    """Each flip is harmless, or refused when it is read, or found by the check of the whole."""
    filled(tmp_path / "clean.db", ALL).close()
    with opened(tmp_path / "clean.db") as store:
        before = answers(store)
    data, rng = (tmp_path / "clean.db").read_bytes(), random.Random(0)
    seen = unnamed = 0
    for number in range(60):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{number}.db"
        path.write_bytes(changed)
        try:
            with opened(path) as store:
                wrong = store.check()
                assert answers(store) == before or wrong
                seen += bool(wrong)
        except JudgeOptError as error:
            unnamed += path.name not in str(error)
            seen += 1
    assert seen > 3
    assert unnamed == 0


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_memory_is_refused(tmp_path, content):
    (tmp_path / "m.db").write_bytes(content)
    with pytest.raises(JudgeOptError, match=r"m\.db"):
        opened(tmp_path / "m.db")


def test_bad_vectors_are_refused_and_change_nothing(tmp_path):
    with opened(tmp_path / "m.db") as store:
        for bad in (np.zeros((1, 3)), np.full((1, DIMENSION), np.nan)):
            with pytest.raises(DataError, match="wants finite ones of 16 dimensions") as caught:
                store.add([ALL[0]], bad)
            assert caught.value.remedy
        with pytest.raises(DataError, match="one id"):
            store.add([ALL[0], ALL[0]], matrix([ALL[0], ALL[0]]))
        assert len(store) == 0


def test_hostile_ids_and_texts_come_back(tmp_path):
    rows = [
        episode(i, text=t, group=t) for i, t in enumerate(["\ud800", "\x00", "é", "e\u0301", "'; --", "🙂"])
    ]
    rows = [
        replace(e, id=t) for e, t in zip(rows, ["\ud800", "a\x00b", "é", "e\u0301", "%s", ""], strict=True)
    ]
    vectors = np.eye(6, DIMENSION, dtype=np.float32)
    with opened(tmp_path / "m.db") as store:
        store.add(rows, vectors)
        assert list(store.ids()) == sorted(e.id for e in rows)
        for one, place in zip(rows, vectors, strict=True):
            ((key, similarity),) = store.nearest(place, 1)
            assert (store.episode(key), similarity) == (one, 1.0)
            assert one.group not in {
                store.episode(k).group for k, _ in store.nearest(place, 6, not_group=one.group)
            }
        assert store.check() == []


OTHER = """
import sys
sys.path.insert(0, sys.argv[2])
from episodes import *
from judge_opt.memory.episode_store import EpisodeStore
with EpisodeStore(sys.argv[1], EMBEDDER, DIMENSION) as store:
    mine = [episode(i) for i in range(int(sys.argv[3]), int(sys.argv[3]) + 40)]
    for one in mine:
        store.add([one], matrix([one]))
    store.remove([mine[0].id])
    assert store.nearest(matrix(mine[1:2])[0], 1, floor=0.99)
"""


def test_several_processes_write_and_each_follows_the_others(tmp_path, request):
    here = str(request.path.parent)
    with opened(tmp_path / "m.db") as store:
        store.nearest(QUERY, 1)
        children = [
            subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path / "m.db"), here, str(start)])
            for start in (0, 40, 80)
        ]
        assert [child.wait(timeout=120) for child in children] == [0, 0, 0]
        kept = [episode(i) for i in range(120) if i % 40]
        assert answers(store) == answers(EpisodicMemory(kept, matrix(kept), EMBEDDER))


def test_no_example_stays_in_this_process(tmp_path):
    from judge_opt.memory.episode import Episode

    with opened(tmp_path / "m.db") as store:
        for start in range(0, 2000, 500):
            rows = [episode(i) for i in range(start, start + 500)]
            store.add(rows, matrix(rows))
        del rows
        for i in range(20):
            store.examples(vector(f"item {i}"), 3)
        gc.collect()
        assert sum(isinstance(thing, Episode) for thing in gc.get_objects()) < 200


# -- in a judge's memory -------------------------------------------------------------------------------------


def test_a_judge_remembers_the_file_and_is_not_loaded_with_other_examples(tmp_path):
    with Session(tmp_path / "home") as session, use_session(session):
        store = filled(tmp_path / "home" / "memories" / "m.db", ALL)
        holder = Memory(LABELS, "local:/x", {"outputs": 1.0}, store, shots=3)
        state, blobs = dump_memory(holder)
        text = json.dumps(state)
        assert blobs == {}
        assert str(tmp_path) not in text
        assert len(text) < 1000
        loaded = load_memory(json.loads(text), blobs, LABELS)
        assert loaded.recall(QUERY) == holder.recall(QUERY)
        store.add([episode(99)], matrix([episode(99)]))
        with pytest.raises(
            IntegrityError, match=r"other examples \(61\) than this judge was stored with \(60\)"
        ):
            load_memory(json.loads(text), blobs, LABELS)
        store.remove([episode(99).id])
        assert load_memory(json.loads(text), blobs, LABELS).recall(QUERY) == holder.recall(QUERY)
        store.path.rename(tmp_path / "gone")
        with pytest.raises(NotFound, match="is not there"):
            load_memory(json.loads(text), blobs, LABELS)
