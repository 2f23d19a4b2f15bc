"""The rows of an evaluation: what is judged, under which id, and what people said of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash
from judge_opt.core.text import nearest
from judge_opt.evaluation.plain import missing, plain
from judge_opt.judges.item import item_of
from judge_opt.labels.examples import FIELDS, LabelledExample
from judge_opt.traces.schema import Trace

_LONG_NAME = 128


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        id: unique in its evaluation. Runs are paired by it.
        group: rows of one group (session, prompt, article) are not independent: intervals resample groups.
        fields: "inputs", "outputs", "expectations", "trace", "conversation": those that it has, JSON values.
        session: the conversation that it belongs to, where it was named.
        trace_id: the stored trace that it is; None where the evaluation stores one.
        labels: label name to rater to value, as people gave them; not checked yet. The name "" stands for
            the label of the only judge.
    """

    id: str
    group: str
    fields: Mapping[str, Any]
    session: str | None = None
    trace_id: str | None = None
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the folder of the run."""
        out: dict[str, Any] = {"id": self.id, "group": self.group, "fields": dict(self.fields)}
        out |= {name: value for name in ("session", "trace_id") if (value := getattr(self, name)) is not None}
        if self.labels:
            out["labels"] = {name: dict(votes) for name, votes in self.labels.items()}
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Row":
        """The inverse of `to_json`."""
        return cls(
            data["id"],
            data["group"],
            data["fields"],
            data.get("session"),
            data.get("trace_id"),
            data.get("labels", {}),
        )


def read_rows(records: Iterable[Any], group: str | None = None) -> list[Row]:
    """Rows from dictionaries, `Trace`s, `LabelledExample`s and `Row`s, in their order.

    A row without an id is named by the hash of its inputs (of all it holds, where it has no inputs), so that
    the same question has the same id in every run and two versions of an agent can be compared on it.

    Args:
        group: a dotted path into the row, such as "inputs.story_id", whose value is the group. Default: the
            row's "group", else its session, else its id.

    Raises:
        DataError: no rows, an id twice, a row that holds nothing to judge, or a value that is not JSON.
    """
    read = [_read(record, number, group) for number, record in enumerate(records, 1)]
    if not read:
        raise DataError("There are no rows to evaluate.", "Give at least one.")
    return _named(read)


def _read(record: Any, number: int, group: str | None) -> Row:
    if isinstance(record, Row):
        return record if group is None else _regrouped(record, group)
    if isinstance(record, LabelledExample):
        votes = {"": {vote.rater: vote.value for vote in record.votes}}
        row = Row(record.id, record.group, plain(record.fields, f"Row {record.id!r}"), labels=votes)
        return row if group is None else _regrouped(row, group)
    if isinstance(record, Trace):
        return _of_trace(record, group)
    if not isinstance(record, Mapping):
        raise DataError(
            f"Row {number} is a {type(record).__name__}.",
            "Pass dictionaries with inputs, outputs, ..., traces, or labelled examples.",
        )
    return _of_mapping(record, number, group)


def _of_mapping(record: Mapping[str, Any], number: int, group: str | None) -> Row:
    named = record.get("id")
    where = f"Row {number}" if missing(named) else f"Row {str(named)[:60]!r}"
    trace = record.get("trace")
    base: dict[str, Any] = {}
    of_trace = None
    if isinstance(trace, Trace):
        of_trace = _of_trace(trace, None)
        base = dict(of_trace.fields)
    fields = base | {
        name: plain(record[name], f"{where} {name}")
        for name in FIELDS
        if name in record and not missing(record[name]) and not isinstance(record[name], Trace)
    }
    turns = record.get("session")
    if isinstance(turns, Sequence) and turns and all(isinstance(turn, Trace) for turn in turns):
        fields |= plain(item_of({"session": turns}), f"{where} session")
        turns = turns[0].session
    if not fields:
        hint = next((near for key in record if (near := nearest(str(key), FIELDS))), "")
        raise DataError(
            f"{where} holds nothing to judge.{hint}", f"Each row has one of: {', '.join(FIELDS)}."
        )
    session = _text(turns, f"{where} session") or (of_trace.session if of_trace else None)
    trace_id = _text(record.get("trace_id"), f"{where} trace_id") or (of_trace.id if of_trace else None)
    name = _text(named, f"{where} id") or trace_id or ""
    place = _text(record.get("group"), f"{where} group") or session or name
    labels: Mapping[str, Mapping[str, Any]] = _labels(record, where) or (of_trace.labels if of_trace else {})
    row = Row(name, place, fields, session, trace_id, labels)
    return row if group is None else _regrouped(row, group, record)


def _of_trace(trace: Trace, group: str | None) -> Row:
    fields = plain(item_of(trace), f"Trace {trace.id!r}")
    labels: dict[str, dict[str, Any]] = {}
    for word in trace.assessments:
        if not word.votes or word.source_type != "HUMAN":
            continue
        if word.kind == "expectation":
            fields["expectations"] = {**fields.get("expectations", {}), word.name: word.value}
        else:
            labels.setdefault(word.name, {})[word.source_id] = word.value
    row = Row(trace.id, trace.session or trace.id, fields, trace.session, trace.id, labels)
    return row if group is None else _regrouped(row, group)


def _labels(record: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """`human` as in a file of labelled rows, or `labels`: name to value, or name to rater to value."""
    found: dict[str, dict[str, Any]] = {}
    said = record.get("human")
    for one in said if isinstance(said, Sequence) and not isinstance(said, str) else ():
        if not isinstance(one, Mapping) or not {"rater", "name", "value"} <= one.keys():
            raise DataError(f"{where}: a label has no rater, name or value.", "Give each label all three.")
        if not one.get("aggregate"):
            found.setdefault(str(one["name"]), {})[str(one["rater"])] = one["value"]
    labels = record.get("labels")
    for name, value in labels.items() if isinstance(labels, Mapping) else ():
        if not missing(value):
            votes = value if isinstance(value, Mapping) else {"default": value}
            found.setdefault(str(name), {}).update(plain(votes, f"{where} labels"))
    return found


def _regrouped(row: Row, path: str, record: Mapping[str, Any] | None = None) -> Row:
    value: Any = {**(record or {}), **row.fields}
    for step in path.split("."):
        if not isinstance(value, Mapping) or missing(value.get(step)):
            known = list(value) if isinstance(value, Mapping) else []
            raise DataError(
                f"Row {row.id!r} has no {path!r} to group by.{nearest(step, map(str, known))}",
                "Give group as a dotted path into the row, such as inputs.story_id.",
            )
        value = value[step]
    text = value if isinstance(value, str) else content_hash(plain(value, f"Row {row.id!r} {path}"))[:16]
    if isinstance(value, (int, float)):
        text = str(value)
    place = text if len(text) <= _LONG_NAME else content_hash(text)[:16]
    return Row(row.id, place, row.fields, row.session, row.trace_id, row.labels)


def _text(value: Any, where: str) -> str:
    if missing(value):
        return ""
    value = plain(value, where)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"{where} must be text, got a {type(value).__name__}.", "Write it as text.")
    return str(value)


def _named(rows: list[Row]) -> list[Row]:
    """Rows with ids. Those that would share one derived id are numbered in the order of their content, so
    that names do not depend on the order of the rows."""
    twice = [name for name, count in Counter(row.id for row in rows if row.id).items() if count > 1]
    if twice:
        raise DataError(
            f"The id {twice[0]!r} stands at more than one row ({len(twice)} such ids).",
            "Give every row its own id.",
        )
    nameless: dict[str, list[tuple[str, int]]] = {}
    for i, row in enumerate(rows):
        if not row.id:
            key = {"inputs": row.fields["inputs"]} if "inputs" in row.fields else row.fields
            base = f"row-{content_hash(key)[:12]}"
            nameless.setdefault(base, []).append((content_hash(row.fields), i))
    names: dict[int, str] = {}
    for base, members in nameless.items():
        for number, (_, i) in enumerate(sorted(members), 1):
            names[i] = base if number == 1 else f"{base}-{number}"
    return [
        row
        if row.id
        else Row(names[i], row.group or names[i], row.fields, row.session, row.trace_id, row.labels)
        for i, row in enumerate(rows)
    ]
