"""Which traces meet a condition, in what order, page by page.

A page begins after the last row of the page before (keyset): it is as fast on the thousandth page as on the
first, and a trace that is added meanwhile neither repeats nor hides another.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.text import nearest
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded
from judge_opt.traces.filters.compile import compile_filter
from judge_opt.traces.filters.fields import ATTRIBUTES
from judge_opt.traces.filters.json_sql import Dialect, collated, prepare
from judge_opt.traces.filters.parse import parse_filter
from judge_opt.traces.schema import Assessment, LabelledTrace, SourceType, TracePage
from judge_opt.traces.tables import assessments, trace_tags, traces

_COLUMNS = {name: ("created" if column == "timestamp" else column) for name, column in ATTRIBUTES.items()}


@dataclass(frozen=True, slots=True)
class Order:
    """One column of an order, NULLs last."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What `Store.search_traces` was asked for, checked.

    Raises (from `search_of`):
        UsageError: the filter, the order, the page or `max_results` is wrong.
    """

    condition: sa.ColumnElement[bool]
    order: tuple[Order, ...]
    max_results: int
    after: tuple[Any, ...] | None
    dialect: Dialect

    def run(self, connection: sa.Connection) -> TracePage:
        """The page."""
        prepare(connection, self.dialect)
        rows = recorded.load(connection, self._query(traces))
        more = len(rows) > self.max_results
        shown = rows[: self.max_results]
        return TracePage(
            [trace for _, trace in shown], self._page(connection, shown[-1][0]) if more else None
        )

    def sizes(self, connection: sa.Connection) -> tuple[list[tuple[int, int]], str | None]:
        """(row number, characters of JSON) of each trace of the page, and the next page: what a caller needs
        who cannot hold a whole page of large traces at once."""
        prepare(connection, self.dialect)
        large = [sa.func.length(column) for column in traces.c if column.name.endswith("_json")]
        rows = connection.execute(self._query(traces.c.seq, sum(large[1:], large[0]))).all()
        shown = [(int(seq), int(size)) for seq, size in rows[: self.max_results]]
        return shown, self._page(connection, shown[-1][0]) if len(rows) > self.max_results else None

    def _query(self, *columns: Any) -> sa.Select[Any]:
        """Of the page, and one row more."""
        found = sa.select(*columns).select_from(traces).where(self.condition).limit(self.max_results + 1)
        if self.after is not None:
            found = found.where(self._after(self.after))
        for one in self.order:
            column = self._sorted(one.column)
            found = found.order_by(
                traces.c[one.column].is_(None), column.desc() if one.descending else column.asc()
            )
        return found.order_by(traces.c.seq)

    def _sorted(self, name: str) -> sa.ColumnElement[Any]:
        column = traces.c[name]
        return column if name == "execution_time_ms" else collated(column, self.dialect)

    def _after(self, last: tuple[Any, ...]) -> sa.ColumnElement[bool]:
        """Rows behind the one with these values, in this order."""
        *values, seq = last
        ways: list[sa.ColumnElement[bool]] = []
        same: list[sa.ColumnElement[bool]] = []
        for one, value in zip(self.order, values, strict=True):
            column = traces.c[one.column]
            if value is None:
                same.append(column.is_(None))
                continue
            sorted_by = self._sorted(one.column)
            behind = sorted_by < value if one.descending else sorted_by > value
            ways.append(sa.and_(*same, sa.or_(behind, column.is_(None))))
            same.append(column == value)
        return sa.or_(*ways, sa.and_(*same, traces.c.seq > seq))

    def _page(self, connection: sa.Connection, seq: int) -> str:
        if not self.order:
            return str(seq)
        query = sa.select(*(traces.c[one.column] for one in self.order)).where(traces.c.seq == seq)
        token = [_signature(self.order), *connection.execute(query).one(), seq]
        return base64.urlsafe_b64encode(json.dumps(token).encode("ascii")).decode("ascii")


def search_of(
    dialect: Dialect,
    filter_string: str | None,
    *,
    name: str | None,
    session: str | None,
    tags: Mapping[str, str] | None,
    order_by: str | Iterable[str] | None,
    max_results: int,
    page: str | None,
) -> Search:
    """A search from the arguments of `Store.search_traces`.

    Raises:
        UsageError: the filter, the order, the page or `max_results` is wrong.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or max_results < 1:
        raise UsageError(f"max_results={max_results!r:.40} gives no page.", "Use 1 or more.")
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if filter_string is not None:
        conditions.append(compile_filter(parse_filter(filter_string), dialect))
    if session is not None:
        conditions.append(traces.c.session == session)
    for key, value in (tags or {}).items():
        tagged = sa.select(trace_tags.c.trace_seq).where(trace_tags.c.key == key, trace_tags.c.value == value)
        conditions.append(traces.c.seq.in_(tagged))
    if name is not None:
        named = sa.select(assessments.c.trace_seq).where(assessments.c.name == name, assessments.c.is_current)
        conditions.append(traces.c.seq.in_(named))
    order = _order(order_by)
    after = None if page is None else _read_page(page, order)
    return Search(sa.and_(*conditions), order, max_results, after, dialect)


def _order(order_by: str | Iterable[str] | None) -> tuple[Order, ...]:
    terms = [] if order_by is None else order_by.split(",") if isinstance(order_by, str) else list(order_by)
    found = []
    for term in terms:
        parts = term.split() if isinstance(term, str) else []
        direction = parts[1].upper() if len(parts) > 1 else "ASC"
        name = parts[0].strip("`").lower() if parts else ""
        for prefix in ("attributes.", "attribute.", "trace."):
            name = name.removeprefix(prefix)
        if len(parts) not in (1, 2) or direction not in ("ASC", "DESC") or name not in _COLUMNS:
            raise UsageError(
                f"order_by={term!r:.60} is no order.{nearest(name, _COLUMNS)}",
                f"Write a field and ASC or DESC; fields: {', '.join(sorted(set(_COLUMNS)))}.",
            )
        found.append(Order(_COLUMNS[name], direction == "DESC"))
    return tuple(found)


def _signature(order: Sequence[Order]) -> str:
    return content_hash([[one.column, one.descending] for one in order])[:12]


def _read_page(page: str, order: tuple[Order, ...]) -> tuple[Any, ...]:
    wrong = UsageError(
        f"page={page!r:.60} is no page of this search.",
        "Pass next_page of the page before, with the same order_by.",
    )
    if not isinstance(page, str):
        raise wrong
    if not order:
        if not (page.isascii() and page.isdigit() and len(page) < 19):
            raise wrong
        return (int(page),)
    try:
        token = json.loads(base64.b64decode(page.encode("ascii"), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise wrong from None
    if not isinstance(token, list) or len(token) != len(order) + 2 or token[0] != _signature(order):
        raise wrong
    *values, seq = token[1:]
    for one, value in zip(order, values, strict=True):
        wanted = (int, float) if one.column == "execution_time_ms" else (str,)
        if value is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise wrong
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < 2**63:
        raise wrong
    return (*values, seq)


def dialect_of(backend: str) -> Dialect:
    """The SQL that a database speaks.

    Raises:
        UsageError: neither SQLite nor PostgreSQL.
    """
    if backend not in ("sqlite", "postgresql"):
        raise UsageError(f"Traces cannot be searched on {backend}.", "Use SQLite or PostgreSQL.")
    return cast(Literal["sqlite", "postgresql"], backend)


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
