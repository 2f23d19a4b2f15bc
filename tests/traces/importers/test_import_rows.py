"""Rows of labels, however they are written, become traces with assessments; bad rows are reported."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from import_help import contents, row, write_lines

from judge_opt.core.errors import Conflict, DataError, UsageError
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces

FULL = row(
    "full",
    (("bo", "tone", "kind"), ("ana", "tone", "rude"), ("ana", "tone", "kind"), ("ana", "length", 3)),
    session="s1",
    expectations={"answer": "y"},
    tags={"colour": "red", "n": 1},
    metadata={"model": "m"},
    created="2024-05-01T10:00:00+02:00",
    difficulty="hard",
    judge=[
        {"model": "gpt", "name": "tone", "value": "kind", "prompt": "CoT", "raw": "It is.", "scores": [1, 2]},
        {"model": "gpt", "name": "tone", "value": None},
    ],
)


def test_a_row_becomes_a_trace_with_everything_that_was_said(store: Store, tmp_path: Path) -> None:
    human = [
        *FULL["human"],
        {"rater": "w1", "name": "tone", "value": "rude", "pool": "crowd", "rationale": "Cold."},
        {"rater": "mean", "name": "tone", "value": 0.5, "aggregate": True},
    ]
    report = import_traces(store, write_lines(tmp_path / "a.jsonl", {**FULL, "human": human}))
    assert (report.records, report.traces, report.assessments, report.replaced) == (1, 1, 8, 1)
    [trace] = store.iter_traces()
    assert (trace.id, trace.inputs, trace.outputs) == ("full", {"q": "x"}, {"answer": "y"})
    assert (trace.session, trace.expectations) == ("s1", {"answer": "y"})
    assert trace.tags == {"colour": "red", "n": "1"}
    assert trace.metadata == {"model": "m", "difficulty": "hard"}  # no column is lost
    assert trace.created == datetime(2024, 5, 1, 8, tzinfo=UTC)
    said = [
        (word.name, word.value, str(word.source_type), word.source_id, word.votes)
        for word in trace.assessments
    ]
    assert said == [
        ("tone", "kind", "HUMAN", "bo", True),
        ("tone", "rude", "HUMAN", "ana", False),
        ("tone", "kind", "HUMAN", "ana", True),
        ("length", 3, "HUMAN", "ana", True),
        ("tone", "rude", "HUMAN", "w1", True),
        ("tone", 0.5, "CODE", "mean", True),  # an aggregate is no rater's word
        ("tone", "kind", "LLM_JUDGE", "gpt/CoT", True),
        ("tone", None, "LLM_JUDGE", "gpt", False),
    ]
    words = trace.assessments
    assert words[2].supersedes == words[1].id
    assert (words[4].rationale, words[4].metadata) == ("Cold.", {"pool": "crowd"})
    assert (words[6].rationale, words[6].metadata) == (
        "It is.",
        {"model": "gpt", "prompt": "CoT", "scores": [1, 2]},
    )
    assert words[7].error == "the source has no verdict"


def test_pools_and_recorded_verdicts_can_be_left_out(store: Store, tmp_path: Path) -> None:
    labels = [
        {"rater": "e1", "name": "tone", "value": 1},
        {"rater": "w1", "name": "tone", "value": 2, "pool": "crowd"},
    ]
    path = write_lines(tmp_path / "a.jsonl", {**FULL, "human": labels})
    assert import_traces(store, path, pools=[None], judges=False).assessments == 1
    assert import_traces(store, path, pools=["crowd"], judges=False).assessments == 1
    assert [word.source_id for word in store.assessments("full")] == ["e1", "w1"]


def test_importing_again_adds_nothing_and_what_changed_is_a_conflict(store: Store, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", FULL, row("b"))
    first = import_traces(store, path)
    before = contents(store)
    again = import_traces(store, path)
    assert (again.traces, again.assessments, len(again.conflicts)) == (0, 0, 0)
    assert (again.traces_known, again.assessments_known) == (2, first.assessments)
    assert contents(store) == before
    write_lines(path, FULL, {**row("b"), "outputs": "other"}, row("c"))
    changed = import_traces(store, path)
    assert [(one.line, one.item) for one in changed.conflicts] == [(2, "b")]
    assert changed.traces == 1
    assert store.get_trace("b").outputs == {"answer": "y"}
    with pytest.raises(Conflict, match=r"a\.jsonl line 2: Trace 'b' is already stored"):
        import_traces(store, path, on_error="raise")


def test_a_label_that_changed_replaces_the_earlier_one_and_an_old_file_does_not_bring_it_back(
    store: Store, tmp_path: Path
) -> None:
    old = write_lines(tmp_path / "old.jsonl", row("a", [("ana", "tone", "rude")]))
    new = write_lines(tmp_path / "new.jsonl", row("a", [("ana", "tone", "kind")]))
    import_traces(store, old)
    assert import_traces(store, new).replaced == 1
    assert import_traces(store, old).assessments == 0
    assert [word.value for word in store.assessments("a") if word.votes] == ["kind"]
    store.log_feedback("a", "tone", "rude", rater="ana")  # a newer word, said here
    import_traces(store, new)
    assert [word.value for word in store.assessments("a") if word.votes] == ["rude"]


BAD = [
    ("not json", "not JSON"),
    ('["a", "list"]', "it is a list, not an object"),
    ('{"id": "x"', "not JSON"),
    ('{"id": "x", "inputs": NaN}', "NaN is not a JSON number"),
    ('{"id": "x", "input": 1}', "neither inputs nor outputs nor spans; found: id, input"),
    ('{"id": ["x"], "inputs": 1}', "id is a list"),
    ('{"id": "x", "inputs": 1, "human": {}}', "human is an object, not a list"),
    ('{"id": "x", "inputs": 1, "human": [{"rater": "a", "nam": "b", "value": 1}]}', "no 'name'"),
    ('{"id": "x", "inputs": 1, "human": [{"rater": "a", "name": "b", "value": null}]}', "has no value"),
    ('{"id": "x", "inputs": 1, "tags": []}', "tags is a list"),
    ('{"id": "x", "inputs": 1, "created": "soon"}', "'soon' is no time"),
    ('{"id": "%s", "inputs": 1}' % ("x" * 251), "1 to 250 characters"),
    ('{"id": "x", "inputs": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ('{"id": "x", "inputs": 1%s}' % ("0" * 5000), "not JSON"),
    (b'{"id": "x", "inputs": "\xff"}', "not UTF-8"),
    ('{"id": "x", "inputs": 1, "assessments": [{"name": "a", "source_type": "ALIEN"}]}', "ALIEN"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason[:25] for _, reason in BAD])
def test_a_bad_row_is_reported_with_its_line_and_does_not_stop_the_rest(
    bad: str | bytes, reason: str, tmp_path: Path
) -> None:
    raw = bad if isinstance(bad, bytes) else bad.encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join([json.dumps(row("a")).encode(), raw, b"", json.dumps(row("b")).encode()]))
    with Store(":memory:") as store:
        report = import_traces(store, path)
        assert [trace.id for trace in store.iter_traces()] == ["a", "b"]
        [skipped] = report.skipped
        assert skipped.line == 2
        assert reason in skipped.reason
        assert f"line 2: {skipped.reason}" in str(report)
        assert report.to_json()["skipped_rows"][0]["line"] == 2
    with Store(":memory:") as store, pytest.raises(DataError, match=r"rows\.jsonl line 2: ") as raised:
        import_traces(store, path, on_error="raise")
    assert "\n" not in str(raised.value)


def test_bad_rows_are_counted_and_the_first_thousand_listed(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", row(), *["no"] * 1500)
    with Store(":memory:") as store:
        report = import_traces(store, path)
    assert (len(report.skipped), len(list(report.skipped))) == (1500, 1000)


def test_a_source_that_gives_nothing_is_an_error_that_says_why(tmp_path: Path) -> None:
    with Store(":memory:") as store:
        (tmp_path / "empty.jsonl").touch()
        with pytest.raises(DataError, match=r"empty\.jsonl holds nothing"):
            import_traces(store, tmp_path / "empty.jsonl")
        path = write_lines(tmp_path / "other.jsonl", {"question": "q", "answer": "a"})
        with pytest.raises(DataError, match=r"None of the 1 rows.*question, answer.*columns="):
            import_traces(store, path)
        with pytest.raises(DataError, match=r"Did you mean 'other\.jsonl'"):
            import_traces(store, tmp_path / "othr.jsonl")
        with pytest.raises(UsageError, match="Did you mean 'parquet'"):
            import_traces(store, path, "parqet")
        with pytest.raises(UsageError, match="for MLflow"):
            import_traces(store, path, experiments=["a"])


def test_other_columns_are_named_and_rows_without_an_id_get_one_from_their_content(store: Store) -> None:
    rows = [
        {"question": f"q{n}", "context": "c", "answer": "a", "ok": n > 1, "meta": {"id": n}} for n in range(3)
    ]
    columns: Any = {"inputs": ["question", "context"], "outputs": "answer", "session": "meta.id"}
    report = import_traces(store, rows, columns=columns, labels={"is_correct": "ok"}, rater="ana")
    assert (report.traces, report.assessments) == (3, 3)
    first = next(store.iter_traces())
    assert (first.inputs, first.outputs, first.session) == ({"question": "q0", "context": "c"}, "a", "0")
    assert first.metadata == {"meta": {"id": 0}}
    assert [len(example.votes) for example in store.labelled_examples("is_correct", bool)] == [1, 1, 1]
    assert import_traces(store, rows, columns=columns, labels={"is_correct": "ok"}, rater="ana").traces == 0
    with pytest.raises(DataError, match=r"no column 'qestion'.*Did you mean 'question'"):
        import_traces(store, rows, columns={"inputs": "qestion"})


def test_json_is_read_as_lines_as_an_array_as_a_document_and_unpacked(tmp_path: Path) -> None:
    rows = [row(f"item {n}", outputs="x" * n * 5000) for n in range(40)]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "bom.jsonl").write_text("\ufeff" + "\r\n".join(map(json.dumps, rows)) + "\r\n")
    (tmp_path / "array.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "tight.json").write_text(json.dumps(rows, separators=(",", ":")))
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress((tmp_path / "lines.jsonl").read_bytes()))
    (tmp_path / "one.json").write_text(json.dumps(rows[0], indent=2))
    found = []
    for name in ("lines.jsonl", "bom.jsonl", "array.json", "tight.json", "packed.jsonl.gz"):
        with Store(":memory:") as store:
            assert import_traces(store, tmp_path / name).traces == 40, name
            found.append([(trace.id, trace.outputs) for trace, _ in contents(store)])
    assert all(one == found[0] for one in found)
    with Store(":memory:") as store:
        assert import_traces(store, tmp_path / "one.json").traces == 1
        several = import_traces(store, [tmp_path / "lines.jsonl", tmp_path / "one.json"])
        assert (several.records, several.traces) == (41, 39)
    text = (tmp_path / "array.json").read_text()
    (tmp_path / "cut.json").write_text(text[: len(text) // 2])
    with Store(":memory:") as store:
        with pytest.raises(DataError, match=r"cut\.json cannot be read on from line \d+.*records before it"):
            import_traces(store, tmp_path / "cut.json")
        assert 0 < len(contents(store)) < 40  # what came before is stored


def test_csv_is_read_as_traces_or_as_labels(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "id,inputs.q,outputs,rater,name,value,rationale,pool,aggregate,session\r\n"
        'a,"what, now","{""answer"": ""y""}",ana,tone,kind,"Two\r\nlines.",,,s\r\n'
        'a,"what, now","{""answer"": ""y""}",bo,tone,rude,,crowd,,s\r\n'
        "b,x,plain,ana,tone,,,,,\r\n"
        "c,x\r\n"
        "d,x,plain,mean,tone,1,,,TRUE,\r\n"
    )
    report = import_traces(store, path)
    assert (report.records, report.traces, report.assessments) == (3, 3, 3)
    assert [(one.line, one.item, one.reason) for one in report.skipped] == [
        (6, "c", "it has 2 cells, the header 10")
    ]
    first = store.get_trace("a")
    assert (first.inputs, first.outputs, first.session) == ({"q": "what, now"}, {"answer": "y"}, "s")
    said = [(word.source_id, word.value, word.rationale, dict(word.metadata)) for word in first.assessments]
    assert said == [
        ("ana", "kind", "Two\r\nlines.", {}),
        ("bo", "rude", None, {"pool": "crowd"}),
    ]
    assert store.assessments("d")[0].source_type == "CODE"
    (tmp_path / "traces.tsv").write_text('id\tinputs\toutputs\ttags\tlevel\nt1\tq\ta\t{"x": "y"}\t3\n')
    import_traces(store, tmp_path / "traces.tsv")
    assert (store.get_trace("t1").tags, store.get_trace("t1").metadata) == ({"x": "y"}, {"level": "3"})


def test_long_texts_are_cut_and_the_cut_is_recorded(store: Store, tmp_path: Path) -> None:
    spans = [{"span_id": "0" * 16, "attributes": {"input.value": "z" * 300}}]
    path = write_lines(
        tmp_path / "a.jsonl", row("long", outputs={"text": ["x" * 500]}, spans=spans), row("short")
    )
    report = import_traces(store, path, max_text=200)
    trace = store.get_trace("long")
    assert len(trace.outputs["text"][0]) == 200
    assert trace.metadata["judge_opt.truncated"] == {
        "outputs": [{"path": "text.0", "kept": 200, "of": 500}],
        "spans": [{"path": "0.attributes.input.value", "kept": 200, "of": 300}],
    }
    assert [(one.line, one.item) for one in report.truncated] == [(1, "long"), (1, "long")]
    assert "outputs.text.0 was cut from 500 to 200 characters" in str(report)
    assert "judge_opt.truncated" not in store.get_trace("short").metadata
