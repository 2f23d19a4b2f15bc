"""Which traces meet a condition."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from judge_opt.core.errors import UsageError
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded
from judge_opt.traces.schema import Assessment, LabelledTrace, SourceType, Trace, TracePage
from judge_opt.traces.tables import assessments, trace_tags, traces


def query(
    *,
    name: str | None,
    session: str | None,
    tags: Mapping[str, str] | None,
    max_results: int,
    page: str | None,
) -> sa.Select[Any]:
    """The query of `Store.search_traces`, for one row more than a page: it tells whether another follows."""
    if max_results < 1:
        raise UsageError(f"max_results={max_results} gives no page.", "Use 1 or more.")
    found = sa.select(traces).order_by(traces.c.seq).limit(max_results + 1)
    if page is not None:
        if not (page.isascii() and page.isdigit() and len(page) < 19):
            raise UsageError(f"page={page[:60]!r} is no page.", "Pass next_page of the page before.")
        found = found.where(traces.c.seq > int(page))
    if session is not None:
        found = found.where(traces.c.session == session)
    for key, value in (tags or {}).items():
        tagged = sa.select(trace_tags.c.trace_seq).where(trace_tags.c.key == key, trace_tags.c.value == value)
        found = found.where(traces.c.seq.in_(tagged))
    if name is not None:
        named = sa.select(assessments.c.trace_seq).where(assessments.c.name == name, assessments.c.is_current)
        found = found.where(traces.c.seq.in_(named))
    return found


def page_of(found: Sequence[tuple[int, Trace]], max_results: int) -> TracePage:
    """One page of what `query` found."""
    more = len(found) > max_results
    shown = [trace for _, trace in found[:max_results]]
    return TracePage(shown, str(found[max_results - 1][0]) if more else None)


def labelled(connection: sa.Connection, name: str, source_type: SourceType) -> list[LabelledTrace]:
    """Every trace with feedback of this name that votes, sorted by trace id."""
    feedback = words.votes(connection, "feedback", name, source_type)
    expected = words.votes(connection, "expectation", None, "HUMAN")
    found = recorded.load_by_id(connection, {word.trace_id for word in feedback})
    said: dict[str, list[Assessment]] = {trace_id: [] for trace_id in sorted(found)}
    for word in (*feedback, *expected):
        if word.trace_id in said:
            said[word.trace_id].append(word)
    return [LabelledTrace(found[trace_id], tuple(all_of_it)) for trace_id, all_of_it in said.items()]
