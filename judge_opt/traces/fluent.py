"""Traces and assessments as module functions over the default store, under the names that MLflow gave them.

    judge_opt.log_feedback(trace_id=trace_id, name="is_correct", value=True, rationale="It cites the policy.")
    traces = judge_opt.search_traces("feedback.is_correct = false AND tags.env = 'prod'")

Each does what the method of the same name on `Store` does, on `current_store()`. Reading waits for traces that
are still being written in the background.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from judge_opt.core.errors import NotFound
from judge_opt.traces.default_store import current_store, set_store, use_store
from judge_opt.traces.recorder import (
    carry_context,
    configure_tracing,
    get_current_active_span,
    get_last_active_trace_id,
    update_current_trace,
)
from judge_opt.traces.schema import Assessment, AssessmentSource, SourceType, Trace, TracePage
from judge_opt.traces.store import Store
from judge_opt.traces.tracing import start_span, trace
from judge_opt.traces.writer import flush_traces, writer

__all__ = [
    "carry_context",
    "configure_tracing",
    "current_store",
    "delete_assessment",
    "delete_trace_tag",
    "delete_traces",
    "flush_traces",
    "get_assessment",
    "get_current_active_span",
    "get_last_active_trace_id",
    "get_trace",
    "log_assessment",
    "log_expectation",
    "log_feedback",
    "override_feedback",
    "retract",
    "search_traces",
    "set_store",
    "set_trace_tag",
    "start_span",
    "trace",
    "update_assessment",
    "update_current_trace",
    "use_store",
]

Source = AssessmentSource | SourceType | None


def get_trace(trace_id: str) -> Trace:
    """One trace, with its spans and assessments.

    Raises:
        NotFound: there is none of that id.
        IntegrityError: it was changed on disk.
    """
    return _store().get_trace(trace_id)


@overload
def search_traces(
    filter_string: str | None = None,
    *,
    max_results: int = 100,
    order_by: str | Iterable[str] | None = None,
    page_token: str | None = None,
    return_type: Literal["list"] = "list",
    session: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> TracePage: ...
@overload
def search_traces(
    filter_string: str | None = None,
    *,
    max_results: int = 100,
    order_by: str | Iterable[str] | None = None,
    page_token: str | None = None,
    return_type: Literal["pandas", "arrow"],
    session: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Any: ...
def search_traces(
    filter_string: str | None = None,
    *,
    max_results: int = 100,
    order_by: str | Iterable[str] | None = None,
    page_token: str | None = None,
    return_type: Literal["list", "pandas", "arrow"] = "list",
    session: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Any:
    """The traces that meet a condition: a list with `next_page`, or one page as a table.

    See `Store.search_traces` for the arguments and docs/traces.md for the language.

    Args:
        return_type: "list", "pandas" (a DataFrame) or "arrow" (a pyarrow Table).
    """
    return _store().search_traces(
        filter_string,
        max_results=max_results,
        order_by=order_by,
        page=page_token,
        return_type=return_type,
        session=session,
        tags=tags,
    )


def log_feedback(
    *,
    trace_id: str,
    name: str = "feedback",
    value: Any,
    source: Source = None,
    rationale: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Assessment:
    """Stores one judgement of a trace; a source's earlier one of the same name is kept as history.

    Args:
        source: who judged. Without one it is CODE, as in MLflow: what a program logs is a person's label
            only where it says so. (`Store.log_feedback`, which people's labels go through, assumes HUMAN.)
        rationale: "" is none.

    Raises:
        NotFound: there is no such trace.
        DataError, UsageError: a value that cannot be stored.
    """
    return _store().log_feedback(
        trace_id, name, value, rationale or None, source or "CODE", metadata=metadata
    )


def log_expectation(
    *,
    trace_id: str,
    name: str,
    value: Any,
    source: Source = None,
    rationale: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Assessment:
    """Stores what would have been right; a person says so, unless `source` says otherwise."""
    return _store().log_expectation(trace_id, name, value, rationale or None, source, metadata=metadata)


def log_assessment(trace_id: str, assessment: Any) -> Assessment:
    """Stores what a judge returned, or any object with a name and a value: see `Store.log_assessment`."""
    return _store().log_assessment(trace_id, assessment)


def get_assessment(trace_id: str, assessment_id: str) -> Assessment:
    """One assessment of a trace, also a replaced or retracted one.

    Raises:
        NotFound: no such trace, or no such assessment of it.
    """
    return _of_trace(trace_id, assessment_id)


def override_feedback(
    *,
    trace_id: str,
    assessment_id: str,
    value: Any,
    rationale: str | None = None,
    source: Source = None,
    metadata: Mapping[str, Any] | None = None,
) -> Assessment:
    """A person's correction of one current assessment, whoever made it; the old one stays as history.

    Raises:
        NotFound: no such trace, or no such assessment of it.
        Conflict: it is not current any more.
    """
    _of_trace(trace_id, assessment_id)
    return _store().override(assessment_id, value, rationale or None, source=source, metadata=metadata)


def update_assessment(
    trace_id: str, assessment_id: str, value: Any, rationale: str | None = None
) -> Assessment:
    """The same source's new word in the place of its old one, which stays as history.

    Raises:
        NotFound: no such trace, or no such assessment of it.
        Conflict: it is not current any more.
    """
    old = _of_trace(trace_id, assessment_id)
    return _store().override(assessment_id, value, rationale or None, source=old.source)


def retract(trace_id: str, assessment_id: str) -> Assessment:
    """Takes an assessment back: it never votes again.

    Raises:
        NotFound: no such trace, or no such assessment of it.
    """
    _of_trace(trace_id, assessment_id)
    return _store().retract(assessment_id)


def delete_assessment(trace_id: str, assessment_id: str) -> None:
    """MLflow's name for `retract`: nothing is erased, so that a lineage which names it can be read."""
    retract(trace_id, assessment_id)


def set_trace_tag(trace_id: str, key: str, value: str) -> None:
    """Sets one tag of a trace, new or not.

    Raises:
        NotFound: there is no such trace.
    """
    _store().set_tag(trace_id, key, value)


def delete_trace_tag(trace_id: str, key: str) -> None:
    """Removes one tag of a trace.

    Raises:
        NotFound: there is no such trace, or it has no such tag.
    """
    _store().delete_tag(trace_id, key)


def delete_traces(trace_ids: Iterable[str]) -> int:
    """Erases traces with all that was said of them; judges that learned from them keep what they learned.

    Returns:
        How many there were.
    """
    return _store().delete_traces(trace_ids)


def _store() -> Store:
    """The default store, with everything in it that was recorded before now."""
    if writer().queued():
        flush_traces()
    return current_store()


def _of_trace(trace_id: str, assessment_id: str) -> Assessment:
    for word in _store().assessments(trace_id):
        if word.id == assessment_id:
            return word
    raise NotFound(
        f"Trace {trace_id!r} has no assessment {assessment_id!r}.",
        "List them with get_trace(trace_id).search_assessments(all=True).",
    )
