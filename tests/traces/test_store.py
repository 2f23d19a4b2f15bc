import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import Conflict, DataError, IntegrityError, NotFound, UsageError
from judge_opt.core.values import scale
from judge_opt.traces import AssessmentSource, Store, Trace


def is_one_text_in_json(text: str) -> bool:
    """Two lone surrogates that happen to form a pair are one character in JSON: not a difference in text."""
    return json.loads(json.dumps(text)) == text


HOSTILE = st.text(st.characters(exclude_categories=())).filter(is_one_text_in_json)
NAME = HOSTILE.filter(bool).map(lambda text: text[:250])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=8,
)
SPECIAL = [
    "\ud800",
    "\udfff!",
    "\x00",
    "\u202eevil",
    "a\\0b\\ud800\\",
    "e\u0301",
    "\u00e9",
    "\U0001f469\u200d\U0001f4bb",
    "a\r\nb",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=NAME, rater=NAME, session=NAME, inputs=JSON, value=JSON.filter(lambda v: v is not None), text=HOSTILE
)
def test_any_text_round_trips(store, name, rater, session, inputs, value, text):
    trace = Trace(inputs=inputs, outputs=text, session=session, tags={name: text}, metadata={text: inputs})
    store.add_trace(trace)
    word = store.log_feedback(trace.id, name, value, rationale=text, rater=rater)
    assert store.get_trace(trace.id) == trace
    assert store.assessments(trace.id) == [word]
    assert (word.name, word.value, word.rationale, word.source_id) == (name, value, text, rater)
    assert trace in list(store.iter_traces(session=session, tags={name: text}, name=name))


@pytest.mark.parametrize("text", SPECIAL, ids=ascii)
def test_hostile_ids_are_distinct_and_found(store, text):
    for other in SPECIAL:
        store.add_trace(Trace(other, inputs=other))
    assert store.get_trace(text).inputs == text


def test_adding_the_same_trace_again_changes_nothing(store):
    trace = Trace("a", inputs={"q": 1}, tags={"env": "prod"})
    assert store.add_traces([trace, trace]) == 1
    store.set_tag("a", "reviewed", "yes")
    assert store.add_traces([replace(trace, created=datetime(2020, 1, 1, tzinfo=UTC))]) == 0
    assert store.get_trace("a").tags == {"env": "prod", "reviewed": "yes"}
    assert store.get_trace("a").created == trace.created


def test_other_content_under_a_taken_id_is_a_conflict(store):
    store.add_trace(Trace("a", inputs={"q": 1}, tags={"env": "prod"}))
    with pytest.raises(
        Conflict, match=r"Trace 'a' is already stored with other content. A stored trace does"
    ):
        store.add_trace(Trace("a", inputs={"q": 2}))
    with pytest.raises(
        Conflict, match=r"another value of tag 'env'. Change a stored trace's tag with Store.set_tag"
    ):
        store.add_trace(Trace("a", inputs={"q": 1}, tags={"env": "test"}))
    assert store.get_trace("a").inputs == {"q": 1}


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (
            Trace("a", inputs={"x": [1, float("nan")]}),
            r"Trace 'a' inputs.x\[1\]: nan cannot be stored as JSON",
        ),
        (Trace("a", outputs={1: "x"}), "Trace 'a' outputs: the key 1 cannot be stored"),
        (Trace("a", metadata={"x": object()}), "Trace 'a' metadata.x: a object cannot be stored"),
        (Trace("a", spans=["x"]), "spans must be a list of objects"),
    ],
)
def test_what_json_cannot_carry_is_refused_and_named(store, trace, message):
    with pytest.raises(DataError, match=message):
        store.add_trace(trace)
    assert store.search_traces().traces == []


@pytest.mark.parametrize(
    "trace",
    [Trace(""), Trace("x" * 251), Trace("a", created=datetime(2020, 1, 1)), Trace("a", tags={"k": 1})],
)
def test_what_breaks_the_schema_is_refused(store, trace):
    with pytest.raises(UsageError):
        store.add_trace(trace)


def test_search_pages_through_everything_in_order(store):
    store.add_traces(Trace(f"t{n}", session=f"s{n % 2}", tags={"third": str(n % 3)}) for n in range(1200))
    pages, page = [], None
    while True:
        found = store.search_traces(session="s1", tags={"third": "0"}, max_results=30, page=page)
        pages.append(found.traces)
        if (page := found.next_page) is None:
            break
    expected = [f"t{n}" for n in range(1200) if n % 2 == 1 and n % 3 == 0]
    assert [trace.id for some in pages for trace in some] == expected
    assert {len(some) for some in pages[:-1]} == {30}
    with pytest.raises(UsageError, match=r"page='x' is no page"):
        store.search_traces(page="x")
    with pytest.raises(UsageError, match=r"max_results=0"):
        store.search_traces(max_results=0)


def test_a_rater_has_one_vote_and_history_is_kept(store):
    store.add_trace(Trace("a"))
    first = store.log_feedback("a", "ok", True, rater="ana")
    second = store.log_feedback("a", "ok", False, rater="ana")
    store.log_feedback("a", "ok", True, rater="bo")
    history = store.assessments("a", "ok")
    assert [(word.value, word.current) for word in history] == [(True, False), (False, True), (True, True)]
    assert second.supersedes == first.id
    [example] = store.labelled_examples("ok", bool)
    assert [(vote.rater, vote.value) for vote in example.votes] == [("ana", False), ("bo", True)]
    assert example.gold is None


def test_retracted_and_failed_labels_never_vote(store):
    store.add_traces([Trace("a"), Trace("b")])
    store.log_feedback("a", "ok", True, rater="ana")
    wrong = store.log_feedback("a", "ok", False, rater="ana")
    store.log_feedback("b", "ok", True, rater="ana")
    store.log_assessment("b", SimpleNamespace(name="ok", value=None, error=ValueError("no"), source="HUMAN"))
    assert store.retract(wrong.id).retracted
    assert store.retract(wrong.id) == store.assessments("a")[1]
    [example] = store.labelled_examples("ok", bool)
    assert (example.id, [vote.value for vote in example.votes]) == ("b", [True])


def test_an_error_does_not_replace_a_verdict(store):
    store.add_trace(Trace("a"))
    judge = AssessmentSource("LLM_JUDGE", "judge/1")
    store.log_feedback("a", "ok", True, source=judge)
    failed = store.log_assessment("a", SimpleNamespace(name="ok", value=None, error="timeout", source=judge))
    assert (failed.error, failed.current, failed.supersedes) == ("timeout", False, None)
    [example] = store.labelled_examples("ok", bool, "LLM_JUDGE")
    assert example.gold is True


def test_override_replaces_a_judges_verdict_by_a_persons(store):
    store.add_trace(Trace("a"))
    verdict = store.log_feedback("a", "ok", True, source="LLM_JUDGE", rater="judge/1")
    mine = store.log_feedback("a", "ok", True, rater="ana")
    correction = store.override(verdict.id, False, rationale="It is wrong.", rater="ana")
    assert correction.supersedes == verdict.id
    assert [word.current for word in store.assessments("a")] == [False, False, True]
    with pytest.raises(Conflict, match=r"is not current"):
        store.override(mine.id, True)
    with pytest.raises(NotFound, match=r"There is no assessment 'x'"):
        store.override("x", True)


def test_labelled_examples_are_sorted_grouped_and_complete(store):
    spans = [{"name": "search", "outputs": "x"}]
    store.add_trace(
        Trace(
            "b",
            inputs={"q": 1},
            outputs="o",
            session="s",
            spans=spans,
            expectations={"old": 1, "answer": "no"},
        )
    )
    store.add_trace(Trace("a", inputs={"q": 2}))
    store.log_expectation("b", "answer", "yes", rater="ana")
    for trace_id in ("b", "a"):
        store.log_feedback(trace_id, "stars", "4", rater="bo")
        word = store.log_feedback(trace_id, "stars", 5, rationale="Good.", rater="ana")
    first, second = store.labelled_examples("stars", scale(1, 5))
    assert (first.id, first.group, dict(first.fields)) == ("a", "a", {"inputs": {"q": 2}})
    assert first.votes[0].assessment_id == word.id
    assert [(vote.rater, vote.value, vote.rationale) for vote in second.votes] == [
        ("ana", 5, "Good."),
        ("bo", 4, None),
    ]
    assert second.group == "s"
    assert second.fields == {
        "inputs": {"q": 1},
        "outputs": "o",
        "expectations": {"old": 1, "answer": "yes"},
        "trace": {"spans": spans},
    }


def test_wrong_label_requests_say_what_there_is(store):
    store.add_trace(Trace("trace-1"))
    store.log_feedback("trace-1", "helpful", "maybe")
    with pytest.raises(
        DataError,
        match=r"No HUMAN label called 'helpfull' in .*; names found: 'helpful'. Did you mean 'helpful'",
    ):
        store.labelled_examples("helpfull", bool)
    with pytest.raises(DataError, match=r"Trace 'trace-1': label 'maybe' is not allowed"):
        store.labelled_examples("helpful", bool)
    with pytest.raises(NotFound, match=r"There is no trace 'trace-2' in .*Did you mean 'trace-1'"):
        store.log_feedback("trace-2", "helpful", True)
    with pytest.raises(DataError, match=r"has no value"):
        store.log_feedback("trace-1", "helpful", None)
    with pytest.raises(UsageError, match=r"source type 'human' is not known. Did you mean 'HUMAN'"):
        store.log_feedback("trace-1", "helpful", True, source="human")
    with pytest.raises(UsageError, match=r"int without a name is no assessment"):
        store.log_assessment("trace-1", 3)


@pytest.mark.parametrize(
    ("table", "column"),
    [("traces", "outputs_json"), ("assessments", "value_json"), ("assessments", "source_id")],
)
def test_a_change_on_disk_is_named(store, table, column):
    store.add_trace(Trace("a", outputs="good"))
    store.log_feedback("a", "ok", True)
    with store.database.write() as connection:
        connection.execute(sa.text(f"UPDATE {table} SET {column} = 'false'"))
    with pytest.raises(IntegrityError, match=r"changed or damaged on disk.*Restore the database"):
        store.labelled_examples("ok", bool)


def test_the_schema_and_the_labels_do_not_load_sqlalchemy():
    code = (
        "import sys, judge_opt.labels, judge_opt.traces.schema, judge_opt.labels.importers\n"
        "assert not {'sqlalchemy', 'alembic'} & set(sys.modules)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_an_sqlalchemy_url_in_memory_works():
    with Store("sqlite://") as store:
        store.add_trace(Trace("a"))
        assert store.get_trace("a").id == "a"
