"""What a trace knows of itself when it is read: its assessments and what its root span says."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from judge_opt.core.errors import UsageError
from judge_opt.traces import AssessmentSource, AssessmentSourceType, Store, Trace
from judge_opt.traces.migrate import migrate
from judge_opt.traces.rows import trace_row

SPAN = {
    "span_id": "00000000000000a1",
    "parent_id": None,
    "name": "answer\x00\\",
    "start_ns": 1_000_000,
    "end_ns": 3_500_000,
    "status": {"code": "ERROR", "message": "no"},
}


def test_a_trace_that_is_read_carries_its_assessments_with_their_history(store):
    written = Trace("a", inputs={"q": 1})
    store.add_trace(written)
    first = store.log_feedback("a", "ok", True, rater="ana")
    second = store.log_feedback("a", "ok", False, rater="ana")
    judge = AssessmentSource(AssessmentSourceType.LLM_JUDGE, "j/1")
    verdict = store.log_feedback("a", "ok", True, source=judge)
    wanted = store.log_expectation("a", "answer", "yes")
    read = store.get_trace("a")
    assert read == written, "assessments are no part of a trace's content"
    assert read.assessments == tuple(store.assessments("a"))
    assert read.search_assessments() == [second, verdict, wanted]
    assert read.search_assessments("ok", "HUMAN") == [second]
    assert read.search_assessments(source_type=AssessmentSourceType.LLM_JUDGE) == [verdict]
    assert read.search_assessments(type="expectation") == [wanted]
    assert [word.id for word in read.search_assessments("ok", all=True)] == [first.id, second.id, verdict.id]
    assert store.search_traces().traces[0].assessments == read.assessments
    with pytest.raises(UsageError, match=r"source type 'HUMANS' is not known. Did you mean 'HUMAN'"):
        read.search_assessments(source_type="HUMANS")


def test_source_types_equal_their_names(store):
    source = AssessmentSource(source_type=AssessmentSourceType.HUMAN, source_id="ground_truth")
    assert source == AssessmentSource("HUMAN", "ground_truth")
    assert source.source_type == "HUMAN" == AssessmentSourceType.HUMAN
    store.add_trace(Trace("a"))
    word = store.log_feedback("a", "ok", True, source=source)
    assert word.source == source
    assert word.source.source_type == AssessmentSourceType.HUMAN


def test_a_trace_says_what_its_root_span_says():
    trace = Trace(spans=[{"span_id": "b", "parent_id": "00000000000000a1", "name": "step"}, SPAN])
    assert (trace.name, trace.status, trace.execution_time_ms) == ("answer\x00\\", "ERROR", 2.5)
    assert (Trace().name, Trace().status, Trace().execution_time_ms) == (None, None, None)
    odd = Trace(spans=[{"name": 3, "status": "x", "start_ns": "now"}])
    assert (odd.name, odd.status, odd.execution_time_ms) == (None, None, None)


def test_traces_of_the_first_schema_get_their_columns(file, tmp_path):
    traces = [Trace("a", spans=[SPAN]), Trace("b"), *(Trace(f"c{n}") for n in range(450))]
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        migrate(connection, None, "a new file", "0001")
        columns = {column["name"] for column in sa.inspect(connection).get_columns("traces")} - {"seq"}
        old = sa.table("traces", *map(sa.column, sorted(columns)))
        rows = [{key: value for key, value in trace_row(t).items() if key in columns} for t in traces]
        connection.execute(sa.insert(old), rows)
    engine.dispose()
    with Store(tmp_path / "new.db") as new, new.database.read() as connection:
        new.add_traces(traces)
        wanted = facts(connection)
    with Store(file) as store, store.database.read() as connection:
        assert facts(connection) == wanted
        assert wanted[0] == ("a", "answer\\0\\\\", "ERROR", 2.5)
        assert store.get_trace("a").spans == (SPAN,)


def facts(connection):
    query = "SELECT id, name, status, execution_time_ms FROM traces ORDER BY seq"
    return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_page_is_a_list(store):
    store.add_traces(Trace(f"t{n}", created=datetime(2026, 1, 1, tzinfo=UTC)) for n in range(3))
    page = store.search_traces(max_results=2)
    assert [trace.id for trace in page] == ["t0", "t1"] == [trace.id for trace in page.traces]
    assert [trace.id for trace in store.search_traces(page=page.next_page)] == ["t2"]
