"""OTLP JSON and Phoenix (OpenInference) exports: spans in any order, put together as traces.

A value of the file is an OTLP request (`resourceSpans`), one OTLP span, or one Phoenix span. A Phoenix span
may carry `annotations`: those become assessments of its trace.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from judge_opt.core.errors import JudgeOptError
from judge_opt.core.text import nearest
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.files import Found
from judge_opt.traces.importers.grouping import Parts
from judge_opt.traces.importers.report import Skipped
from judge_opt.traces.importers.rows import said
from judge_opt.traces.importers.values import when
from judge_opt.traces.openinference import span_of_openinference, trace_of_spans
from judge_opt.traces.otlp_json import span_of_otlp, spans_of_request
from judge_opt.traces.schema import Assessment, SourceType, now

_SOURCES: Mapping[str, SourceType] = {"HUMAN": "HUMAN", "LLM": "LLM_JUDGE", "CODE": "CODE"}
_KEYS = ("resourceSpans", "spanId", "context", "context.span_id")


def records_of_spans(found: Iterable[Found]) -> Iterator[Record | Skipped]:
    """The traces of a file's spans, each when all of the file was read."""
    with Parts() as parts:
        for line, value in found:
            if isinstance(value, Skipped):
                yield value
                continue
            try:
                for trace_id, kind, body in _parts(value):
                    if kind == "annotation":
                        parts.add_to_step(trace_id, kind, line, body)
                    else:
                        step = body["span_id"] if kind == "span" else None
                        parts.add(trace_id, kind, line, body, step)
            except JudgeOptError as error:
                yield Skipped(line, "", error.message)
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                yield Skipped(line, "", f"it is not of the shape of a span ({error})")
        for trace_id, some in parts.by_trace():
            yield _record(trace_id, some)


def _parts(value: Any) -> Iterator[tuple[str, str, Any]]:
    """Trace id, kind and body of what one value holds; for an annotation, the span's id."""
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
    elif not isinstance(value, Mapping):
        raise ValueError("no object")
    elif "resourceSpans" in value or "resource_spans" in value:
        for trace_id, span, resource in spans_of_request(value):
            yield trace_id, "span", span
            if resource:
                yield trace_id, "resource", resource
    elif "context" in value or "context.span_id" in value:
        trace_id, span = span_of_openinference(value)
        yield trace_id, "span", span
        for annotation in value.get("annotations") or ():
            yield span["span_id"], "annotation", {**annotation, "span_id": span["span_id"]}
    elif "annotator_kind" in value:  # a table of annotations beside the table of spans
        step = str(value.get("span_id") or value.get("context.span_id") or "")
        yield step, "annotation", {**value, "span_id": step}
    elif "spanId" in value or "span_id" in value:
        trace_id, span = span_of_otlp(value)
        yield trace_id, "span", span
    elif isinstance(value.get("data"), list):  # a page of Phoenix's REST API
        yield from _parts(value["data"])
    else:
        keys = [str(key) for key in value]
        hint = next((nearest(key, keys) for key in _KEYS if nearest(key, keys)), "")
        raise ValueError(f"none of {', '.join(_KEYS)}; found: {', '.join(keys)[:200]}.{hint}")


def _record(trace_id: str, parts: list[tuple[str, int, Any]]) -> Record | Skipped:
    line = parts[0][1]
    try:
        spans = [body for kind, _, body in parts if kind == "span"]
        if not spans:
            return Skipped(
                line, trace_id, f"no span {trace_id!r} for its {len(parts)} annotations in the file"
            )
        resource = next((body for kind, _, body in parts if kind == "resource"), None)
        trace = trace_of_spans(trace_id, spans, resource=resource)
        words = [_word(trace.id, body) for kind, _, body in parts if kind == "annotation"]
        return Record(trace, words, line)
    except JudgeOptError as error:
        return Skipped(line, trace_id, error.message)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        return Skipped(line, trace_id, f"its spans are not of the known shape ({error})")


def _word(trace_id: str, annotation: Mapping[str, Any]) -> Assessment:
    """A Phoenix annotation: its label where it has one, else its score."""
    result = annotation.get("result") or annotation
    value = result.get("label") if result.get("label") is not None else result.get("score")
    kind = str(annotation.get("annotator_kind") or "HUMAN").upper()
    metadata = {"span_id": annotation["span_id"], **(annotation.get("metadata") or {})}
    if result.get("label") is not None and result.get("score") is not None:
        metadata["score"] = result["score"]
    return said(
        trace_id,
        str(annotation.get("name") or annotation.get("annotation_name") or "annotation"),
        value,
        _SOURCES.get(kind, "CODE"),
        str(annotation.get("identifier") or annotation.get("user_id") or "default"),
        when(annotation.get("created_at"), "created_at") or now(),
        rationale=result.get("explanation"),
        error="the annotation has neither label nor score" if value is None else None,
        metadata=metadata,
        id=str(annotation["id"]) if annotation.get("id") else None,
    )
