"""What can be evaluated, and under which names."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, JudgeOptError, UsageError
from judge_opt.evaluation.data import records
from judge_opt.evaluation.journal import Journal, json_bytes, read_journal, read_json
from judge_opt.evaluation.rows import Row, read_rows
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.traces import Store, Trace

ITEMS = [
    {"id": "a", "inputs": {"question": "Q1", "lang": "de"}, "outputs": "A1"},
    {"id": "b", "inputs": {"question": "Q2", "lang": "en"}, "outputs": "A2"},
]


def ids(data: Any) -> list[str]:
    return [row.id for row in read_rows(records(data))]


def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    expected = read_rows(ITEMS)
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ITEMS))
    frame = pd.DataFrame(ITEMS)
    (tmp_path / "x.csv").write_text(
        "id,inputs.question,inputs.lang,outputs\na,Q1,de,A1\nb,Q2,en,A2\n", encoding="utf-8-sig"
    )
    (tmp_path / "y.csv").write_text(
        'id,inputs,outputs\na,"{""question"": ""Q1"", ""lang"": ""de""}",A1\n'
        'b,"{""question"": ""Q2"", ""lang"": ""en""}",A2\n'
    )
    flat = pd.DataFrame(
        [{"id": x["id"], "inputs.question": x["inputs"]["question"], "inputs.lang": x["inputs"]["lang"],
          "outputs": x["outputs"], "expectations": float("nan")} for x in ITEMS]  # type: ignore[index]
    )  # fmt: skip
    traces = [Trace(id=x["id"], inputs=x["inputs"], outputs=x["outputs"]) for x in ITEMS]  # type: ignore[arg-type]
    for data in (iter(ITEMS), frame, flat, tmp_path / "x.jsonl", str(tmp_path / "x.csv"), tmp_path / "y.csv"):
        assert read_rows(records(data)) == expected
    for row, one in zip(read_rows(traces), expected, strict=True):
        assert (row.id, row.fields["inputs"], row.fields["outputs"]) == (
            one.id, one.fields["inputs"], one.fields["outputs"],
        )  # fmt: skip
        assert row.trace_id == row.id


def test_parquet_and_arrow(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(ITEMS)
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    assert read_rows(records(tmp_path / "x.parquet")) == read_rows(ITEMS) == read_rows(records(table))


def test_labels_come_from_rows_traces_and_examples(tmp_path: Path) -> None:
    human = [
        {"rater": "ana", "name": "tone", "value": "good"},
        {"rater": "ben", "name": "tone", "value": "bad"},
        {"rater": "all", "name": "tone", "value": "bad", "aggregate": True},
    ]
    (row,) = read_rows([{**ITEMS[0], "human": human}])
    assert row.labels == {"tone": {"ana": "good", "ben": "bad"}}
    (row,) = read_rows([{**ITEMS[0], "labels": {"tone": "good", "other": None}}])
    assert row.labels == {"tone": {"default": "good"}}
    example = LabelledExample("a", "g", {"outputs": "x"}, (Vote("ana", True),))
    (row,) = read_rows([example])
    assert (row.group, row.labels) == ("g", {"": {"ana": True}})
    with Store(tmp_path / "lab.db") as store:
        store.add_trace(Trace(id="t", inputs="q", outputs="a", session="s"))
        store.log_feedback("t", "tone", "good", rater="ana")
        store.log_expectation("t", "answer", "b")
        (row,) = read_rows([store.get_trace("t")])
    assert row.labels == {"tone": {"ana": "good"}}
    assert row.fields["expectations"] == {"answer": "b"}
    assert (row.session, row.group) == ("s", "s")


def test_a_session_of_traces_is_a_conversation() -> None:
    turns = [
        Trace(id=f"t{n}", inputs={"question": f"Q{n}"}, outputs={"answer": f"A{n}"}, session="s")
        for n in (1, 2)
    ]
    (row,) = read_rows([{"session": turns}])
    assert [turn["content"] for turn in row.fields["conversation"]] == ["Q1", "A1", "Q2", "A2"]
    assert row.session == "s"


@given(st.permutations(range(6)))
def test_names_do_not_depend_on_the_order_of_the_rows(order: list[int]) -> None:
    made = [{"inputs": f"q{n // 2}", "outputs": f"a{n}"} for n in range(6)]
    by_content = {row.fields["outputs"]: row.id for row in read_rows(made)}
    shuffled = {row.fields["outputs"]: row.id for row in read_rows([made[i] for i in order])}
    assert shuffled == by_content
    assert len(set(by_content.values())) == 6


def test_the_same_question_has_the_same_name_whatever_was_answered() -> None:
    assert ids([{"inputs": "q", "outputs": "a"}]) == ids([{"inputs": "q", "outputs": "b", "expectations": 1}])


def test_groups() -> None:
    rows = [{"id": str(n), "session": "s", "inputs": {"story": n % 2}, "outputs": "x"} for n in range(4)]
    assert [row.group for row in read_rows(rows)] == ["s"] * 4
    assert [row.group for row in read_rows(rows, "inputs.story")] == ["0", "1", "0", "1"]
    assert [row.group for row in read_rows([{**rows[0], "group": "g"}])] == ["g"]
    with pytest.raises(DataError, match=r"'inputs.stori' to group by. Did you mean 'story'"):
        read_rows(rows, "inputs.stori")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no rows"),
        ([{"id": "a", "outputs": "x"}, {"id": "a", "outputs": "y"}], "'a' stands at more than one row"),
        ([{"id": "a", "output": "x"}], "holds nothing to judge. Did you mean 'outputs'"),
        ([{"id": "a", "outputs": {"x": {1, 2}}}], "'a' outputs.x: a set is not a JSON value"),
        ([{"id": "a", "outputs": [float("inf")]}], "not a JSON number"),
        ([{"outputs": {3: "x"}}], "the key 3 is not text"),
        (["text"], "Row 1 is a str"),
        ([{"id": "a", "outputs": "x", "human": [{"rater": "b"}]}], "no rater, name or value"),
    ],
)
def test_bad_rows_are_named(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_rows(records(data))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"outputs": 1}\n{"outputs": \n', "line 2 is not JSON"),
        ("x.jsonl", b'{"outputs": "\xff"}\n', "line 1 is not UTF-8"),
        ("x.jsonl", b"", "is empty"),
        ("x.jsonl", b"[1]\n", "line 1 is no JSON object"),
        ("x.csv", b"id,outputs\na,b,c\n", "more or fewer cells"),
        ("x.csv", b"", "is empty"),
        ("x.parquet", b"PAR1", "is not Parquet"),
        ("x.txt", b"hello", "format is not known"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(records(tmp_path / name))
    with pytest.raises(DataError, match="There is no file"):
        list(records(tmp_path / "y.jsonl"))
    for data in ({"inputs": 1}, 3):
        with pytest.raises(UsageError):
            records(data)


def test_values_of_libraries_become_plain() -> None:
    numpy = pytest.importorskip("numpy")
    when = datetime(2026, 1, 2, tzinfo=UTC)
    (row,) = read_rows(
        [{"inputs": {"n": numpy.int64(3), "x": numpy.array([1.5]), "t": when}, "outputs": (1, None)}]
    )
    assert row.fields == {
        "inputs": {"n": 3, "x": [1.5], "t": "2026-01-02T00:00:00+00:00"},
        "outputs": [1, None],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.integers(0, 200))
def test_a_journal_keeps_any_value_and_drops_a_torn_end(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder, "run") as journal:
        for value in values:
            journal.append({"v": value})
    assert [one["v"] for one in read_journal(folder, "run")] == values
    file = folder / "journal.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[: max(0, len(whole) - cut)])
    kept = list(read_journal(folder, "run"))
    assert kept == [{"v": value} for value in values[: len(kept)]]
    with Journal(folder, "run") as journal:
        journal.append({"v": "next"})
    assert list(read_journal(folder, "run")) == [*kept, {"v": "next"}]


@given(JSON)
def test_rows_round_trip(value: Any) -> None:
    row = Row("r", "g", {"inputs": value}, "s", "t", {"tone": {"ana": value}})
    assert Row.from_json(read_json(json_bytes(row.to_json()))) == row
    assert issubclass(DataError, JudgeOptError)
