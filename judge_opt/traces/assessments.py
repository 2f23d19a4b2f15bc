"""How assessments are written: one current word a source, every earlier one kept."""

from collections.abc import Sequence
from typing import Any, cast, get_args

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, NotFound
from judge_opt.core.text import nearest
from judge_opt.traces import rows
from judge_opt.traces.label_rules import load_rules
from judge_opt.traces.schema import Assessment, AssessmentSource, SourceType, choice, now
from judge_opt.traces.tables import assessments, traces

_ROWS = sa.select(assessments, traces.c.id.label("trace_id")).join(traces)


def source_of(source: Any, rater: str | None) -> AssessmentSource:
    """A source from what callers pass: an AssessmentSource, an object like it, a source type, or None for
    a human. `rater` replaces the source's id."""
    if source is None:
        source = "HUMAN"
    if isinstance(source, str):
        choice("source type", source, get_args(SourceType))
        return AssessmentSource(cast(SourceType, str(source)), "default" if rater is None else rater)
    kind = getattr(source, "source_type", "HUMAN")
    return AssessmentSource(
        cast(SourceType, getattr(kind, "value", kind)),
        rater if rater is not None else getattr(source, "source_id", None) or "default",
    )


def trace_number(connection: sa.Connection, trace_id: str, name: str) -> int:
    """The row number of a trace.

    Raises:
        NotFound: the store has no such trace.
    """
    found = connection.execute(sa.select(traces.c.seq).where(traces.c.id == trace_id)).scalar()
    if found is None:
        sample = connection.execute(sa.select(traces.c.id).limit(1000)).scalars()
        raise NotFound(
            f"There is no trace {trace_id!r} in {name}.{nearest(trace_id, sample)}",
            "Add the trace first, or check the id.",
        )
    return int(found)


def insert(
    connection: sa.Connection, trace_seq: int, assessment: Assessment, *, strict: bool = True
) -> Assessment:
    """Stores `assessment` as its source's current word on the trace and the name; the earlier one stays as
    history. One with an error replaces nothing: a failure is never a verdict.

    Args:
        strict: see `LabelRules.checked`.

    Returns:
        The assessment as stored, with `supersedes` set and its value in the type of its label schema.

    Raises:
        DataError: a label schema does not allow the value or the name.
    """
    assessment = load_rules(connection).checked(assessment, strict=strict)
    row = rows.assessment_row(assessment)
    keys = ("kind", "name", "source_type", "source_id")
    same = sa.and_(
        assessments.c.trace_seq == trace_seq,
        assessments.c.is_current,
        *(assessments.c[key] == row[key] for key in keys),
    )
    supersedes = assessment.supersedes
    if assessment.error is None:
        earlier = connection.execute(sa.select(assessments.c.id).where(same)).scalar()
        supersedes = supersedes or earlier
        connection.execute(sa.update(assessments).where(same).values(is_current=False))
    current = assessment.error is None
    connection.execute(
        sa.insert(assessments).values(
            **row, trace_seq=trace_seq, supersedes=supersedes, retracted=None, is_current=current
        )
    )
    return get(connection, assessment.id)


def get(connection: sa.Connection, assessment_id: str) -> Assessment:
    """One assessment.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(_ROWS.where(assessments.c.id == assessment_id)).mappings().first()
    if row is None:
        raise NotFound(
            f"There is no assessment {assessment_id!r}.", "List a trace's with Store.assessments(trace_id)."
        )
    return rows.assessment_of(row)


def of_trace(connection: sa.Connection, trace_seq: int, name: str | None) -> list[Assessment]:
    """A trace's assessments, oldest first, history included."""
    query = _ROWS.where(assessments.c.trace_seq == trace_seq).order_by(assessments.c.seq)
    if name is not None:
        query = query.where(assessments.c.name == name)
    return [rows.assessment_of(row) for row in connection.execute(query).mappings()]


def of_traces(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, tuple[Assessment, ...]]:
    """Row number of a trace to its assessments, oldest first, history included. At most 500 numbers."""
    query = _ROWS.where(assessments.c.trace_seq.in_(numbers)).order_by(assessments.c.seq)
    found: dict[int, list[Assessment]] = {number: [] for number in numbers}
    for row in connection.execute(query).mappings():
        found[row["trace_seq"]].append(rows.assessment_of(row))
    return {number: tuple(words) for number, words in found.items()}


def replace(connection: sa.Connection, old: Assessment, new: Assessment) -> Assessment:
    """Stores `new` in the place of `old`, whoever made `old`.

    Raises:
        Conflict: `old` was retracted or replaced in the meantime.
    """
    if not old.votes:
        raise Conflict(
            f"Assessment {old.id!r} is not current: it was retracted, replaced, or has an error.",
            "Read the trace's assessments again and override the current one.",
        )
    connection.execute(sa.update(assessments).where(assessments.c.id == old.id).values(is_current=False))
    seq = trace_number(connection, old.trace_id, "the store")
    return insert(connection, seq, new, strict=False)  # the name was good enough for the old one


def retract(connection: sa.Connection, assessment_id: str) -> Assessment:
    """Takes an assessment back. Doing so twice changes nothing. What it had replaced stays replaced."""
    get(connection, assessment_id)
    connection.execute(
        sa.update(assessments)
        .where(assessments.c.id == assessment_id, assessments.c.retracted.is_(None))
        .values(retracted=rows.time_text(now()), is_current=False)
    )
    return get(connection, assessment_id)


def votes(connection: sa.Connection, kind: str, name: str | None, source_type: str) -> list[Assessment]:
    """Every assessment that votes, in the order in which they were written."""
    query = _ROWS.where(
        assessments.c.kind == kind,
        assessments.c.source_type == source_type,
        assessments.c.is_current,
        assessments.c.retracted.is_(None),
        assessments.c.error.is_(None),
    ).order_by(assessments.c.seq)
    if name is not None:
        query = query.where(assessments.c.name == name)
    return [rows.assessment_of(row) for row in connection.execute(query).mappings()]


def names(connection: sa.Connection, kind: str) -> list[str]:
    """The distinct assessment names, sorted."""
    query = sa.select(assessments.c.name).where(assessments.c.kind == kind).distinct()
    return sorted(connection.execute(query).scalars())
