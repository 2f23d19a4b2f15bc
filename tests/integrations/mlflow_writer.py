"""Runs where MLflow is installed: writes a tracking database with MLflow, and what MLflow reads back of it.

python mlflow_writer.py sqlite:///folder/mlflow.db folder/expected.json
"""

import json
import os
import sys

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true", GIT_PYTHON_REFRESH="quiet", MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false"
)

import mlflow
from mlflow.entities import AssessmentError, AssessmentSource, SpanEvent

HOSTILE = "شكرا \u202egnitar\u202c 👩‍👩‍👧 e\u0301 é {{ x }} =1+1 <script>\r\n\ttab"


def source(kind, identity):
    return AssessmentSource(source_type=kind, source_id=identity)


@mlflow.trace(span_type="TOOL", name="search")
def search(query):
    return [{"page_content": f"about {query}", "metadata": {"doc_uri": "a.md"}}]


@mlflow.trace(span_type="CHAIN")
def application(question, options=None):
    search(question)
    with mlflow.start_span("model", span_type="CHAT_MODEL") as span:
        span.set_inputs({"messages": [{"role": "user", "content": question}]})
        span.set_attribute("mlflow.llm.model", "m-1")
        span.set_attribute(
            "mlflow.chat.tokenUsage", {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
        )
        span.add_event(SpanEvent("first token", attributes={"after_ms": 7}))
        span.set_outputs({"choices": [None, 1, 2.5, True], "text": HOSTILE})
    mlflow.update_current_trace(
        tags={"colour": "red", "odd key/ü": HOSTILE},
        metadata={"mlflow.trace.session": f"session {len(question) % 2}", "mlflow.trace.user": "u-1"},
    )
    return {"answer": f"About {question}", "options": options}


@mlflow.trace
def failing(number):
    raise ValueError(f"no {number}")


def label(traces):
    """Every kind of word that MLflow knows, on some of the traces."""
    for number, trace_id in enumerate(traces[:8]):
        for rater in ("ana", "bo", "eve")[: 1 + number % 3]:
            mlflow.log_feedback(
                trace_id=trace_id,
                name="correct",
                value=["yes", "no"][(number + len(rater)) % 2],
                rationale=f"{rater} says so. {HOSTILE}",
                source=source("HUMAN", rater),
            )
        mlflow.log_feedback(
            trace_id=trace_id,
            name="correct",
            value=True,
            source=source("LLM_JUDGE", "openai:/gpt"),
            metadata={"temperature": "0"},
        )
        mlflow.log_feedback(
            trace_id=trace_id, name="length", value=number, source=source("CODE", "length.py")
        )
    for value in (4, 3.5, [1, "two"], {"a": 1.0, "b": None}):
        mlflow.log_feedback(
            trace_id=traces[0], name=f"of {type(value).__name__}", value=value, source=source("CODE", "types")
        )
    mlflow.log_feedback(
        trace_id=traces[1],
        name="correct",
        error=AssessmentError("TIMEOUT", "no reply", "Traceback ..."),
        source=source("LLM_JUDGE", "slow"),
    )
    mlflow.log_expectation(
        trace_id=traces[0], name="answer", value={"facts": ["a", HOSTILE]}, source=source("HUMAN", "ana")
    )
    mlflow.log_expectation(trace_id=traces[2], name="answer", value="ja", source=source("HUMAN", "bo"))
    first = mlflow.log_feedback(
        trace_id=traces[3], name="polite", value="no", source=source("LLM_JUDGE", "openai:/gpt")
    )
    mlflow.override_feedback(
        trace_id=traces[3],
        assessment_id=first.assessment_id,
        value="yes",
        rationale="It is polite.",
        source=source("HUMAN", "chief"),
    )
    twice = [
        mlflow.log_feedback(trace_id=traces[4], name="tone", value=value, source=source("HUMAN", "ana"))
        for value in ("cold", "warm")
    ]
    deleted = mlflow.log_feedback(trace_id=traces[5], name="tone", value="x", source=source("HUMAN", "ana"))
    mlflow.delete_assessment(trace_id=traces[5], assessment_id=deleted.assessment_id)
    mlflow.update_assessment(
        trace_id=traces[4],
        assessment_id=twice[1].assessment_id,
        assessment=mlflow.entities.Feedback(name="tone", value="hot", rationale="Changed."),
    )


def as_expected(trace):
    """What MLflow itself says of a trace."""
    words = []
    for one in trace.info.assessments:
        feedback = one.feedback is not None
        error = one.feedback.error if feedback else None
        words.append(
            {
                "id": one.assessment_id,
                "kind": "feedback" if feedback else "expectation",
                "name": one.name,
                "value": one.feedback.value if feedback else one.expectation.value,
                "error": None if error is None else [error.error_code, error.error_message],
                "rationale": one.rationale,
                "source": [one.source.source_type, one.source.source_id],
                "created_ms": one.create_time_ms,
                "overrides": one.overrides,
                "valid": one.valid,
                "metadata": one.metadata or {},
            }
        )
    spans = [
        {
            "id": span.span_id,
            "parent": span.parent_id,
            "name": span.name,
            "type": span.span_type,
            "inputs": span.inputs,
            "outputs": span.outputs,
            "status": span.status.status_code.value,
            "start_ns": span.start_time_ns,
            "end_ns": span.end_time_ns,
            "events": [[event.name, event.attributes] for event in span.events],
        }
        for span in trace.data.spans
    ]
    info = trace.info
    return {
        "id": info.trace_id,
        "created_ms": info.request_time,
        "state": info.state.value,
        "duration_ms": info.execution_duration,
        "tags": info.tags,
        "metadata": info.trace_metadata,
        "assessments": words,
        "spans": spans,
    }


def main(uri, target):
    mlflow.set_tracking_uri(uri)
    traces = []
    for name, questions in (("support", 8), ("other", 2)):
        mlflow.set_experiment(name)
        for number in range(questions):
            application("?" * number + HOSTILE, options=[number, None, {"deep": [True]}])
            traces.append(mlflow.get_last_active_trace_id())
    try:
        failing(3)
    except ValueError:
        traces.append(mlflow.get_last_active_trace_id())
    label(traces)
    found = [as_expected(mlflow.get_trace(trace_id)) for trace_id in traces]
    with open(target, "w", encoding="ascii") as stream:
        json.dump({"mlflow": mlflow.__version__, "traces": found}, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
