"""The filter language: what each condition finds, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from judge_opt.core.errors import UsageError
from judge_opt.traces import AssessmentSource, Store, Trace
from judge_opt.traces.filters.patterns import matcher, write_pattern

START = datetime(2026, 11, 2, 10, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


def span(name, parent=None, kind=None, status="OK", ms=1.0, **attributes):
    if kind:
        attributes["openinference.span.kind"] = kind
    return {
        "span_id": name,
        "parent_id": parent,
        "name": name,
        "kind": "CLIENT" if kind == "TOOL" else "INTERNAL",
        "start_ns": 0,
        "end_ns": int(ms * 1e6),
        "status": {"code": status, "message": ""},
        "attributes": attributes,
        "events": [],
    }


TRACES = [
    Trace(
        "tr-a",
        inputs={"question": "Where is my parcel?", "user": {"tier": "gold", "age": 31}, "n": [5, 6]},
        outputs={"response": 'It says "soon".\nBye'},
        expectations={"answer": "soon", "stars": 4},
        session="s1",
        tags={"env": "prod", "mlflow.traceName": "agent", "100%": "yes_no"},
        metadata={"model": "gpt", "tokens": 120, "user.id": "ana", "deep": {"x": [True]}},
        spans=[span("agent", ms=250), span("search", "agent", "TOOL", "ERROR", tool="faq")],
        created=START,
    ),
    Trace(
        "tr-b",
        inputs="Refund ünd Größe \u4e2d\u6587",
        outputs=True,
        session="s2",
        tags={"env": "stage"},
        metadata={"model": "llama", "tokens": 9.5, "ok": True, "none": None},
        spans=[span("agent", ms=1000, status="ERROR"), span("llm", "agent", "LLM")],
        created=START + timedelta(milliseconds=1, microseconds=500),
    ),
    Trace("tr-c", inputs=7, outputs=["x"], tags={"env": "Prod"}, created=START + timedelta(days=1)),
    Trace("tr-d", created=START - timedelta(days=1)),
]


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        opened.add_traces(TRACES)
        judge = AssessmentSource("LLM_JUDGE", "judge/1")
        opened.log_feedback("tr-a", "ok", True, rationale="It cites the policy.", rater="ana")
        opened.log_feedback("tr-a", "ok", False, source=judge, metadata={"confidence": 0.5})
        opened.log_feedback("tr-b", "ok", False, rater="ana")
        opened.log_feedback("tr-c", "ok", "yes", rater="bo")
        opened.retract(opened.log_feedback("tr-d", "ok", True, rater="ana").id)
        opened.log_feedback("tr-a", "stars", 4, rater="ana")
        opened.log_feedback("tr-b", "stars", 4.5, rater="ana")
        opened.log_feedback("tr-c", "stars", "4", rater="ana")
        opened.log_feedback("tr-b", "stars", 2, rater="bo")
        opened.log_feedback("tr-b", "my quality.v2", "good", rater="bo")
        opened.log_feedback("tr-c", "aspects", {"tone": "warm", "length": 3}, rater="bo")
        opened.log_expectation("tr-a", "answer", "tomorrow", rater="ana")
        opened.log_expectation("tr-c", "answer", "x", rater="ana")
        yield opened


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # attributes, with and without MLflow's prefixes
        ("id = 'tr-a'", "a"),
        ("trace.request_id IN ('tr-a', 'tr-c', 'tr-x')", "ac"),
        ("attributes.status = 'OK'", "a"),
        ("status != 'OK'", "b"),
        ("NOT status = 'OK'", "bcd"),
        ("status IS NULL", "cd"),
        ("name = 'agent' and session = 's2'", "b"),
        ("attribute.name LIKE 'ag%'", "ab"),
        ("name LIKE 'AG%'", ""),
        ("name ILIKE 'AG%'", "ab"),
        ("name NOT LIKE 'ag%'", "cd"),
        ("execution_time_ms > 250", "b"),
        ("trace.execution_time_ms >= 250", "ab"),
        ("execution_time_ms IN (250, 3)", "a"),
        ("execution_time_ms < 1e3", "a"),
        ("session IS NOT NULL", "ab"),
        ("session < 's2'", "a"),
        (f"timestamp_ms = {START_MS}", "a"),
        (f"timestamp_ms = {START_MS + 1}", "b"),
        (f"timestamp_ms > {START_MS}", "bc"),
        (f"trace.timestamp_ms <= {START_MS + 1}", "abd"),
        (f"timestamp_ms != {START_MS}", "bcd"),
        ("timestamp >= '2026-11-03'", "c"),
        ("timestamp < '2026-11-02T12:00:00+02:00'", "d"),
        ("timestamp = '2026-11-02T10:00:00Z'", "a"),
        # tags and metadata
        ("tag.env = 'prod'", "a"),
        ('tags.env = "prod"', "a"),
        ("tags.env ILIKE 'PROD'", "ac"),
        ("tags.env != 'prod'", "bc"),
        ("NOT tags.env = 'prod'", "bcd"),
        ("tags.env IS NULL", "d"),
        ("tags.mlflow.traceName = 'agent'", "a"),
        ("tags.`mlflow.traceName` = 'agent'", "a"),
        ("tags.`100%` LIKE 'yes\\_%'", "a"),
        ("tags.env IN ('stage', 'x')", "b"),
        ("tags.env > 'Z'", "ab"),
        ("metadata.model = 'gpt'", "a"),
        ("metadata.tokens > 100", "a"),
        ("metadata.tokens = 9.5", "b"),
        ("metadata.tokens <= 120.0", "ab"),
        ("metadata.tokens = '120'", "a"),
        ("metadata.user.id = 'ana'", "a"),
        ("metadata.`deep`.x.0 = true", "a"),
        ("metadata.ok = TRUE", "b"),
        ("metadata.ok = 'true'", "b"),
        ("metadata.none IS NULL", "abcd"),
        ("metadata.model IS NOT NULL", "ab"),
        ("metadata.model LIKE '%l_m%'", "b"),
        # feedback
        ("feedback.ok = true", "a"),
        ("feedback.ok = false", "ab"),
        ("feedback.ok != true", "ab"),
        ("NOT feedback.ok = true", "bcd"),
        ("feedback.ok = 'yes'", "c"),
        ("feedback.ok = 'true' OR feedback.ok = 'yes'", "ac"),
        ("feedback.ok IS NULL", "d"),
        ("feedback.ok IS NOT NULL", "abc"),
        ("feedback.nothing IS NULL", "abcd"),
        ("feedback.stars >= 4", "ab"),
        ("feedback.stars > 4 AND feedback.stars < 3", "b"),
        ("feedback.stars = '4'", "ac"),
        ("feedback.stars IN (2, '4')", "abc"),
        ("feedback.ok.rationale LIKE '%policy%'", "a"),
        ("feedback.ok.source_type = 'LLM_JUDGE'", "a"),
        ("feedback.ok.source_id IN ('bo', 'judge/1')", "ac"),
        ("feedback.ok.rationale IS NULL", "abc"),
        ("feedback.ok.metadata.confidence = .5", "a"),
        ("feedback.my quality.v2 = 'good'".replace("my quality.v2", "`my quality.v2`"), "b"),
        ("feedback.aspects.value.tone = 'warm'", "c"),
        ("feedback.aspects LIKE '%warm%'", "c"),
        # expectations: what was logged stands before what was recorded
        ("expectation.answer = 'tomorrow'", "a"),
        ("expectations.answer = 'soon'", ""),
        ("expectations.stars = 4", "a"),
        ("expectations.answer IS NULL", "bd"),
        ("expectations.answer.source_id = 'ana'", "ac"),
        # inputs, outputs, text
        ("inputs.question LIKE '%parcel?'", "a"),
        ("inputs.user.tier = 'gold'", "a"),
        ("inputs.user.age > 30.5", "a"),
        ("inputs.n.1 = 6", "a"),
        ("inputs = 7", "c"),
        ("inputs.question.x = 7", ""),
        ("inputs LIKE '%Größe _文'", "b"),
        ("inputs ILIKE '%größe%'", "b"),
        ("outputs = true", "b"),
        ("outputs LIKE '%says \"soon\".\n%'", "a"),
        ("outputs.response LIKE '%says \"soon\".\n%'", "a"),
        ("outputs.0 = 'x'", "c"),
        ("inputs IS NULL", "d"),
        ("text LIKE '%parcel%'", "a"),
        ("trace.text ILIKE '%PARCEL%' OR text LIKE '%faq%'", "a"),
        ("text NOT LIKE '%agent%'", "cd"),
        # spans
        ("span.name = 'search'", "a"),
        ("span.status = 'ERROR'", "ab"),
        ("span.type = 'TOOL' AND span.status = 'ERROR'", "a"),
        ("span.type IN ('LLM', 'AGENT')", "b"),
        ("span.kind = 'CLIENT'", "a"),
        ("span.attributes.tool = 'faq'", "a"),
        ("span.name IS NULL", "cd"),
        ("span.name NOT LIKE '%m'", "acd"),
        # logic
        ("id = 'tr-a' OR id = 'tr-b' AND status = 'OK'", "a"),
        ("(id = 'tr-a' OR id = 'tr-b') AND NOT status = 'OK'", "b"),
        ("not (id = 'tr-a' or id = 'tr-b') AND session is null", "cd"),
        ("NOT NOT id == 'tr-a'", "a"),
        ("id <> 'tr-a'", "bcd"),
        ("id NOT IN ('tr-a')", "bcd"),
        ("  id\n=\t'tr-a'  ", "a"),
    ],
)
def test_what_a_filter_finds(store, text, found):
    assert [trace.id[-1] for trace in store.search_traces(text)] == list(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statsu = 'OK'", r"Filter, column 1: there is no field `statsu`. Did you mean 'status'\?"),
        ("id = 'a' AND tgas.x = '1'", r"Filter, column 14: there is no field `tgas.x`. Did you mean 'tags'"),
        ("attributes.timestamp = 3 AND attributes.nam = 'x'", r"column 30: .*Did you mean 'name'"),
        ("tags = 'x'", r"column 1: `tags` needs a name after a dot, such as tags.env"),
        ("span.nme = 'x'", r"Did you mean 'name'"),
        ("span.attributes = 'x'", r"needs a name"),
        ("text = 'x'", r"`text` is searched with LIKE or ILIKE"),
        ("text.a LIKE 'x'", r"has no parts"),
        ("feedback.ok.rationale.x = 'a'", r"`rationale` of an assessment has no parts"),
        ("tags.env = 3", r"column 1: `tags.env` is text and is compared with 3. Write it in quotes: '3'"),
        ("status = true", r"is text and is compared with true"),
        ("execution_time_ms = '3'", r"is a number and is compared with '3'"),
        ("execution_time_ms LIKE '3'", r"is a number"),
        ("timestamp_ms LIKE '3'", r"is a time"),
        ("timestamp = 'yesterday'", r"is no time that can be read"),
        ("timestamp_ms > 1e99", r"is no time that can be read"),
        ("metadata.x > true", r"is compared by > with true or false"),
        ("id = 'a' AND", r"Filter, column 13: the filter ends too early"),
        ("id 'a'", r"Filter, column 4: \"'a'\" was not expected.* Expected .*LIKE"),
        ("id = 'a", r"column 6: .*closing quote missing"),
        ("id = 'a' id = 'b'", r"column 10: .*Expected AND or OR or the end"),
        ("id = 'a')", r"column 9"),
        ("id = a", r"column 6: 'a' was not expected"),
        ("id LIKE 3", r"column 9: '3' was not expected. Expected text in 'quotes'"),
        ("id IN ()", r"column 8"),
        ("id = 'a'; DROP TABLE traces", r"column 9: '; DROP TABLE traces' was not expected"),
        ("", r"The filter is empty"),
        ("x" * 20_001, r"has 20001 characters"),
        ("NOT " * 4000 + "id = 'a'", r"nested deeper than 40 levels"),
        (
            "(id = 'a' AND (id = 'b' OR " * 300 + "id = 'c'" + "))" * 300,
            r"nested deeper|conditions, more than",
        ),
        (" OR ".join(["id = 'a'"] * 201), r"201 conditions, more than 200"),
        (3, r"must be text, got int"),
    ],
)
def test_mistakes_are_placed_and_explained(store, text, message):
    with pytest.raises(UsageError, match=message):
        store.search_traces(text)


def test_many_values_and_many_conditions_are_within_every_limit(store):
    ids = ", ".join(f"'x{n}'" for n in range(2000))
    assert [trace.id for trace in store.search_traces(f"id IN ({ids}, 'tr-b')")] == ["tr-b"]
    assert len(store.search_traces(" OR ".join(["feedback.ok = true"] * 100))) == 1
    assert len(store.search_traces(" AND ".join(["text LIKE '%parcel%'"] * 60))) == 1


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (None, "abcd"),
        ("timestamp_ms DESC", "cbad"),
        ("attributes.timestamp ASC", "dabc"),
        ("execution_time_ms", "abcd"),
        ("execution_time_ms DESC", "bacd"),
        ("status ASC, timestamp DESC", "bacd"),
        (["session desc", "id desc"], "badc"),
        ("name, id DESC", "badc"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_order_and_pages(store, order, found, size):
    seen, page = [], None
    while True:
        got = store.search_traces("id LIKE 'tr-%'", order_by=order, max_results=size, page=page)
        assert len(got) <= size
        seen += [trace.id[-1] for trace in got]
        if (page := got.next_page) is None:
            break
    assert seen == list(found)
    assert [
        trace.id[-1] for trace in store.iter_traces("id LIKE 'tr-%'", order_by=order, max_results=size)
    ] == seen


@pytest.mark.parametrize(
    "page", ["x", "1 OR 1=1", "W10=", "bnVsbA==", "WyJhIiwxLDJd", "é", "9" * 30, 3, "-1"]
)
def test_a_page_of_another_search_is_refused(store, page):
    with pytest.raises(UsageError, match=r"is no page"):
        store.search_traces(order_by="name", page=page)
    with pytest.raises(UsageError, match=r"is no page"):
        store.search_traces(page=page)


def test_a_page_belongs_to_its_order(store):
    page = store.search_traces(order_by="name", max_results=1).next_page
    assert store.search_traces(order_by="name", page=page)
    with pytest.raises(UsageError, match=r"with the same order_by"):
        store.search_traces(order_by="name DESC", page=page)


@pytest.mark.parametrize("order", ["nam", "name UP", "name DESC x", "tags.env", "", ["name", 3]])
def test_an_unknown_order_is_refused(store, order):
    with pytest.raises(UsageError, match=r"is no order"):
        store.search_traces(order_by=order)


def test_tables_have_the_same_columns_always(store):
    columns = [
        "trace_id", "created", "session", "name", "status", "execution_time_ms", "inputs", "outputs",
        "expectations", "tags", "metadata", "assessments", "spans",
    ]  # fmt: skip
    frame = store.search_traces("id = 'tr-a'", return_type="pandas")
    assert list(frame.columns) == columns
    row = frame.iloc[0]
    assert (row["trace_id"], row["inputs"]["n"], row["tags"]["env"]) == ("tr-a", [5, 6], "prod")
    assert [word["value"] for word in row["assessments"]][:2] == [True, False]
    assert row["created"].to_pydatetime() == START
    table = store.search_traces(return_type="arrow")
    assert table.column_names == columns
    assert table.num_rows == 4
    assert table["outputs"].to_pylist() == [
        '{"response":"It says \\"soon\\".\\nBye"}',
        "true",
        '["x"]',
        "null",
    ]
    nothing = store.search_traces("id = 'x'", return_type="arrow")
    assert nothing.schema == table.schema
    empty = store.search_traces("id = 'x'", return_type="pandas")
    assert list(empty.dtypes.items()) == list(frame.dtypes.items())
    with pytest.raises(UsageError, match=r"return_type 'csv' is not known"):
        store.search_traces(return_type="csv")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a%c", "abbc", True),
        ("a%c", "abbcd", False),
        ("%a%b%", "xbxaxbx", True),
        ("%a%b%", "xbxax", False),
        ("a_c", "abc", True),
        ("a_c", "ac", False),
        ("%", "", True),
        ("", "", True),
        ("", "a", False),
        ("_%_", "a", False),
        ("%ab", "ab" * 3, True),
        ("ab%ab", "ab", False),
        ("\\%\\_\\\\", "%_\\", True),
        ("a\\b", "a\\b", True),
        ("%.*(%", "x.*(y", True),
        ("a%\n", "a\n\n", True),
        ("100!%", "100!9", True),
    ],
)
def test_patterns(pattern, text, matches):
    assert matcher(write_pattern(pattern, str), False)(text) is matches


def test_a_hostile_pattern_takes_no_exponential_time():
    assert not matcher(write_pattern("%a" * 200 + "b", str), False)("a" * 50_000)
