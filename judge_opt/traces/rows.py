"""Traces and assessments as rows, and back, with a content hash that is checked on every read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import sqlalchemy as sa

from judge_opt.core.errors import DataError, IntegrityError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.traces.json_text import dump_json, load_json
from judge_opt.traces.schema import Assessment, Kind, Trace, choice, short_text

_JSON_PARTS = ("inputs", "outputs", "expectations", "metadata", "spans")
_ASSESSMENT_PARTS = (
    "id", "kind", "name", "value_json", "rationale", "source_type", "source_id", "created", "error",
    "metadata_json",
)  # fmt: skip


def trace_row(trace: Trace) -> dict[str, Any]:
    """The row of a trace, without its tags.

    Raises:
        UsageError, DataError: an id that is too long, or a value that JSON cannot carry; named.
    """
    short_text("trace id", trace.id)
    if trace.session is not None:
        short_text("session", trace.session)
    what = f"Trace {trace.id!r} "
    for part in ("expectations", "metadata", "tags"):
        if not isinstance(getattr(trace, part), Mapping):
            raise DataError(f"{what}{part} must be an object.", "Pass a dict with text keys.")
    if not isinstance(trace.spans, (list, tuple)) or not all(isinstance(s, Mapping) for s in trace.spans):
        raise DataError(f"{what}spans must be a list of objects.", "Pass a list of dicts.")
    row: dict[str, Any] = {"id": trace.id, "session": trace.session}
    for part in _JSON_PARTS:
        value = getattr(trace, part)
        if part in ("expectations", "metadata"):
            value = dict(value)
        elif part == "spans":
            value = [dict(span) for span in value]
        row[f"{part}_json"] = dump_json(value, what + part)
    row["content_hash"] = _trace_hash(row)
    row["created"] = time_text(trace.created)
    row["name"] = trace.name
    row["status"] = trace.status
    row["execution_time_ms"] = trace.execution_time_ms
    return row


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, if keys and values are text."""
    for key, value in tags.items():
        short_text("tag key", key)
        if not isinstance(value, str):
            raise UsageError(
                f"The value of tag {key!r} must be text, got {type(value).__name__}.", "Pass a str."
            )
    return dict(tags)


def trace_of(row: sa.RowMapping, tags: Mapping[str, str], words: tuple[Assessment, ...] = ()) -> Trace:
    """The trace of a row, with its tags and assessments.

    Raises:
        IntegrityError: the stored content does not match its hash.
    """
    if _trace_hash(row) != row["content_hash"]:
        raise IntegrityError(
            f"Trace {row['id']!r} was changed or damaged on disk: its content does not match its hash.",
            "Restore the database from a backup, or delete the trace and add it again.",
        )
    parts = {part: load_json(row[f"{part}_json"]) for part in _JSON_PARTS}
    parts["spans"] = tuple(parts["spans"])
    return Trace(
        id=row["id"],
        session=row["session"],
        tags=dict(tags),
        created=_moment(row),
        assessments=words,
        **parts,
    )


def assessment_row(assessment: Assessment) -> dict[str, Any]:
    """The row of an assessment, without the trace's number.

    Raises:
        UsageError, DataError: a name, source or value that cannot be stored; named.
    """
    choice("assessment kind", assessment.kind, get_args(Kind))
    short_text("assessment name", assessment.name)
    what = f"Assessment {assessment.name!r} of trace {assessment.trace_id!r}"
    if assessment.error is None and assessment.value is None:
        raise DataError(
            f"{what} has no value.", "Give a value, or the error that explains why there is none."
        )
    if assessment.rationale is not None and not isinstance(assessment.rationale, str):
        raise DataError(f"{what}: the rationale must be text.", "Pass a str or None.")
    row: dict[str, Any] = {
        "id": assessment.id,
        "kind": assessment.kind,
        "name": assessment.name,
        "value_json": dump_json(assessment.value, f"{what} value"),
        "rationale": assessment.rationale,
        "source_type": assessment.source_type,
        "source_id": assessment.source_id,
        "created": time_text(assessment.created),
        "error": assessment.error,
        "metadata_json": dump_json(dict(assessment.metadata), f"{what} metadata"),
    }
    row["content_hash"] = _assessment_hash(row, assessment.trace_id)
    return row


def assessment_of(row: sa.RowMapping) -> Assessment:
    """The assessment of a row that also has its `trace_id`.

    Raises:
        IntegrityError: the stored content does not match its hash.
    """
    if _assessment_hash(row, row["trace_id"]) != row["content_hash"]:
        raise IntegrityError(
            f"Assessment {row['id']!r} ({row['name']!r} of trace {row['trace_id']!r}) was changed or damaged "
            "on disk: its content does not match its hash.",
            "Restore the database from a backup, or retract it and label the trace again.",
        )
    return Assessment(
        id=row["id"],
        trace_id=row["trace_id"],
        kind=row["kind"],
        name=row["name"],
        value=load_json(row["value_json"]),
        rationale=row["rationale"],
        source_type=row["source_type"],
        source_id=row["source_id"],
        created=_moment(row),
        supersedes=row["supersedes"],
        retracted=row["retracted"] is not None,
        error=row["error"],
        metadata=load_json(row["metadata_json"]),
        current=row["is_current"],
    )


def time_text(moment: datetime) -> str:
    """ISO 8601 in UTC, of fixed width: text order is time order.

    Raises:
        UsageError: the time has no time zone.
    """
    if moment.tzinfo is None:
        raise UsageError(f"The time {moment} has no time zone.", "Use datetime.now(timezone.utc).")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _moment(row: Mapping[str, Any] | sa.RowMapping) -> datetime:
    try:
        return datetime.fromisoformat(row["created"])
    except (ValueError, TypeError):
        raise IntegrityError(
            f"The time of {row['id']!r} was changed or damaged on disk.",
            "Restore the database from a backup.",
        ) from None


_Row = Mapping[str, Any] | sa.RowMapping


def _trace_hash(row: _Row) -> str:
    return content_hash([row["id"], row["session"], *(row[f"{part}_json"] for part in _JSON_PARTS)])


def _assessment_hash(row: _Row, trace_id: str) -> str:
    return content_hash([trace_id, *(row[part] for part in _ASSESSMENT_PARTS)])
