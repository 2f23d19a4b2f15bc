"""Each reading of held-out rows is on record before anybody sees them."""

import json

import alignment_world as world
import pytest

from judge_opt.core.errors import DataError, UsageError
from judge_opt.experiments.validation import validate
from judge_opt.judges.make import make_judge
from judge_opt.labels.held_out import reads_of, rows_hash
from judge_opt.labels.splits import make_split
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces import Store


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def split():
    return make_split(world.rows(60), train=20, test=30)


def test_each_reading_is_recorded_with_its_reason(store, split):
    rows = world.rows(60)
    test = split.open_test(rows, "first look \ud800\x00", store=store)
    assert [row.id for row in test] == list(split.test)
    assert split.open_test(list(reversed(rows)), "second look", store=store, run_id="r-1") == test
    first, second = reads_of(test, store=store)
    assert (first.reason, first.run_id, first.rows) == ("first look \ud800\x00", None, 30)
    assert (second.reason, second.run_id, second.split_hash) == ("second look", "r-1", split.content_hash)
    assert first.created <= second.created
    assert json.dumps(second.to_json())
    assert reads_of(rows_hash(test), store=store) == [first, second]


def test_readings_are_counted_by_the_rows_whatever_the_split(store, split):
    rows = world.rows(60)
    test = split.open_test(rows, "one", store=store)
    held_out = [row for row in rows if row.id in split.test]
    same = make_split(rows, train=20, test=30, seed=0, group_key="another name")
    assert same.content_hash != split.content_hash
    same.open_test(rows, "two", store=store)
    assert [read.reason for read in reads_of(held_out, store=store)] == ["one", "two"]
    assert reads_of(test[1:], store=store) == []


def test_a_reading_needs_a_reason_and_the_rows(store, split):
    rows = world.rows(60)
    for reason in ("", "  ", None):
        with pytest.raises(UsageError, match="for a reason, and none was given"):
            split.open_test(rows, reason, store=store)
    with pytest.raises(DataError, match="are not in the data"):
        split.open_test(rows[:10], "look", store=store)
    assert reads_of([row for row in rows if row.id in split.test], store=store) == []


def test_validating_two_judges_is_a_reading(split, tmp_path):
    rows = world.rows(60)
    train, _, test = split.select(rows)
    with FaultServer(answer=world.answer) as server, Session(tmp_path / "home") as session:
        with use_session(session):
            judge = world.judge(server)
            other = make_judge(
                "dated",
                "Is {{ outputs }} a fine reply?",
                "openai:/sim",
                world.LABELS,
                base_url=server.base_url,
            )
            validate(judge, other, test, train, embedder=None)
            assert [read.reason for read in reads_of(test)] == ["validate_judges: 'dated' against 'dated'"]
        with Store(tmp_path / "home" / "store.db", create=False) as store:
            assert len(reads_of(test, store=store)) == 1
