"""LangSmith exports: runs (JSON, JSON Lines, or the Parquet files of a bulk export) and feedback.

Runs and feedback may stand in one file or in several, in any order; runs become spans, put together by
`trace_id`, and feedback becomes assessments. A correction becomes an expectation. Feedback whose run is
not in the files is reported.
"""

import json
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

_SOURCES: Mapping[str, SourceType] = {
    "app": "HUMAN",
    "model": "LLM_JUDGE",
    "auto_eval": "LLM_JUDGE",
    "evaluator": "LLM_JUDGE",
    "api": "CODE",
}
_TYPES = {
    "llm": "LLM", "tool": "TOOL", "chain": "CHAIN", "retriever": "RETRIEVER", "embedding": "EMBEDDING",
    "prompt": "CHAIN", "parser": "CHAIN",
}  # fmt: skip
_THREAD = ("session_id", "thread_id", "conversation_id")  # metadata keys that make a thread in LangSmith


def records_of_langsmith(found: Iterable[Found]) -> Iterator[Record | Skipped]:
    """The traces of LangSmith runs and feedback, each when everything was read."""
    with Parts() as parts:
        for line, value in found:
            if isinstance(value, Skipped):
                yield value
                continue
            try:
                for kind, body in _parts(value):
                    if kind == "run":
                        parts.add(str(body.get("trace_id") or body["id"]), kind, line, body, str(body["id"]))
                    else:
                        parts.add_to_step(str(body.get("run_id") or body["trace_id"]), kind, line, body)
            except ValueError as error:
                yield Skipped(line, "", str(error))
            except (TypeError, AttributeError, KeyError) as error:
                yield Skipped(line, "", f"it is not as LangSmith exports it ({error})")
        for trace_id, some in parts.by_trace():
            yield _record(trace_id, some)


def _parts(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
    elif not isinstance(value, Mapping):
        raise ValueError("it is no object")
    elif isinstance(value.get("runs"), list):  # a page of the API
        yield from _parts(value["runs"])
    elif "key" in value and ("run_id" in value or "trace_id" in value):
        yield "feedback", dict(value)
    elif "id" in value and ("run_type" in value or "dotted_order" in value):
        row = {key: inner for key, inner in value.items() if key not in ("child_runs", "feedback")}
        yield "run", row
        yield from _parts(value.get("child_runs") or [])
        for one in value.get("feedback") or ():
            yield "feedback", {"run_id": value["id"], **one}
    else:
        listed = ", ".join(map(str, value))[:200]
        raise ValueError(f"it is no run and no feedback of LangSmith; found: {listed}")


def _record(trace_id: str, parts: Sequence[tuple[str, int, Any]]) -> Record | Skipped:
    line = parts[0][1]
    try:
        runs = {str(body["id"]): body for kind, _, body in parts if kind == "run"}
        if not runs:
            return Skipped(
                line, trace_id, f"no run {trace_id!r} for its {len(parts)} feedback: give all files"
            )
        trace = _trace(trace_id, list(runs.values()))
        words = [word for kind, _, body in parts if kind == "feedback" for word in _words(trace_id, body)]
        once = {word.id: word for word in words}
        return Record(trace, sorted(once.values(), key=lambda word: word.created), line)
    except JudgeOptError as error:
        return Skipped(line, trace_id, error.message)
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        return Skipped(line, trace_id, f"it is not as LangSmith exports it ({error})")


def _trace(trace_id: str, runs: list[Mapping[str, Any]]) -> Trace:
    known = {str(run["id"]) for run in runs}
    spans = sorted((_span(run, known) for run in runs), key=lambda span: (span["start_ns"], span["span_id"]))
    root = next((run for run in runs if str(run["id"]) == trace_id), None) or next(
        run for run in runs if str(run.get("parent_run_id") or "") not in known
    )
    metadata = dict(_metadata(root))
    thread = next((str(metadata[key]) for key in _THREAD if metadata.get(key)), None)
    facts = {"name": root.get("name"), "project": root.get("session_id"), "status": root.get("status")}
    metadata |= {f"langsmith.{key}": value for key, value in facts.items() if value}
    return Trace(
        id=trace_id,
        inputs=_read(root.get("inputs")),
        outputs=_read(root.get("outputs")),
        session=thread[:MAX_NAME] if thread else None,
        tags={str(tag)[:MAX_NAME]: "true" for tag in _read(root.get("tags")) or ()},
        metadata=metadata,
        spans=tuple(spans),
        created=when(root.get("start_time"), "start_time") or now(),
    )


def _span(run: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    parent = str(run.get("parent_run_id") or "")
    metadata = _metadata(run)
    kind = str(run.get("run_type") or "").lower()
    error = run.get("error")
    attributes = {
        INPUT: _read(run.get("inputs")),
        OUTPUT: _read(run.get("outputs")),
        SPAN_TYPE: _TYPES.get(kind),
        "gen_ai.request.model": metadata.get("ls_model_name"),
        "gen_ai.provider.name": metadata.get("ls_provider"),
        "gen_ai.usage.input_tokens": run.get("prompt_tokens") if kind == "llm" else None,
        "gen_ai.usage.output_tokens": run.get("completion_tokens") if kind == "llm" else None,
        "gen_ai.tool.name": run.get("name") if kind == "tool" else None,
        "metadata": metadata or None,
        "langsmith.run.id": str(run["id"]),
        "langsmith.run_type": kind or None,
        "tag.tags": _read(run.get("tags")) or None,
    }
    return {
        "span_id": span_id_of(str(run["id"])),
        "parent_id": span_id_of(parent) if parent in known else None,
        "name": str(run.get("name") or ""),
        "kind": "INTERNAL",
        "start_ns": nanoseconds(run.get("start_time"), "start_time") or 0,
        "end_ns": nanoseconds(run.get("end_time"), "end_time"),
        "status": {"code": "ERROR" if error else "UNSET", "message": str(error or "")},
        "attributes": our_attributes({key: value for key, value in attributes.items() if value is not None}),
        "events": [
            {
                "name": str(event.get("name") or ""),
                "time_ns": nanoseconds(event.get("time"), "event") or 0,
                "attributes": {key: value for key, value in event.items() if key not in ("name", "time")},
            }
            for event in _read(run.get("events")) or ()
        ],
    }


def _words(trace_id: str, row: Mapping[str, Any]) -> Iterator[Assessment]:
    value = row.get("value") if row.get("value") is not None else row.get("score")
    source = row.get("feedback_source") or {}
    details = source.get("metadata") or {}
    kind = str(source.get("type") or "api")
    source_type = "LLM_JUDGE" if "__run" in details else _SOURCES.get(kind, "CODE")
    who = source.get("user_id") or source.get("user_name") or details.get("user_id")
    name = str(row["key"])
    created = when(row.get("created_at"), "created_at") or now()
    metadata = {"run_id": str(row["run_id"])} if row.get("run_id") else {}
    if row.get("value") is not None and row.get("score") is not None:
        metadata["score"] = row["score"]
    identity = str(row["id"]) if row.get("id") else None
    correction = row.get("correction")
    if value is not None or correction is None:
        yield said(
            trace_id, name, value, source_type, str(who or kind), created,
            rationale=row.get("comment") or None,
            error="the feedback has neither value nor score" if value is None else None,
            metadata=metadata, id=identity,
        )  # fmt: skip
    if correction is not None:
        yield said(
            trace_id, name, correction, source_type, str(who or kind), created, kind="expectation",
            metadata=metadata, id=f"{identity}-correction" if identity else None,
        )  # fmt: skip


def _metadata(run: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = _read(run.get("extra")) or {}
    found = extra.get("metadata") or run.get("metadata") or {}
    return found if isinstance(found, Mapping) else {}


def _read(value: Any) -> Any:
    """JSON that a Parquet export holds as text; other values as they are."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
