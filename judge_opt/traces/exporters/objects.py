"""A trace and an assessment as JSON objects: what the exporters write and `importers.rows` reads."""

from typing import Any

from judge_opt.traces.schema import Assessment, Trace


def trace_object(trace: Trace) -> dict[str, Any]:
    """The whole trace, with the assessments that it was read with, history included."""
    return {
        "id": trace.id,
        "inputs": trace.inputs,
        "outputs": trace.outputs,
        "expectations": dict(trace.expectations),
        "session": trace.session,
        "tags": dict(trace.tags),
        "metadata": dict(trace.metadata),
        "spans": [dict(span) for span in trace.spans],
        "created": trace.created.isoformat(),
        "assessments": [assessment_object(word) for word in trace.assessments],
    }


def assessment_object(word: Assessment) -> dict[str, Any]:
    """The whole assessment, with its place in the history."""
    return {
        "id": word.id,
        "kind": word.kind,
        "name": word.name,
        "value": word.value,
        "rationale": word.rationale,
        "source_type": str(word.source_type),
        "source_id": word.source_id,
        "created": word.created.isoformat(),
        "supersedes": word.supersedes,
        "retracted": word.retracted,
        "error": word.error,
        "metadata": dict(word.metadata),
        "current": word.current,
    }
