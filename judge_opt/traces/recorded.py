"""How traces are written and read, in sets: one query for the traces, one for their tags and one for
their assessments."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

from judge_opt.core.errors import Conflict
from judge_opt.traces import assessments, rows
from judge_opt.traces.schema import Assessment, Trace
from judge_opt.traces.tables import trace_tags, traces

T = TypeVar("T")

_AT_ONCE = 500  # values in one IN (...): every database takes this many


def insert(connection: sa.Connection, pending: Sequence[tuple[dict[str, Any], dict[str, str]]]) -> int:
    """Stores rows with their tags, and returns how many were new.

    Raises:
        Conflict: an id is taken by other content, or by the same content with other tags.
    """
    added = 0
    known: dict[str, tuple[str, dict[str, str]]] = {}
    for ids in chunks([row["id"] for row, _ in pending]):
        query = sa.select(traces.c.seq, traces.c.id, traces.c.content_hash).where(traces.c.id.in_(ids))
        found = {seq: (str(trace_id), str(digest)) for seq, trace_id, digest in connection.execute(query)}
        tagged = tags_of(connection, found)
        known |= {trace_id: (digest, tagged[seq]) for seq, (trace_id, digest) in found.items()}
    for row, tags in pending:
        if row["id"] in known:
            check_same(row, tags, *known[row["id"]])
            continue
        seq = connection.execute(sa.insert(traces).values(**row).returning(traces.c.seq)).scalar_one()
        if tags:
            values = [{"trace_seq": seq, "key": key, "value": value} for key, value in tags.items()]
            connection.execute(sa.insert(trace_tags), values)
        known[row["id"]] = (row["content_hash"], tags)
        added += 1
    return added


def load(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[int, Trace]]:
    """The traces that a query on `traces` finds, in its order, each with its row number.

    Raises:
        IntegrityError: one of them was changed on disk.
    """
    found = connection.execute(query).mappings().all()
    numbers = [row["seq"] for row in found]
    tags = tags_of(connection, numbers)
    said: dict[int, tuple[Assessment, ...]] = {}
    for some in chunks(numbers):
        said |= assessments.of_traces(connection, some)
    return [(row["seq"], rows.trace_of(row, tags[row["seq"]], said[row["seq"]])) for row in found]


def load_by_id(connection: sa.Connection, ids: Iterable[str]) -> dict[str, Trace]:
    """Trace id to trace, for those that exist."""
    found: dict[str, Trace] = {}
    for some in chunks(ids):
        query = sa.select(traces).where(traces.c.id.in_(some))
        found |= {trace.id: trace for _, trace in load(connection, query)}
    return found


def delete(connection: sa.Connection, ids: Iterable[str]) -> int:
    """Erases traces; their tags and assessments go with them. Returns how many there were."""
    gone = 0
    for some in chunks(ids):
        gone += connection.execute(sa.delete(traces).where(traces.c.id.in_(some))).rowcount
    return gone


def check_same(row: dict[str, Any], tags: dict[str, str], digest: str, stored: dict[str, str]) -> None:
    """Raises Conflict where a trace that is stored under `digest` and `stored` tags differs from `row`."""
    if digest != row["content_hash"]:
        raise Conflict(
            f"Trace {row['id']!r} is already stored with other content.",
            "A stored trace does not change: give the new one another id.",
        )
    other = [key for key, value in tags.items() if stored.get(key) != value]
    if other:
        raise Conflict(
            f"Trace {row['id']!r} is already stored with another value of tag {other[0]!r}.",
            "Change a stored trace's tag with Store.set_tag.",
        )


def tags_of(connection: sa.Connection, numbers: Iterable[int]) -> defaultdict[int, dict[str, str]]:
    """Row number to the trace's tags."""
    tags: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for some in chunks(numbers):
        query = sa.select(trace_tags).where(trace_tags.c.trace_seq.in_(some)).order_by(trace_tags.c.key)
        for seq, key, value in connection.execute(query):
            tags[seq][key] = value
    return tags


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Lists of at most 500 values."""
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
