"""Queues made, opened, listed and deleted."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, DataError, NotFound, UsageError
from judge_opt.core.text import nearest, printable
from judge_opt.labels.queues.items import add_items
from judge_opt.labels.queues.order import Embeds, Key, OrderName, Scores, order_traces
from judge_opt.labels.queues.queue import LabelQueue
from judge_opt.labels.queues.tables import queue_schemas, queues
from judge_opt.labels.schema_rows import LabelSchema, find_schema
from judge_opt.traces import recorded
from judge_opt.traces.json_text import dump_json, load_json
from judge_opt.traces.rows import time_text
from judge_opt.traces.schema import Trace, now, short_text

if TYPE_CHECKING:
    from judge_opt.traces.store import Store


def create_queue(
    name: str,
    traces: Iterable[Trace | str],
    schemas: Sequence[LabelSchema | str] | LabelSchema | str,
    *,
    raters_per_item: int = 3,
    order: OrderName | Scores = "random",
    lease_seconds: float = 1800.0,
    blind: bool = True,
    seed: int = 0,
    key: Key | None = None,
    embedder: Embeds | None = None,
    store: "Store | None" = None,
) -> LabelQueue:
    """Makes a queue of items for people to label.

    Args:
        name: unique in the store.
        traces: traces or their ids; a trace that the store does not have is added to it.
        schemas: the questions, each a label schema, its id or its name; the same for every item.
        raters_per_item: how many people label each item. Two are the least that shows disagreement; three
            have a majority.
        order: given, random, stratified, uncertainty, disagreement, distance, or a function from traces to
            scores, highest first; see `judge_opt.labels.queues.order`.
        lease_seconds: how long an item is kept for the rater who took it, greater than 0.
        blind: hide the judges' verdicts until the label is in. A rater who sees a verdict agrees with it
            more often, and his labels then say little about the judge.
        seed: of the shuffle, and of what it decides in other orders.
        key, embedder: for the orders that need them.

    Raises:
        Conflict: there is a queue of this name.
        NotFound: no such schema, or no such trace.
        UsageError, DataError: an argument is wrong, there is no trace, or what the order needs is missing.
    """
    from judge_opt.traces.default_store import current_store

    store = current_store() if store is None else store
    _check(name, raters_per_item, lease_seconds)
    asked = [schemas] if isinstance(schemas, (LabelSchema, str)) else list(schemas)
    if not asked:
        raise UsageError(f"Queue {name!r} asks for nothing.", "Give at least one label schema.")
    with store.database.read() as connection:
        questions = [find_schema(connection, one) for one in asked]
    if len({one.name for one in questions}) < len(questions):
        raise UsageError(f"Queue {name!r} asks for one label twice.", "Name each schema once.")
    ids = _stored(store, traces)
    if not ids:
        raise DataError(f"Queue {name!r} has no items.", "Give at least one trace.")
    names = [label for one in questions for label in (one.name, *one.judges)]
    with store.database.read() as connection:
        loaded = recorded.load_by_id(connection, ids)
    if missing := [one for one in ids if one not in loaded]:
        raise NotFound(
            f"There is no trace {missing[0]!r} in {store.database.name}.{nearest(missing[0], loaded)}",
            "Add the trace first, or check the id.",
        )
    listed = [loaded[one] for one in ids]
    labelled = []
    if order == "distance":
        known = {said.trace.id: said.trace for one in questions for said in store.labelled_traces(one.name)}
        labelled = list(known.values())
    places = order_traces(
        listed, order, names=names, seed=seed, key=key, embedder=embedder, labelled=labelled
    )
    how = {
        "order": order if isinstance(order, str) else getattr(order, "__name__", "function"),
        "seed": seed,
        "key": key if isinstance(key, str) else None if key is None else getattr(key, "__name__", "function"),
    }
    row = {
        "id": f"lq-{uuid4().hex}",
        "name": name,
        "raters_per_item": raters_per_item,
        "lease_seconds": float(lease_seconds),
        "blind": bool(blind),
        "order_json": dump_json(how, f"The order of queue {name!r}"),
        "created": time_text(now()),
    }
    with store.database.write() as connection:
        if connection.execute(sa.select(queues.c.seq).where(queues.c.name == name)).first():
            raise Conflict(
                f"There is a queue {name!r} already.", "Open it with get_queue, or choose another name."
            )
        seq = int(connection.execute(sa.insert(queues).values(**row).returning(queues.c.seq)).scalar_one())
        connection.execute(
            sa.insert(queue_schemas),
            [{"queue_seq": seq, "position": n, "schema_id": one.id} for n, one in enumerate(questions)],
        )
        add_items(connection, seq, [ids[n] for n in places], store.database.name)
    return get_queue(name, store=store)


def get_queue(name: str, *, store: "Store | None" = None) -> LabelQueue:
    """Opens a queue.

    Raises:
        NotFound: there is none of this name; the nearest is suggested.
    """
    from judge_opt.traces.default_store import current_store

    store = current_store() if store is None else store
    with store.database.read() as connection:
        row = connection.execute(sa.select(queues).where(queues.c.name == name)).mappings().first()
        if row is None:
            names = sorted(connection.execute(sa.select(queues.c.name)).scalars())
            raise NotFound(
                f"There is no queue {name!r} in {store.database.name}.{nearest(str(name), names)}",
                f"Queues: {', '.join(names)[:300] or 'none yet'}.",
            )
        return _queue(connection, row, store)


def list_queues(*, store: "Store | None" = None) -> list[LabelQueue]:
    """Every queue, in the order in which they were made."""
    from judge_opt.traces.default_store import current_store

    store = current_store() if store is None else store
    with store.database.read() as connection:
        found = connection.execute(sa.select(queues).order_by(queues.c.seq)).mappings().all()
        return [_queue(connection, row, store) for row in found]


def delete_queue(name: str, *, store: "Store | None" = None) -> None:
    """Removes a queue with its leases and its refused labels. The labels that were stored stay.

    Raises:
        NotFound: there is none of this name.
    """
    queue = get_queue(name, store=store)
    with queue.store.database.write() as connection:
        connection.execute(sa.delete(queues).where(queues.c.seq == queue.seq))


def _check(name: Any, raters_per_item: Any, lease_seconds: Any) -> None:
    short_text("queue name", name)
    if printable(name) != name or name != name.strip() or "\n" in name or "\t" in name:
        raise UsageError(
            f"The queue name {ascii(name)[:80]} holds characters that cannot be seen.",
            "Use letters that can be read and typed.",
        )
    if not isinstance(raters_per_item, int) or isinstance(raters_per_item, bool) or raters_per_item < 1:
        raise UsageError(f"raters_per_item={raters_per_item!r} is no number of people.", "Use 1 or more.")
    if not isinstance(lease_seconds, (int, float)) or not 0 < lease_seconds < math.inf:
        raise UsageError(f"lease_seconds={lease_seconds!r} is no time.", "Use seconds, greater than 0.")


def _stored(store: "Store", traces: Iterable[Trace | str]) -> list[str]:
    """The ids, each once; traces that the store does not have are added."""
    ids: dict[str, None] = {}
    pending: list[Trace] = []
    for one in traces:
        if isinstance(one, Trace):
            pending.append(one)
        elif not isinstance(one, str):
            raise UsageError(f"A {type(one).__name__} is no trace.", "Pass traces, or their ids.")
        ids[one.id if isinstance(one, Trace) else one] = None
    with store.database.read() as connection:
        there = recorded.load_by_id(connection, [trace.id for trace in pending])
    store.add_traces(trace for trace in pending if there.get(trace.id) != trace)
    return list(ids)


def _queue(connection: sa.Connection, row: sa.RowMapping, store: "Store") -> LabelQueue:
    asked = connection.execute(
        sa.select(queue_schemas.c.schema_id)
        .where(queue_schemas.c.queue_seq == row["seq"])
        .order_by(queue_schemas.c.position)
    ).scalars()
    return LabelQueue(
        store=store,
        seq=row["seq"],
        id=row["id"],
        name=row["name"],
        schemas=tuple(find_schema(connection, schema_id) for schema_id in asked.all()),
        raters_per_item=row["raters_per_item"],
        lease_seconds=row["lease_seconds"],
        blind=row["blind"],
        order=load_json(row["order_json"]),
    )
