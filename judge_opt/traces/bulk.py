"""Many traces with their assessments in few transactions: what importers write through.

    added = store.add_records(Record(trace, assessments) for trace, assessments in source)

Adding the same records twice adds nothing: a trace or an assessment that is there with the same content is
counted as known. What is there with other content is a Conflict and is left as it is. One thing alone may
change what is stored: a source that says of an assessment that it was taken back or replaced is believed,
for that can only take a vote away.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, DataError, JudgeOptError
from judge_opt.traces import recorded, rows
from judge_opt.traces.label_rules import LabelRules, load_rules
from judge_opt.traces.schema import Assessment, Trace, now, short_text
from judge_opt.traces.tables import assessments, trace_tags, traces

BATCH_ROWS = 2000
BATCH_CHARACTERS = 16_000_000
_KEY = ("kind", "name", "source_type", "source_id")
_CONTENT = (*_KEY, "value_json", "rationale", "error", "metadata_json")


@dataclass(frozen=True, slots=True)
class Record:
    """A trace and what was said of it, as a source has it.

    Attributes:
        assessments: oldest first. Their `current`, `retracted`, `supersedes` and `error` are taken over.
        line: where it stands in its source, from 1; 0 where that means nothing.
        notes: what is not as the source has it, such as text that was cut; for the report.
    """

    trace: Trace
    assessments: Sequence[Assessment] = ()
    line: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Added:
    """Counts of one `Store.add_records`.

    Attributes:
        traces, assessments: new ones.
        traces_known, assessments_known: those that were there with the same content.
        replaced: new assessments that took the place of an earlier one of the same source.
        withdrawn: known assessments that the source has taken back or replaced since.
        failed: records that were refused, or of which an assessment was.
    """

    traces: int = 0
    traces_known: int = 0
    assessments: int = 0
    assessments_known: int = 0
    replaced: int = 0
    withdrawn: int = 0
    failed: int = 0


@dataclass(slots=True)
class Prepared:
    """A record as rows; `size` is in characters."""

    record: Record
    trace: dict[str, Any]
    tags: dict[str, str]
    words: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0


OnError = Callable[[Record, JudgeOptError], None]
"""Told of a record that cannot be added. Where there is none, the error is raised."""


def add_records(
    write: Callable[[], Any], records: Iterable[Record], on_error: OnError | None = None
) -> Added:
    """Adds records in transactions of at most 2,000 records or 16 MB: memory stays flat.

    Args:
        write: opens a transaction: `Database.write`.

    Raises:
        Conflict, DataError, UsageError: without `on_error`; the transaction of the bad record is undone,
            earlier ones stand, and adding the whole again is safe.
    """
    added = Added()
    pending: list[Prepared] = []
    size = 0

    def flush() -> None:
        with write() as connection:
            _write(connection, pending, added, on_error)

    for record in records:
        try:
            prepared = prepare(record)
        except JudgeOptError as error:
            if on_error is None:
                raise
            added.failed += 1
            on_error(record, error)
            continue
        pending.append(prepared)
        size += prepared.size
        if len(pending) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
            flush()
            pending, size = [], 0
    if pending:
        flush()
    return added


def prepare(record: Record) -> Prepared:
    """The record's rows.

    Raises:
        DataError, UsageError: a value that cannot be stored; the message names it.
    """
    row, tags = rows.trace_row(record.trace), rows.check_tags(record.trace.tags)
    prepared = Prepared(record, row, tags)
    for word in record.assessments:
        short_text("assessment id", word.id)
        short_text("source id", word.source_id)
        cells = rows.assessment_row(word)
        standing = word.current and not word.retracted and word.error is None
        cells |= {"supersedes": word.supersedes, "retracted": None, "is_current": standing}
        if word.retracted:
            cells["retracted"] = rows.time_text(now())
        prepared.words.append(cells)
    texts = (*row.values(), *(value for cells in prepared.words for value in cells.values()))
    prepared.size = sum(len(value) for value in texts if isinstance(value, str))
    return prepared


def _write(
    connection: sa.Connection, pending: Sequence[Prepared], added: Added, on_error: OnError | None
) -> None:
    if rules := load_rules(connection):
        pending = [one for one in pending if _obeys(one, rules, added, on_error)]
    numbers, fresh, accepted = _write_traces(connection, pending, added, on_error)
    words = [(numbers[one.trace["id"]], cells, one) for one in accepted for cells in one.words]
    if words:
        _write_words(connection, words, fresh, added, on_error)


def _obeys(one: Prepared, rules: LabelRules, added: Added, on_error: OnError | None) -> bool:
    """Puts people's labels that vote into the types of their label schemas; False where one is refused. Names
    are not checked: what comes from elsewhere has names of its own. Nor are judges' verdicts: their judge has
    read them, and they are paid for."""
    try:
        said = [
            rules.checked(word, strict=False) if word.votes and word.source_type != "LLM_JUDGE" else word
            for word in one.record.assessments
        ]
    except DataError as error:
        _refuse(one, error, added, on_error)
        return False
    for cells, word in zip(one.words, said, strict=True):
        cells |= rows.assessment_row(word)
    return True


def _refuse(one: Prepared, error: JudgeOptError, added: Added, on_error: OnError | None) -> None:
    if on_error is None:
        raise error
    added.failed += 1
    on_error(one.record, error)


def _write_traces(
    connection: sa.Connection, pending: Sequence[Prepared], added: Added, on_error: OnError | None
) -> tuple[dict[str, int], set[int], list[Prepared]]:
    """Stores the new traces.

    Returns:
        Trace id to row number; the numbers of the new ones; the records without a conflict.
    """
    ids = list(dict.fromkeys(one.trace["id"] for one in pending))
    numbers: dict[str, int] = {}
    known: dict[str, tuple[str, dict[str, str]]] = {}
    for some in recorded.chunks(ids):
        query = sa.select(traces.c.seq, traces.c.id, traces.c.content_hash).where(traces.c.id.in_(some))
        found = {seq: (str(trace_id), str(digest)) for seq, trace_id, digest in connection.execute(query)}
        tags_of = recorded.tags_of(connection, found)
        for seq, (trace_id, digest) in found.items():
            numbers[trace_id] = seq
            known[trace_id] = (digest, tags_of[seq])
    new: list[Prepared] = []
    accepted: list[Prepared] = []
    for one in pending:
        trace_id = one.trace["id"]
        if trace_id in known:
            try:
                recorded.check_same(one.trace, one.tags, *known[trace_id])
            except Conflict as error:
                _refuse(one, error, added, on_error)
                continue
            added.traces_known += 1
        else:
            known[trace_id] = (one.trace["content_hash"], one.tags)
            new.append(one)
        accepted.append(one)
    if not new:
        return numbers, set(), accepted
    connection.execute(sa.insert(traces), [one.trace for one in new])
    for some in recorded.chunks([one.trace["id"] for one in new]):
        query = sa.select(traces.c.id, traces.c.seq).where(traces.c.id.in_(some))
        numbers |= {str(row.id): int(row.seq) for row in connection.execute(query)}
    tags = [
        {"trace_seq": numbers[one.trace["id"]], "key": key, "value": value}
        for one in new
        for key, value in one.tags.items()
    ]
    if tags:
        connection.execute(sa.insert(trace_tags), tags)
    added.traces += len(new)
    return numbers, {numbers[one.trace["id"]] for one in new}, accepted


def _write_words(
    connection: sa.Connection,
    words: Sequence[tuple[int, dict[str, Any], Prepared]],
    fresh: set[int],
    added: Added,
    on_error: OnError | None,
) -> None:
    known = _known(connection, [cells["id"] for _, cells, _ in words])
    standing = _standing(connection, {seq for seq, _, _ in words} - fresh)
    new: dict[str, dict[str, Any]] = {}
    replaced: list[str] = []
    withdrawn: list[dict[str, Any]] = []
    for seq, cells, one in words:
        stored = known.get(cells["id"])
        if stored is not None:
            if any(stored[part] != cells[part] for part in _CONTENT) or stored["trace_seq"] != seq:
                _refuse(one, _changed(cells, one), added, on_error)
            elif _votes(stored) and not _votes(cells):
                stored |= {"is_current": False, "retracted": cells["retracted"]}
                if cells["id"] not in new:  # else `stored` is the row that is still to be inserted
                    withdrawn.append({"old_id": cells["id"], "taken_back": cells["retracted"]})
                standing.pop((seq, *(cells[part] for part in _KEY)), None)
            else:
                added.assessments_known += 1
            continue
        row = {**cells, "trace_seq": seq}
        if row["is_current"]:
            key = (seq, *(row[part] for part in _KEY))
            before = standing.get(key)
            if before is not None and before["created"] > row["created"]:
                row["is_current"] = False  # the store knows a newer word of this source
            else:
                if before is not None:
                    row["supersedes"] = row["supersedes"] or before["id"]
                    added.replaced += 1
                    if before["id"] in new:
                        new[before["id"]]["is_current"] = False
                    else:
                        replaced.append(before["id"])
                standing[key] = row
        new[row["id"]] = known[row["id"]] = row
    _store_words(connection, list(new.values()), replaced, withdrawn)
    added.assessments += len(new)
    added.withdrawn += len(withdrawn)


def _store_words(
    connection: sa.Connection,
    new: list[dict[str, Any]],
    replaced: list[str],
    withdrawn: list[dict[str, Any]],
) -> None:
    """Old words first: the database itself allows one current word a source."""
    this = sa.update(assessments).where(assessments.c.id == sa.bindparam("old_id"))
    if replaced:
        connection.execute(this.values(is_current=False), [{"old_id": one} for one in replaced])
    if withdrawn:
        taken = sa.func.coalesce(assessments.c.retracted, sa.bindparam("taken_back", type_=sa.String))
        connection.execute(this.values(is_current=False, retracted=taken), withdrawn)
    if new:
        connection.execute(sa.insert(assessments), new)


def _known(connection: sa.Connection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    columns = [assessments.c[part] for part in ("id", "trace_seq", "created", "is_current", "retracted")]
    columns += [assessments.c[part] for part in _CONTENT]
    found: dict[str, dict[str, Any]] = {}
    for some in recorded.chunks(dict.fromkeys(ids)):
        query = sa.select(*columns).where(assessments.c.id.in_(some))
        found |= {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def _standing(connection: sa.Connection, numbers: Iterable[int]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The current word of each source on each of these traces."""
    columns = [assessments.c[part] for part in ("id", "trace_seq", "created", *_KEY)]
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for some in recorded.chunks(numbers):
        query = sa.select(*columns).where(assessments.c.trace_seq.in_(some), assessments.c.is_current)
        for row in connection.execute(query).mappings():
            found[(row["trace_seq"], *(row[part] for part in _KEY))] = dict(row)
    return found


def _votes(cells: Mapping[str, Any]) -> bool:
    return bool(cells["is_current"]) and cells["retracted"] is None and cells["error"] is None


def _changed(cells: Mapping[str, Any], one: Prepared) -> Conflict:
    return Conflict(
        f"Assessment {cells['id']!r} ({cells['name']!r} of trace {one.trace['id']!r}) is already stored with "
        "other content.",
        "A stored assessment does not change: give the new one another id, or override the stored one.",
    )
