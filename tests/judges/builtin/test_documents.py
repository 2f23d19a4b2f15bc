"""Retrieval judged one document at a time."""

import builtin_world as world
import pytest

from judge_opt.core.errors import DataError
from judge_opt.judges.builtin import builtin_cases, documents_of, judge_each_document
from judge_opt.traces.schema import Trace


def trace_of(case_id):
    return next(c for c in builtin_cases("RetrievalRelevance") if c.id == case_id).fields["trace"]


def test_each_document_is_judged_alone(server):
    def on_the_subject(body):
        item = body["messages"][-1]["content"]
        assert item.count("marathon") >= 1
        return world.verdict("yes" if "egistration" in item.rpartition("output:")[2] else "no")

    server.answer = on_the_subject
    table = judge_each_document(world.made("RetrievalRelevance", server), Trace(**trace_of("half")))
    assert [row.feedback.value for row in table.rows] == ["yes", "yes", "no", "no"]
    assert (table.precision, table.coverage) == (0.5, 1.0)
    assert [row.index for row in table.rows] == [0, 1, 2, 3]
    assert {row.span_id for row in table.rows} == {"0000000000000002"}
    shown = [r.body["messages"][-1]["content"] for r in server.requests]
    assert len(set(shown)) == 4
    assert sum("Six bands" in text for text in shown) == 1


def test_a_trace_without_documents_is_refused(server):
    judge = world.made("RetrievalRelevance", server)
    for trace in (trace_of("nothing-found"), Trace(inputs="q"), {"spans": []}):
        with pytest.raises(DataError, match="retriever"):
            judge_each_document(judge, trace)
    assert server.completions == 0


def test_documents_are_found_in_every_common_form():
    flat = {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.1.document.content": "b",
        "retrieval.documents.0.document.content": "a",
        "retrieval.documents.0.document.id": "x",
    }
    listed = {"openinference.span.kind": "RETRIEVER", "output.value": {"documents": ["c"]}}
    other = {"openinference.span.kind": "TOOL", "output.value": ["d"]}
    odd = {"openinference.span.kind": "RETRIEVER", "output.value": 7}
    trace = {"spans": [{"attributes": one} for one in (flat, listed, other, odd)] + ["no span", {}]}
    found = documents_of(trace)
    assert found == [(0, 0, {"content": "a", "id": "x"}), (0, 1, {"content": "b"}), (1, 0, "c")]
