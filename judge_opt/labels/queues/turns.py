"""Who has which item: leases, inside one transaction of the only writer, so that no two raters race.

An item takes `raters_per_item` raters. A place is held by labels that are in and by leases that have not
ended. Times are this machine's clock: machines that share a queue must agree on the time better than a lease
is long.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from judge_opt.labels.queues.tables import queue_items, queue_turns

State = Literal["leased", "done", "skipped", "released", "refused"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One rater with one item; `expires` and `taken` as they are stored."""

    item: int
    trace_seq: int
    rater: str
    state: State | None
    taken: str
    expires: str
    labels_json: str | None


def find(connection: sa.Connection, queue: int, item: int, rater: str) -> Turn | None:
    """The rater's turn with an item, with state None where he never had it; None where the queue has no such
    item (any more)."""
    query = (
        sa.select(queue_items.c.seq, queue_items.c.trace_seq, *_OF_TURN)
        .outerjoin(queue_turns, _mine(rater))
        .where(queue_items.c.queue_seq == queue, queue_items.c.seq == item)
    )
    row = connection.execute(query).first()
    return None if row is None else _turn(row, rater)


def open_turn(connection: sa.Connection, queue: int, rater: str, moment: str) -> Turn | None:
    """The item that the rater holds now."""
    query = (
        sa.select(queue_items.c.seq, queue_items.c.trace_seq, *_OF_TURN)
        .join(queue_turns, _mine(rater))
        .where(
            queue_items.c.queue_seq == queue,
            queue_turns.c.state == "leased",
            queue_turns.c.expires > moment,
        )
        .order_by(queue_items.c.position)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _turn(row, rater)


def next_free(connection: sa.Connection, queue: int, rater: str, moment: str, places: int) -> Turn | None:
    """The first item with a free place that the rater has neither labelled nor skipped; one that he gave
    back comes last."""
    others = queue_turns.alias("others")
    held = (
        sa.select(sa.func.count())
        .select_from(others)
        .where(
            others.c.item_seq == queue_items.c.seq,
            others.c.rater != rater,
            others.c.state == "leased",
            others.c.expires > moment,
        )
        .scalar_subquery()
    )
    query = (
        sa.select(queue_items.c.seq, queue_items.c.trace_seq, *_OF_TURN)
        .outerjoin(queue_turns, _mine(rater))
        .where(
            queue_items.c.queue_seq == queue,
            queue_items.c.labelled < places,
            sa.or_(queue_turns.c.state.is_(None), queue_turns.c.state.in_(("leased", "released", "refused"))),
            queue_items.c.labelled + held < places,
        )
        .order_by(sa.case((queue_turns.c.state == "released", 1), else_=0), queue_items.c.position)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _turn(row, rater)


def places_left(connection: sa.Connection, item: int, rater: str, moment: str, places: int) -> int:
    """Places of an item that neither labels nor other raters' leases hold."""
    labelled = connection.execute(
        sa.select(queue_items.c.labelled).where(queue_items.c.seq == item)
    ).scalar_one()
    held = connection.execute(
        sa.select(sa.func.count())
        .select_from(queue_turns)
        .where(
            queue_turns.c.item_seq == item,
            queue_turns.c.rater != rater,
            queue_turns.c.state == "leased",
            queue_turns.c.expires > moment,
        )
    ).scalar_one()
    return places - int(labelled) - int(held)


def put(
    connection: sa.Connection,
    turn: Turn,
    state: State,
    moment: str,
    *,
    expires: str | None = None,
    labels_json: str | None = None,
) -> None:
    """Stores the turn's new state. A lease that begins sets when the item was taken."""
    values: dict[str, Any] = {"state": state, "updated": moment}
    if expires is not None:
        values["expires"] = expires
    if state == "leased" and turn.state != "leased":
        values["taken"] = moment
    if labels_json is not None:
        values["labels_json"] = labels_json
    if turn.state is None:
        new = {"taken": moment, "expires": moment, **values}
        connection.execute(sa.insert(queue_turns).values(item_seq=turn.item, rater=turn.rater, **new))
    else:
        mine = sa.and_(queue_turns.c.item_seq == turn.item, queue_turns.c.rater == turn.rater)
        connection.execute(sa.update(queue_turns).where(mine).values(**values))
    if state == "done":
        connection.execute(
            sa.update(queue_items)
            .where(queue_items.c.seq == turn.item)
            .values(labelled=queue_items.c.labelled + 1)
        )


def done_by(connection: sa.Connection, queue: int, rater: str) -> int:
    """How many items of the queue the rater has labelled."""
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(queue_turns.join(queue_items))
            .where(
                queue_items.c.queue_seq == queue, queue_turns.c.rater == rater, queue_turns.c.state == "done"
            )
        ).scalar_one()
    )


def seconds(earlier: str, later: str) -> float:
    """Between two stored times."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


_OF_TURN = (queue_turns.c.state, queue_turns.c.taken, queue_turns.c.expires, queue_turns.c.labels_json)


def _mine(rater: str) -> sa.ColumnElement[bool]:
    return sa.and_(queue_turns.c.item_seq == queue_items.c.seq, queue_turns.c.rater == rater)


def _turn(row: Any, rater: str) -> Turn:
    return Turn(
        int(row.seq),
        int(row.trace_seq),
        rater,
        row.state,
        row.taken or "",
        row.expires or "",
        row.labels_json,
    )
