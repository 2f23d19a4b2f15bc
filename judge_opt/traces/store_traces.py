"""The traces of a store: adding, reading, searching, tagging, erasing."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, overload

import sqlalchemy as sa

from judge_opt.core.errors import NotFound
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded, rows, search
from judge_opt.traces.bulk import Added, OnError, Record, add_records
from judge_opt.traces.database import Database
from judge_opt.traces.schema import Trace, TracePage, choice
from judge_opt.traces.tables import trace_tags, traces

BATCH_ROWS = 500
BATCH_CHARACTERS = 16_000_000


class StoredTraces:
    """What `judge_opt.traces.Store` does with traces."""

    database: Database

    def add_trace(self, trace: Trace) -> str:
        """Stores a trace and returns its id. A trace that is there already, with the same content, is left
        as it is.

        Raises:
            Conflict: the id is taken by a trace with other content or other tags.
            DataError, UsageError: a value that cannot be stored; nothing was written.
        """
        self.add_traces([trace])
        return trace.id

    def add_traces(self, batch: Iterable[Trace]) -> int:
        """Stores traces from any iterable, in transactions of at most 500 rows or 16 MB of JSON: memory
        stays flat however long the iterable is.

        Returns:
            How many were new.

        Raises:
            Conflict, DataError, UsageError: as `add_trace`. The transaction of the bad trace is undone;
                earlier ones stand, and adding the whole again is safe.
        """
        added = size = 0
        pending: list[tuple[dict[str, Any], dict[str, str]]] = []
        for trace in batch:
            row, tags = rows.trace_row(trace), rows.check_tags(trace.tags)
            pending.append((row, tags))
            size += sum(len(value) for value in row.values() if isinstance(value, str))
            if len(pending) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                added += self._add(pending)
                pending, size = [], 0
        return added + (self._add(pending) if pending else 0)

    def add_records(self, records: Iterable[Record], on_error: OnError | None = None) -> Added:
        """Stores traces together with their assessments, from any iterable, in few transactions; what is
        there already is left as it is: see `judge_opt.traces.bulk`. Importers write through this.

        Args:
            on_error: told of each record that cannot be added; without it the error is raised.

        Raises:
            Conflict, DataError, UsageError: without `on_error`; the transaction of the bad record is undone.
        """
        return add_records(self.database.write, records, on_error)

    def get_trace(self, trace_id: str) -> Trace:
        """One trace.

        Raises:
            NotFound: there is none of that id.
            IntegrityError: it was changed on disk.
        """
        with self.database.read() as connection:
            seq = words.trace_number(connection, trace_id, self.database.name)
            return recorded.load(connection, sa.select(traces).where(traces.c.seq == seq))[0][1]

    @overload
    def search_traces(
        self,
        filter_string: str | None = None,
        *,
        name: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
        order_by: str | Iterable[str] | None = None,
        max_results: int = 100,
        page: str | None = None,
        return_type: Literal["list"] = "list",
    ) -> TracePage: ...
    @overload
    def search_traces(
        self,
        filter_string: str | None = None,
        *,
        name: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
        order_by: str | Iterable[str] | None = None,
        max_results: int = 100,
        page: str | None = None,
        return_type: str,
    ) -> Any: ...
    def search_traces(
        self,
        filter_string: str | None = None,
        *,
        name: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
        order_by: str | Iterable[str] | None = None,
        max_results: int = 100,
        page: str | None = None,
        return_type: str = "list",
    ) -> Any:
        """The traces that meet every condition, in the order in which they were added.

        Args:
            filter_string: such as `feedback.ok = false AND tags.env = 'prod'`; see docs/traces.md.
            name: has an assessment of this name that votes.
            session: is of this session.
            tags: has each of these tags with this value.
            order_by: such as "timestamp_ms DESC", or several; what has no value comes last.
            max_results: page size, 1 or more.
            page: `next_page` of the page before.
            return_type: "list" (a TracePage), "pandas" (a DataFrame) or "arrow" (a pyarrow Table).

        Raises:
            UsageError: an argument is wrong; for the filter the message says where.
        """
        choice("return_type", return_type, ("list", "pandas", "arrow"))
        asked = search.search_of(
            search.dialect_of(self.database.url.get_backend_name()),
            filter_string,
            name=name,
            session=session,
            tags=tags,
            order_by=order_by,
            max_results=max_results,
            page=page,
        )
        with self.database.read() as connection:
            found = asked.run(connection)
        if return_type == "list":
            return found
        from judge_opt.traces import frames

        return frames.to_pandas(found) if return_type == "pandas" else frames.to_arrow(found)

    def iter_traces(self, filter_string: str | None = None, **conditions: Any) -> Iterator[Trace]:
        """Every trace that `search_traces` with these arguments finds. At most 16 MB of JSON are held at a
        time, or one trace where that is larger."""
        page: str | None = None
        while True:
            sizes, page = self._sizes(filter_string, {"max_results": BATCH_ROWS, **conditions, "page": page})
            for numbers in _batches(sizes):
                with self.database.read() as connection:
                    query = sa.select(traces).where(traces.c.seq.in_(numbers))
                    found = dict(recorded.load(connection, query))
                yield from (found.pop(seq) for seq in numbers if seq in found)
            if page is None:
                return

    def _sizes(
        self, filter_string: str | None, conditions: Mapping[str, Any]
    ) -> tuple[list[tuple[int, int]], str | None]:
        usual = {"name": None, "session": None, "tags": None, "order_by": None}
        dialect = search.dialect_of(self.database.url.get_backend_name())
        asked = search.search_of(dialect, filter_string, **{**usual, **conditions})
        with self.database.read() as connection:
            return asked.sizes(connection)

    def set_tag(self, trace_id: str, key: str, value: str) -> None:
        """Sets one tag of a trace, new or not.

        Raises:
            NotFound: there is no such trace.
        """
        rows.check_tags({key: value})
        with self.database.write() as connection:
            seq = words.trace_number(connection, trace_id, self.database.name)
            connection.execute(
                sa.delete(trace_tags).where(trace_tags.c.trace_seq == seq, trace_tags.c.key == key)
            )
            connection.execute(sa.insert(trace_tags).values(trace_seq=seq, key=key, value=value))

    def delete_tag(self, trace_id: str, key: str) -> None:
        """Removes one tag of a trace.

        Raises:
            NotFound: there is no such trace, or it has no such tag.
        """
        with self.database.write() as connection:
            seq = words.trace_number(connection, trace_id, self.database.name)
            tag = sa.and_(trace_tags.c.trace_seq == seq, trace_tags.c.key == key)
            if connection.execute(sa.delete(trace_tags).where(tag)).rowcount == 0:
                raise NotFound(f"Trace {trace_id!r} has no tag {key!r}.", "Check the key.")

    def delete_traces(self, trace_ids: Iterable[str]) -> int:
        """Erases traces with their tags and all that was said of them, in one transaction. Registered
        judges and frozen splits hold copies and do not change.

        Returns:
            How many there were; an id that is not there is no error.
        """
        with self.database.write() as connection:
            return recorded.delete(connection, trace_ids)

    def _add(self, pending: list[tuple[dict[str, Any], dict[str, str]]]) -> int:
        with self.database.write() as connection:
            return recorded.insert(connection, pending)


def _batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Row numbers, in groups of at most BATCH_CHARACTERS, or of one."""
    some: list[int] = []
    held = 0
    for seq, size in sizes:
        if some and held + size > BATCH_CHARACTERS:
            yield some
            some, held = [], 0
        some.append(seq)
        held += size
    if some:
        yield some
