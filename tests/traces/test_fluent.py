"""The module functions, called as MLflow's users call theirs."""

from types import SimpleNamespace

import pytest

import judge_opt.traces.fluent as jo
from judge_opt.core.errors import Conflict, NotFound, UsageError
from judge_opt.traces import AssessmentSource, AssessmentSourceType, Trace


@pytest.fixture(autouse=True)
def _default_store(store):
    with jo.use_store(store):
        yield


def test_the_workflow_of_the_judge_guide():
    @jo.trace
    def customer_support_app(issue):
        return {"response": f"I'll help you with: {issue}"}

    trace_ids = []
    for issue in ["Password reset not working", "Billing discrepancy", "Feature request"]:
        customer_support_app(issue)
        trace_id = jo.get_last_active_trace_id()
        trace_ids.append(trace_id)
        verdict = SimpleNamespace(
            name="support_quality",
            value="good",
            rationale="polite",
            error=None,
            source=AssessmentSource("LLM_JUDGE", "support_quality"),
            metadata={},
        )
        jo.log_assessment(trace_id=trace_id, assessment=verdict)
    for trace_id, truth in {trace_ids[0]: "excellent", trace_ids[1]: "poor"}.items():
        jo.log_feedback(
            trace_id=trace_id,
            name="support_quality",
            value=truth,
            rationale="",
            source=AssessmentSource(source_type=AssessmentSourceType.HUMAN, source_id="ground_truth"),
        )
    traces = jo.search_traces(return_type="list")
    both = []
    for trace in traces:
        assessments = trace.search_assessments(name="support_quality")
        has_judge = any(a.source.source_type == AssessmentSourceType.LLM_JUDGE for a in assessments)
        has_human = any(a.source.source_type == AssessmentSourceType.HUMAN for a in assessments)
        if has_judge and has_human:
            both.append(trace)
    assert [trace.id for trace in both] == trace_ids[:2]
    assert traces[0].inputs == {"issue": "Password reset not working"}
    feedbacks = traces[1].search_assessments(type="feedback")
    human = next((f for f in feedbacks if f.source.source_type == "HUMAN"), None)
    assert (human.value, human.rationale) == ("poor", None)

    for trace_id in trace_ids[:2]:
        jo.set_trace_tag(trace_id=trace_id, key="eval", value="complete")
    tagged = jo.search_traces(filter_string="tag.eval = 'complete'", return_type="pandas")
    assert list(tagged["trace_id"]) == trace_ids[:2]
    jo.delete_trace_tag(trace_ids[0], "eval")
    assert [trace.id for trace in jo.search_traces("tags.eval = 'complete'", max_results=1)] == [trace_ids[1]]
    with pytest.raises(NotFound, match=r"has no tag 'eval'"):
        jo.delete_trace_tag(trace_ids[0], "eval")


def test_what_a_program_logs_is_a_persons_label_only_where_it_says_so(store):
    store.add_trace(Trace("a"))
    assert jo.log_feedback(trace_id="a", name="ok", value=True).source_type == "CODE"
    assert jo.log_feedback(trace_id="a", name="ok", value=True, source="HUMAN").source_type == "HUMAN"
    assert jo.log_expectation(trace_id="a", name="answer", value="x").source_type == "HUMAN"
    assert len(store.labelled_examples("ok", bool)) == 1


def test_override_update_and_delete(store):
    store.add_trace(Trace("a"))
    judge = AssessmentSource("LLM_JUDGE", "judge/1")
    verdict = jo.log_feedback(trace_id="a", name="ok", value=True, source=judge)
    mine = jo.override_feedback(trace_id="a", assessment_id=verdict.id, value=False, rationale="wrong")
    assert (mine.source_type, mine.supersedes) == ("HUMAN", verdict.id)
    newer = jo.update_assessment("a", mine.id, True)
    assert (newer.source, newer.value, newer.supersedes) == (mine.source, True, mine.id)
    with pytest.raises(Conflict, match=r"is not current"):
        jo.update_assessment("a", mine.id, False)
    assert jo.get_assessment("a", verdict.id).current is False
    jo.delete_assessment("a", newer.id)
    assert jo.get_trace("a").search_assessments() == []
    assert len(jo.get_trace("a").search_assessments(all=True)) == 3
    with pytest.raises(NotFound, match=r"Trace 'a' has no assessment 'as-x'"):
        jo.retract("a", "as-x")
    with pytest.raises(NotFound, match=r"There is no trace 'b'"):
        jo.override_feedback(trace_id="b", assessment_id=verdict.id, value=1)


def test_deleted_traces_are_gone_with_what_was_said_of_them(store):
    store.add_traces(Trace(f"t{n}", tags={"n": str(n)}) for n in range(3))
    for n in range(3):
        store.log_feedback(f"t{n}", "ok", True)
    assert jo.delete_traces(["t0", "t2", "t0", "none"]) == 2
    assert [trace.id for trace in jo.search_traces()] == ["t1"]
    assert [example.id for example in store.labelled_examples("ok", bool)] == ["t1"]
    store.add_trace(Trace("t0", inputs="another"))
    assert store.assessments("t0") == []


def test_pages(store):
    store.add_traces(Trace(f"t{n}") for n in range(5))
    first = jo.search_traces(max_results=3, order_by=["timestamp_ms DESC"])
    second = jo.search_traces(max_results=3, order_by=["timestamp_ms DESC"], page_token=first.next_page)
    assert [trace.id for trace in [*first, *second]] == ["t4", "t3", "t2", "t1", "t0"]
    assert second.next_page is None
    with pytest.raises(UsageError, match=r"Did you mean 'tags'"):
        jo.search_traces("tgas.x = 'y'")


def test_every_name_is_there_and_documented():
    for name in jo.__all__:
        assert getattr(jo, name).__doc__, name
