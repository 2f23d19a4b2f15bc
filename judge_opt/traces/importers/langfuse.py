"""Langfuse exports: a trace downloaded as JSON, a session, or the files of a table or blob storage export.

Traces, observations and scores may stand in one file or in several, in any order, in the API's camelCase
or the export's snake_case: they are put together by trace id. Observations become spans, scores become
assessments: ANNOTATION is a person, EVAL a model, API code. A score of no trace is reported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from judge_opt.core.errors import JudgeOptError
from judge_opt.traces.bulk import Record
from judge_opt.traces.foreign import nanoseconds, span_id_of
from judge_opt.traces.importers.files import Found
from judge_opt.traces.importers.grouping import Parts
from judge_opt.traces.importers.report import Skipped
from judge_opt.traces.importers.rows import said
from judge_opt.traces.importers.values import when
from judge_opt.traces.openinference import our_attributes
from judge_opt.traces.schema import MAX_NAME, Assessment, SourceType, Trace, now
from judge_opt.traces.spans import INPUT, OUTPUT, SPAN_TYPE

_SOURCES: Mapping[str, SourceType] = {"ANNOTATION": "HUMAN", "EVAL": "LLM_JUDGE", "API": "CODE"}
_TYPES = {
    "GENERATION": "LLM", "AGENT": "AGENT", "TOOL": "TOOL", "CHAIN": "CHAIN", "RETRIEVER": "RETRIEVER",
    "EMBEDDING": "EMBEDDING", "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR",
}  # fmt: skip
_FACTS = ("user_id", "release", "version", "environment", "public", "bookmarked", "project_id")
_SCORE_FACTS = (
    "observation_id",
    "config_id",
    "queue_id",
    "evaluator_id",
    "execution_trace_id",
    "environment",
)


def records_of_langfuse(found: Iterable[Found]) -> Iterator[Record | Skipped]:
    """The traces of Langfuse export values, each when everything was read."""
    with Parts() as parts:
        for line, value in found:
            if isinstance(value, Skipped):
                yield value
                continue
            try:
                for trace_id, kind, body in _parts(value):
                    parts.add(trace_id, kind, line, body)
            except ValueError as error:
                yield Skipped(line, "", str(error))
            except (TypeError, AttributeError) as error:
                yield Skipped(line, "", f"it is not as Langfuse exports it ({error})")
        for trace_id, some in parts.by_trace():
            yield _record(trace_id, some)


def _parts(value: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
        return
    if not isinstance(value, Mapping):
        raise ValueError("it is no object")
    row = {_snake(str(key)): inner for key, inner in value.items()}
    if isinstance(row.get("trace"), Mapping):  # {"trace": {...}, "observations": [...], "scores": [...]}
        row = {**{_snake(key): inner for key, inner in row["trace"].items()}, **_without(row, "trace")}
    if isinstance(row.get("data"), list) and "id" not in row:  # a page of the API
        yield from _parts(row["data"])
    elif isinstance(row.get("traces"), list):
        yield from _parts(row["traces"])
    elif "data_type" in row or "string_value" in row or ("source" in row and "value" in row):
        yield _owner(row, "the score is of no trace"), "score", row
    elif "parent_observation_id" in row or ("trace_id" in row and "type" in row):
        yield _owner(row, "the observation is of no trace"), "observation", row
    elif isinstance(row.get("id"), str) and ("timestamp" in row or "observations" in row):
        trace_id = row["id"]
        for name, kind in (("observations", "observation"), ("scores", "score")):
            for one in row.get(name) or ():
                if isinstance(one, Mapping):  # a list of traces has ids only here
                    yield trace_id, kind, {_snake(str(key)): inner for key, inner in one.items()}
        yield trace_id, "trace", _without(row, "observations", "scores")
    else:
        listed = ", ".join(row)[:200]
        raise ValueError(f"it is no trace, observation or score of Langfuse; found: {listed}")


def _owner(row: Mapping[str, Any], otherwise: str) -> str:
    trace_id = row.get("trace_id")
    if not isinstance(trace_id, str) or not trace_id:
        raise ValueError(otherwise)
    return trace_id


def _record(trace_id: str, parts: Sequence[tuple[str, int, Any]]) -> Record | Skipped:
    line = parts[0][1]
    try:
        traces = [body for kind, _, body in parts if kind == "trace"]
        observations = [body for kind, _, body in parts if kind == "observation"]
        if not traces and not observations:
            return Skipped(
                line, trace_id, f"no trace {trace_id!r} for its {len(parts)} scores: give all files"
            )
        trace = _trace(trace_id, traces[-1] if traces else {}, observations)
        words = {
            word.id: word for word in (_word(trace_id, body) for kind, _, body in parts if kind == "score")
        }
        return Record(trace, sorted(words.values(), key=lambda word: word.created), line)
    except JudgeOptError as error:
        return Skipped(line, trace_id, error.message)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        return Skipped(line, trace_id, f"it is not as Langfuse exports it ({error})")


def _trace(trace_id: str, row: Mapping[str, Any], observations: Sequence[Mapping[str, Any]]) -> Trace:
    known = {str(one.get("id")) for one in observations}
    ordered = sorted({str(one.get("id")): one for one in observations}.values(), key=_start)
    root: Mapping[str, Any] = next(
        (one for one in ordered if str(one.get("parent_observation_id") or "") not in known), {}
    )
    facts = {**{key: root.get(key) for key in (*_FACTS, "session_id", "tags")}, **_filled(row)}
    name = row.get("name") or root.get("trace_name")
    metadata = (
        dict(_read(row.get("metadata")) or {}) if isinstance(_read(row.get("metadata")), Mapping) else {}
    )
    metadata |= {f"langfuse.{key}": facts[key] for key in _FACTS if facts.get(key) not in (None, "")}
    if name:
        metadata["langfuse.name"] = name
    session = facts.get("session_id")
    created = when(row.get("timestamp") or root.get("start_time"), "timestamp")
    return Trace(
        id=trace_id,
        inputs=_first(row.get("input"), root.get("input")),
        outputs=_first(row.get("output"), root.get("output")),
        session=str(session)[:MAX_NAME] if session else None,
        tags={str(tag)[:MAX_NAME]: "true" for tag in _read(facts.get("tags")) or ()},
        metadata=metadata,
        spans=tuple(_span(one, known) for one in ordered),
        created=created or now(),
    )


def _span(row: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    parent = str(row.get("parent_observation_id") or "")
    usage = row.get("usage_details") or row.get("usage") or {}
    usage = _read(usage) if isinstance(_read(usage), Mapping) else {}
    kind = str(row.get("type") or "").upper()
    attributes = {
        INPUT: _read(row.get("input")),
        OUTPUT: _read(row.get("output")),
        SPAN_TYPE: _TYPES.get(kind),
        "gen_ai.request.model": row.get("provided_model_name") or row.get("model"),
        "gen_ai.usage.input_tokens": usage.get("input", row.get("prompt_tokens")),
        "gen_ai.usage.output_tokens": usage.get("output", row.get("completion_tokens")),
        "llm.invocation_parameters": _read(row.get("model_parameters")) or None,
        "metadata": _read(row.get("metadata")) or None,
        "langfuse.observation.id": row.get("id"),
        "langfuse.observation.type": kind or None,
        "langfuse.observation.level": row.get("level"),
    }
    failed = row.get("level") == "ERROR"
    return {
        "span_id": span_id_of(str(row.get("id"))),
        "parent_id": span_id_of(parent) if parent in known else None,
        "name": str(row.get("name") or ""),
        "kind": "INTERNAL",
        "start_ns": nanoseconds(row.get("start_time"), "start_time") or 0,
        "end_ns": nanoseconds(row.get("end_time"), "end_time"),
        "status": {"code": "ERROR" if failed else "UNSET", "message": str(row.get("status_message") or "")},
        "attributes": our_attributes(
            {key: value for key, value in attributes.items() if value not in (None, "")}
        ),
        "events": [],
    }


def _word(trace_id: str, row: Mapping[str, Any]) -> Assessment:
    value, text = row.get("value"), row.get("string_value")
    match str(row.get("data_type") or "").upper():
        case "BOOLEAN" if isinstance(value, (int, float)):
            value = bool(value)
        case "CATEGORICAL" | "TEXT" | "":
            value = text if text is not None else value
    source_type = _SOURCES.get(str(row.get("source") or "API").upper(), "CODE")
    who = row.get("author_user_id") or (row.get("evaluator_id") if source_type == "LLM_JUDGE" else None)
    return said(
        trace_id,
        str(row.get("name") or "score"),
        value,
        source_type,
        str(who or ("default" if source_type == "HUMAN" else row.get("name") or "default")),
        when(row.get("timestamp") or row.get("created_at"), "timestamp") or now(),
        rationale=row.get("comment") or None,
        error="the score has no value" if value is None else None,
        metadata={key: row[key] for key in _SCORE_FACTS if row.get(key)},
        id=str(row["id"]) if row.get("id") else None,
    )


def _start(row: Mapping[str, Any]) -> tuple[int, str]:
    return nanoseconds(row.get("start_time"), "start_time") or 0, str(row.get("id"))


def _read(value: Any) -> Any:
    """JSON that the export wrote as text; other text as it is."""
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        import json

        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _first(*values: Any) -> Any:
    return next((_read(value) for value in values if value not in (None, "")), None)


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value not in (None, "")}


def _without(row: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


def _snake(key: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()
