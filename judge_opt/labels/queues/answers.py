"""What a rater answers, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from judge_opt.labels.queues.tables import queue_items, queue_turns
from judge_opt.labels.queues.task import Task
from judge_opt.labels.queues.turns import Turn, seconds
from judge_opt.traces.json_text import load_json
from judge_opt.traces.schema import Assessment, new_assessment_id, now
from judge_opt.traces.tables import traces


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a rater's answer became.

    Attributes:
        labels: the assessments, in the order of the schemas.
        judge_verdicts: what judges said of the item: shown now that the label is in.
        late: the lease had ended, but the item still needed a label.
    """

    trace_id: str
    labels: tuple[Assessment, ...]
    judge_verdicts: tuple[Assessment, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Labels that came too late for a place; kept, and of no effect."""

    trace_id: str
    rater: str
    labels: Mapping[str, Any]
    rationale: Any
    when: datetime


def seen_before(turn: Turn, payload: str) -> Literal["new", "same", "other"]:
    """What the rater says now against what is stored of him."""
    if turn.state != "done":
        return "new"
    return "same" if turn.labels_json == payload else "other"


def assessment_of(
    task: Task, turn: Turn, at: str, name: str, value: Any, rationale: str | None, facts: Mapping[str, Any]
) -> Assessment:
    """One label as it is stored."""
    return Assessment(
        id=new_assessment_id(),
        trace_id=task.trace_id,
        kind=next(schema.type for schema in task.schemas if schema.name == name),
        name=name,
        value=value,
        rationale=rationale,
        source_type="HUMAN",
        source_id=task.rater,
        created=now(),
        metadata={**facts, "seconds": round(seconds(turn.taken, at), 1)},
    )


def refused_of(connection: sa.Connection, queue: int) -> list[Refused]:
    """A queue's refused labels, in the order of their items."""
    found = connection.execute(
        sa.select(queue_turns, traces.c.id.label("trace_id"))
        .join(queue_items, queue_items.c.seq == queue_turns.c.item_seq)
        .join(traces, traces.c.seq == queue_items.c.trace_seq)
        .where(queue_items.c.queue_seq == queue, queue_turns.c.state == "refused")
        .order_by(queue_items.c.position, queue_turns.c.rater)
    ).all()
    out = []
    for row in found:
        said = load_json(row.labels_json)
        when = datetime.fromisoformat(row.updated)
        out.append(Refused(row.trace_id, row.rater, said["labels"], said["rationale"], when))
    return out
