"""OTLP JSON, Phoenix, Langfuse and LangSmith, in the shapes that their documentation gives.

Sources of the shapes: the OTLP specification's JSON examples; Phoenix's REST API (`/v1/projects/../spans`)
and its table of spans; Langfuse's API reference and "Blob storage export field reference"; LangSmith's
"Run data format" and "Feedback data format".
"""

import json
from pathlib import Path
from typing import Any

import pytest
from import_help import write_lines

from judge_opt.core.errors import DataError
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces

TRACE = "5b8efff798038103d269b633813fc60c"
ROOT, CHILD = "eee19b7ec3c1b174", "eee19b7ec3c1b173"


def otlp(*spans: dict[str, Any], **resource: str) -> dict[str, Any]:
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
    return {
        "resourceSpans": [
            {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": [*spans]}]}
        ]
    }


def otlp_span(identity: str, parent: str = "", **attributes: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE.upper(),
        "spanId": identity,
        "parentSpanId": parent,
        "name": "I'm a span",
        "kind": 3,
        "startTimeUnixNano": "1544712660000000000" if not parent else "1544712660500000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
        "status": {"code": 2, "message": "no"} if parent else {},
    }


def test_spans_of_otlp_in_any_order_make_traces(tmp_path: Path) -> None:
    number = {"doubleValue": 1.5}
    child = otlp_span(
        CHILD,
        ROOT,
        **{
            "gen_ai.operation.name": {"stringValue": "chat"},
            "gen_ai.usage.input_tokens": {"intValue": "7"},
            "gen_ai.input.messages": {"stringValue": '[{"role": "user", "content": "hi"}]'},
            "kv": {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [number]}}}]}},
        },
    )  # fmt: skip
    root = otlp_span(
        ROOT,
        **{
            "openinference.span.kind": {"stringValue": "AGENT"},
            "input.value": {"stringValue": '{"q": 1}'},
            "input.mime_type": {"stringValue": "application/json"},
            "output.value": {"stringValue": '{"not": "json by its type"}'},
            "session.id": {"stringValue": "s-1"},
            "user.id": {"stringValue": "u-1"},
        },
    )
    lines = (
        otlp(child, **{"service.name": "shop"}),
        otlp(root, root),
        root,
        {"resourceSpans": [{"scopeSpans": 3}]},
    )
    with Store(":memory:") as store:
        report = import_traces(store, write_lines(tmp_path / "spans.jsonl", *lines))
        assert (report.format, report.traces, [one.line for one in report.skipped]) == ("otlp", 1, [4])
        [trace] = store.iter_traces()
    assert trace.id == f"tr-{TRACE}"
    assert (trace.inputs, trace.outputs) == ({"q": 1}, '{"not": "json by its type"}')
    assert (trace.session, trace.created.year) == ("s-1", 2018)
    assert trace.metadata == {"user.id": "u-1", "resource": {"service.name": "shop"}}
    first, second = trace.spans
    assert (first["span_id"], first["parent_id"], first["kind"]) == (ROOT, None, "CLIENT")
    assert first["attributes"]["gen_ai.operation.name"] == "invoke_agent"
    assert (second["parent_id"], second["status"]) == (ROOT, {"code": "ERROR", "message": "no"})
    assert second["attributes"]["openinference.span.kind"] == "LLM"
    assert second["attributes"]["input.value"] == [{"role": "user", "content": "hi"}]
    assert (second["attributes"]["gen_ai.usage.input_tokens"], second["attributes"]["kv"]) == (
        7,
        {"a": [1.5]},
    )


def phoenix_span(**more: Any) -> dict[str, Any]:
    return {
        "id": "U3Bhbjox",
        "name": "query",
        "context": {"trace_id": TRACE, "span_id": ROOT},
        "span_kind": "LLM",
        "parent_id": None,
        "start_time": "2024-05-29T13:46:19.963123+00:00",
        "end_time": "2024-05-29T13:46:20+00:00",
        "status_code": "OK",
        "status_message": "",
        "attributes": {
            "input": {"value": '{"q": "hi"}', "mime_type": "application/json"},
            "output.value": "hello",
            "llm": {"model_name": "gpt-4o", "token_count": {"prompt": 5, "completion": 2}},
            "metadata": {"tier": {"is": "gold"}},
            "tag.tags": ["a", "b"],
        },
        "events": [{"name": "e", "timestamp": "2024-05-29T13:46:20+00:00", "attributes": {"x": 1}}],
        **more,
    }


def test_phoenix_spans_and_their_annotations(tmp_path: Path) -> None:
    annotation = {
        "id": "QW5u", "name": "correct", "annotator_kind": "HUMAN", "identifier": "ana",
        "result": {"label": "yes", "score": 1.0, "explanation": "It is."}, "created_at": "2024-06-01T00:00:00Z",
    }  # fmt: skip
    late = {
        "span_id": ROOT,
        "annotation_name": "toxic",
        "annotator_kind": "LLM",
        "score": 0.25,
        "label": None,
    }
    lost = {"span_id": "ffffffffffffffff", "annotation_name": "toxic", "annotator_kind": "CODE", "score": 1}
    path = write_lines(tmp_path / "phoenix.jsonl", late, phoenix_span(annotations=[annotation]), lost)
    with Store(":memory:") as store:
        report = import_traces(store, path)
        assert (report.format, report.traces, report.assessments) == ("openinference", 1, 2)
        assert "no span 'ffffffffffffffff'" in report.skipped[0].reason
        [trace] = store.iter_traces()
    assert (trace.inputs, trace.outputs, trace.tags) == ({"q": "hi"}, "hello", {"a": "true", "b": "true"})
    assert trace.metadata == {"tier": {"is": "gold"}}
    [span] = trace.spans
    assert (span["start_ns"], span["status"]["code"]) == (1716990379963123000, "OK")
    assert span["attributes"]["gen_ai.request.model"] == "gpt-4o"
    assert span["attributes"]["gen_ai.usage.output_tokens"] == 2
    assert span["events"] == [{"name": "e", "time_ns": 1716990380000000000, "attributes": {"x": 1}}]
    said = {word.name: word for word in trace.assessments}
    assert (said["correct"].value, said["correct"].rationale, said["correct"].source_id) == (
        "yes",
        "It is.",
        "ana",
    )
    assert said["correct"].metadata == {"span_id": ROOT, "score": 1.0}
    assert (said["toxic"].value, said["toxic"].source_type) == (0.25, "LLM_JUDGE")


def test_phoenix_tables_of_spans(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    row = {
        "name": "query",
        "span_kind": "CHAIN",
        "parent_id": None,
        "start_time": pandas.Timestamp("2024-05-29 13:46:19.963123", tz="UTC"),
        "end_time": pandas.NaT,
        "status_code": "OK",
        "status_message": "",
        "context.trace_id": TRACE,
        "context.span_id": ROOT,
        "attributes.input.value": "hi",
        "attributes.output.value": "hello",
        "attributes.llm.token_count.prompt": float("nan"),
    }
    frame = pandas.DataFrame([row, {**row, "context.span_id": CHILD, "parent_id": ROOT}])
    frame.to_parquet(tmp_path / "spans.parquet")
    for source in (frame, tmp_path / "spans.parquet"):
        with Store(":memory:") as store:
            assert import_traces(store, source).format == "openinference"
            [trace] = store.iter_traces()
            assert (trace.inputs, trace.outputs, len(trace.spans)) == ("hi", "hello", 2)
            assert trace.spans[0]["end_ns"] is None
            assert "llm.token_count.prompt" not in trace.spans[0]["attributes"]


OBSERVATION = {
    "id": "o-1", "traceId": "lf-1", "type": "GENERATION", "name": "llm", "startTime": "2024-05-29T13:46:20.000Z",
    "endTime": "2024-05-29T13:46:21.000Z", "parentObservationId": "o-0", "level": "ERROR",
    "statusMessage": "rate limit", "model": "gpt-4o", "input": [{"role": "user", "content": "hi"}],
    "output": {"role": "assistant", "content": "hello"}, "usageDetails": {"input": 5, "output": 2, "total": 7},
    "modelParameters": {"temperature": 0.7}, "metadata": {},
}  # fmt: skip
LANGFUSE = {
    "id": "lf-1", "timestamp": "2024-05-29T13:46:19.963Z", "name": "chat", "input": {"q": "hi"},
    "output": "hello", "sessionId": "s-1", "userId": "u-1", "release": "1.2", "version": None,
    "metadata": {"tier": "gold"}, "tags": ["prod"], "public": False, "environment": "production",
    "htmlPath": "/project/x/traces/lf-1", "latency": 1.2, "totalCost": 0.01,
    "observations": [
        OBSERVATION,
        {**OBSERVATION, "id": "o-0", "type": "SPAN", "parentObservationId": None, "level": "DEFAULT",
         "startTime": "2024-05-29T13:46:19.963Z"},
    ],
    "scores": [
        {"id": "sc-1", "traceId": "lf-1", "name": "correct", "value": 1, "stringValue": "True",
         "dataType": "BOOLEAN", "source": "ANNOTATION", "authorUserId": "ana", "comment": "Yes.",
         "timestamp": "2024-06-01T00:00:00.000Z"},
        {"id": "sc-2", "traceId": "lf-1", "name": "tone", "value": 2, "stringValue": "warm",
         "dataType": "CATEGORICAL", "source": "EVAL", "timestamp": "2024-06-01T00:00:01.000Z"},
        {"id": "sc-3", "traceId": "lf-1", "name": "length", "value": 17.5, "dataType": "NUMERIC",
         "source": "API", "observationId": "o-1", "timestamp": "2024-06-01T00:00:02.000Z"},
    ],
}  # fmt: skip


def snake(row: dict[str, Any]) -> dict[str, Any]:
    """As the blob storage export writes it: other names, payloads as text, times without a zone."""
    named = {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): value for key, value in row.items()}
    for key in ("input", "output", "model_parameters"):
        if isinstance(named.get(key), (dict, list)):
            named[key] = json.dumps(named[key])
    for key in ("start_time", "end_time", "timestamp"):
        if key in named:
            named[key] = named[key].replace("T", " ").replace("Z", "000")
    if "parent_observation_id" in named:
        named["parent_observation_id"] = named["parent_observation_id"] or ""
    return {"project_id": "p", **named}


def langfuse_sources(folder: Path) -> dict[str, Any]:
    (folder / "one.json").write_text(json.dumps(LANGFUSE, indent=2))
    (folder / "session.json").write_text(json.dumps({"id": "s-1", "traces": [LANGFUSE]}))
    trace = {key: value for key, value in LANGFUSE.items() if key not in ("observations", "scores")}
    parts = {
        "traces": [{**snake(trace), "bookmarked": False}],
        "observations": [snake(one) for one in LANGFUSE["observations"]],  # type: ignore[attr-defined]
        "scores": [snake(one) for one in LANGFUSE["scores"]],  # type: ignore[attr-defined]
    }
    files = [write_lines(folder / f"{name}.jsonl", *rows) for name, rows in parts.items()]
    return {"one": folder / "one.json", "session": folder / "session.json", "files": files[::-1]}


@pytest.mark.parametrize("how", ["one", "session", "files"])
def test_langfuse_traces_observations_and_scores(how: str, tmp_path: Path) -> None:
    with Store(":memory:") as store:
        report = import_traces(store, langfuse_sources(tmp_path)[how])
        assert (report.format, report.traces, report.assessments) == ("langfuse", 1, 3), str(report)
        [trace] = store.iter_traces()
    assert (trace.id, trace.inputs, trace.outputs, trace.session) == ("lf-1", {"q": "hi"}, "hello", "s-1")
    assert trace.tags == {"prod": "true"}
    assert trace.metadata["tier"] == "gold"
    assert (trace.metadata["langfuse.user_id"], trace.metadata["langfuse.name"]) == ("u-1", "chat")
    assert trace.created.microsecond == 963000
    root, model = trace.spans
    assert (root["parent_id"], model["parent_id"]) == (None, root["span_id"])
    assert model["status"] == {"code": "ERROR", "message": "rate limit"}
    assert model["attributes"]["openinference.span.kind"] == "LLM"
    assert model["attributes"]["input.value"] == [{"role": "user", "content": "hi"}]
    assert model["attributes"]["gen_ai.usage.input_tokens"] == 5
    assert model["attributes"]["llm.invocation_parameters"] == {"temperature": 0.7}
    said = [
        (word.id, word.value, str(word.source_type), word.source_id, word.rationale)
        for word in trace.assessments
    ]
    assert said == [
        ("sc-1", True, "HUMAN", "ana", "Yes."),
        ("sc-2", "warm", "LLM_JUDGE", "tone", None),
        ("sc-3", 17.5, "CODE", "length", None),
    ]


def test_scores_without_their_trace_are_reported(tmp_path: Path) -> None:
    scores = [{**one, "traceId": None if n else "lf-9"} for n, one in enumerate(LANGFUSE["scores"])]  # type: ignore[arg-type]
    path = write_lines(tmp_path / "scores.jsonl", *scores, {"what": "ever"})
    with Store(":memory:") as store, pytest.raises(DataError, match="None of the 4 rows"):
        import_traces(store, path)
    good = write_lines(tmp_path / "good.jsonl", LANGFUSE)
    with Store(":memory:") as store:
        report = import_traces(store, [good, path])
        assert sorted(one.reason for one in report.skipped) == [
            "it is no trace, observation or score of Langfuse; found: what",
            "no trace 'lf-9' for its 1 scores: give all files",
            "the score is of no trace",
            "the score is of no trace",
        ]


RUN = {
    "id": "11111111-1111-4111-8111-111111111111", "trace_id": "11111111-1111-4111-8111-111111111111",
    "name": "agent", "run_type": "chain", "start_time": "2024-05-29T13:46:19.963000",
    "end_time": "2024-05-29T13:46:21", "inputs": {"question": "hi"}, "outputs": {"answer": "hello"},
    "error": None, "extra": {"metadata": {"thread_id": "th-1", "tier": "gold"}}, "tags": ["prod"],
    "session_id": "project-uuid", "parent_run_id": None, "status": "success",
    "dotted_order": "20240529T134619963000Z11111111-1111-4111-8111-111111111111", "events": [],
}  # fmt: skip
CALL = {
    **RUN, "id": "22222222-2222-4222-8222-222222222222", "parent_run_id": RUN["id"], "run_type": "llm",
    "name": "ChatOpenAI", "error": "RateLimitError()", "status": "error", "prompt_tokens": 5,
    "completion_tokens": 0, "start_time": "2024-05-29T13:46:20", "outputs": None,
    "extra": {"metadata": {"ls_model_name": "gpt-4o", "ls_provider": "openai"}},
    "events": [{"name": "new_token", "time": "2024-05-29T13:46:20.5", "kwargs": {"token": "h"}}],
}  # fmt: skip
FEEDBACK = {
    "id": "f-1", "run_id": CALL["id"], "key": "correct", "score": 1, "value": "yes", "comment": "Yes.",
    "correction": {"answer": "better"}, "feedback_source": {"type": "app", "user_id": "ana"},
    "created_at": "2024-06-01T00:00:00",
}  # fmt: skip


def langsmith_sources(folder: Path) -> dict[str, Any]:
    feedback = [FEEDBACK, {"id": "f-2", "run_id": RUN["id"], "key": "length", "score": 3.0, "comment": None},
                {"id": "f-3", "run_id": RUN["id"], "key": "tone", "value": "warm",
                 "feedback_source": {"type": "api", "metadata": {"__run": {"run_id": "e"}}}}]  # fmt: skip
    texts = [
        {key: json.dumps(value) if isinstance(value, (dict, list)) else value for key, value in run.items()}
        for run in (CALL, RUN)
    ]
    return {
        "lines": write_lines(folder / "all.jsonl", *feedback, CALL, RUN),
        "tree": write_lines(folder / "tree.jsonl", {**RUN, "child_runs": [CALL], "feedback": feedback}),
        "text columns": [
            write_lines(folder / "f.jsonl", *feedback),
            write_lines(folder / "runs.jsonl", *texts),
        ],
    }


@pytest.mark.parametrize("how", ["lines", "tree", "text columns"])
def test_langsmith_runs_and_feedback(how: str, tmp_path: Path) -> None:
    with Store(":memory:") as store:
        report = import_traces(store, langsmith_sources(tmp_path)[how])
        assert (report.format, report.traces, report.assessments) == ("langsmith", 1, 4), str(report)
        [trace] = store.iter_traces()
    assert (trace.id, trace.inputs, trace.outputs) == (RUN["id"], {"question": "hi"}, {"answer": "hello"})
    assert (trace.session, trace.tags) == ("th-1", {"prod": "true"})
    assert trace.metadata["langsmith.project"] == "project-uuid"
    root, call = trace.spans
    assert (root["name"], call["parent_id"]) == ("agent", root["span_id"])
    assert call["status"] == {"code": "ERROR", "message": "RateLimitError()"}
    assert call["attributes"]["gen_ai.request.model"] == "gpt-4o"
    assert call["events"][0]["attributes"] == {"kwargs": {"token": "h"}}
    words = {word.id: word for word in trace.assessments}
    assert (words["f-1"].value, words["f-1"].source_id, words["f-1"].metadata["score"]) == ("yes", "ana", 1)
    assert (words["f-1-correction"].kind, words["f-1-correction"].value) == (
        "expectation",
        {"answer": "better"},
    )
    assert (words["f-2"].value, words["f-2"].source_type) == (3.0, "CODE")
    assert words["f-3"].source_type == "LLM_JUDGE"


def test_feedback_without_its_run_is_reported(tmp_path: Path) -> None:
    with Store(":memory:") as store:
        report = import_traces(store, write_lines(tmp_path / "a.jsonl", RUN, {**FEEDBACK, "run_id": "other"}))
        assert [one.reason for one in report.skipped] == ["no run 'other' for its 1 feedback: give all files"]
