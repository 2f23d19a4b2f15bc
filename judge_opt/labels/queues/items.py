"""The items of a queue: which, in which order, and how many labels each has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from judge_opt.labels.queues.tables import queue_items
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded
from judge_opt.traces.tables import traces


@dataclass(frozen=True, slots=True)
class Item:
    """One item; `labelled` counts the raters whose labels are in."""

    seq: int
    trace_id: str
    labelled: int


def items_of(connection: sa.Connection, queue: int) -> list[Item]:
    """A queue's items in order."""
    query = (
        sa.select(queue_items.c.seq, traces.c.id, queue_items.c.labelled)
        .join(traces, traces.c.seq == queue_items.c.trace_seq)
        .where(queue_items.c.queue_seq == queue)
        .order_by(queue_items.c.position, queue_items.c.seq)
    )
    return [
        Item(int(seq), str(trace_id), int(labelled)) for seq, trace_id, labelled in connection.execute(query)
    ]


def set_order(connection: sa.Connection, items: Sequence[Item]) -> None:
    """Puts items in this order."""
    this = sa.update(queue_items).where(queue_items.c.seq == sa.bindparam("item"))
    values = [{"item": item.seq, "place": place} for place, item in enumerate(items)]
    if values:
        connection.execute(this.values(position=sa.bindparam("place")), values)


def add_items(connection: sa.Connection, queue: int, trace_ids: Iterable[str], name: str) -> int:
    """Puts traces at the end of a queue; those that it has are left where they are."""
    last = connection.execute(
        sa.select(sa.func.max(queue_items.c.position)).where(queue_items.c.queue_seq == queue)
    ).scalar()
    there = set(
        connection.execute(
            sa.select(queue_items.c.trace_seq).where(queue_items.c.queue_seq == queue)
        ).scalars()
    )
    numbers: dict[str, int] = {}
    wanted = list(dict.fromkeys(trace_ids))
    for some in recorded.chunks(wanted):
        query = sa.select(traces.c.id, traces.c.seq).where(traces.c.id.in_(some))
        numbers |= {str(trace_id): int(seq) for trace_id, seq in connection.execute(query)}
    rows: list[dict[str, int]] = []
    for trace_id in wanted:
        seq = numbers.get(trace_id)
        if seq is None:
            seq = words.trace_number(connection, trace_id, name)  # raises, with the nearest id
        if seq not in there:
            place = (-1 if last is None else int(last)) + 1 + len(rows)
            rows.append({"queue_seq": queue, "trace_seq": seq, "position": place, "labelled": 0})
    if rows:
        connection.execute(sa.insert(queue_items), rows)
    return len(rows)
