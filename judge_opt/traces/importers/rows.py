"""One row of a file or a table, whatever its format, as a Record.

A row has some of these fields; the rest of its columns become metadata:

    id (or trace_id), inputs, outputs, expectations, session (or session_id), tags, metadata, spans,
    created, conversation
    human        [{"rater", "name", "value", "rationale", "aggregate", "pool"}]: labels by people
    judge        [{"model", "name", "value", "rationale" or "raw", ...}]: recorded verdicts of models
    assessments  as `judge_opt.traces.exporters` writes them: everything, with history

`columns` says where the fields of a table of other columns are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast, get_args

from judge_opt.core.errors import DataError
from judge_opt.core.hashing import content_hash
from judge_opt.core.text import nearest
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.values import when
from judge_opt.traces.schema import Assessment, Kind, SourceType, Trace, choice, now

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "trace_id"),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "expectations": ("expectations",),
    "session": ("session", "session_id"),
    "tags": ("tags",),
    "metadata": ("metadata",),
    "spans": ("spans",),
    "created": ("created",),
    "conversation": ("conversation",),
    "human": ("human",),
    "judge": ("judge",),
    "assessments": ("assessments",),
}
_OBJECTS = ("expectations", "tags", "metadata")
_LISTS = ("spans", "human", "judge", "assessments")
_LABEL = ("rater", "name", "value")

Place = str | Sequence[str] | Mapping[str, str]
"""Where a field is: a column, several columns (an object of them), or names and the column of each."""


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How rows are read.

    Attributes:
        columns: field to its place, where it is not the column of the field's own name.
        labels: feedback name to the column that holds its value, for tables with a label a column.
        rater: whose labels `labels` are.
        pools: take only labels of these pools; None in it stands for raters without a pool.
        judges: also take recorded verdicts of models.
    """

    columns: Mapping[str, Place] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    rater: str = "dataset"
    pools: Sequence[str | None] | None = None
    judges: bool = True


def record_of(data: Any, line: int, options: RowOptions, imported: datetime | None = None) -> Record:
    """The record of a row.

    Labels without an id get one from their content, and a row without an id one from its own: importing it
    again finds them.

    Args:
        imported: the time for what has none.

    Raises:
        DataError: the row holds nothing, or a field is of the wrong shape; the message names the field.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"it is {type_name(data)}, not an object", "Write one object a row.")
    imported = imported or now()
    fields, rest = _fields(data, options)
    trace = _trace(fields, rest, imported)
    words: list[Assessment] = []
    for number, label in enumerate(fields.get("human") or (), 1):
        if (word := _by_person(label, f"label {number}", trace.id, options, imported)) is not None:
            words.append(word)
    if options.judges:
        for number, verdict in enumerate(fields.get("judge") or (), 1):
            words.append(_by_model(verdict, f"verdict {number}", trace.id, imported))
    for number, kept in enumerate(fields.get("assessments") or (), 1):
        words.append(assessment_of(kept, f"assessment {number}", trace.id, imported))
    for name, value in (fields.get("labels") or {}).items():
        words.append(said(trace.id, name, value, "HUMAN", options.rater, imported))
    return Record(trace, tuple(_once(words)), line)


def said(
    trace_id: str,
    name: str,
    value: Any,
    source_type: SourceType,
    source_id: str,
    created: datetime,
    *,
    kind: Kind = "feedback",
    rationale: str | None = None,
    error: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    id: str | None = None,
) -> Assessment:
    """An assessment; without an `id` it gets one from its content."""
    identity = [trace_id, kind, name, source_type, source_id, value, rationale, error, dict(metadata or {})]
    try:
        known = id or f"as-{content_hash(identity)[:32]}"
    except (TypeError, ValueError) as problem:
        raise DataError(f"the value of {name!r} is no JSON ({problem})", "Write a JSON value.") from None
    return Assessment(
        known, trace_id, kind, name, value, rationale, source_type, source_id, created,
        error=error, metadata=metadata or {},
    )  # fmt: skip


def assessment_of(data: Any, where: str, trace_id: str, imported: datetime) -> Assessment:
    """The assessment of an exported object, with its place in the history.

    Raises:
        DataError: a field is missing or of the wrong type.
    """
    found = _object(data, where)
    name = _text(found, "name", where)
    kind, source_type = found.get("kind", "feedback"), found.get("source_type", "HUMAN")
    choice("assessment kind", kind, get_args(Kind))
    choice("source type", source_type, get_args(SourceType))
    metadata = found.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise DataError(f"{where}: metadata is {type_name(metadata)}, not an object", "Write an object.")
    word = said(
        trace_id,
        name,
        found.get("value"),
        cast(SourceType, source_type),
        _text(found, "source_id", where, default="default"),
        when(found.get("created"), where) or imported,
        kind=cast(Kind, kind),
        rationale=_optional(found, "rationale", where),
        error=_optional(found, "error", where),
        metadata=metadata,
        id=_optional(found, "id", where),
    )
    from dataclasses import replace

    return replace(
        word,
        supersedes=_optional(found, "supersedes", where),
        retracted=_flag(found, "retracted", where, False),
        current=_flag(found, "current", where, True),
    )


def type_name(value: Any) -> str:
    """A JSON value's type, for people."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _fields(data: Mapping[str, Any], options: RowOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's fields, and its other columns."""
    fields: dict[str, Any] = {}
    used: set[str] = set()
    for name, aliases in ALIASES.items():
        place = options.columns.get(name)
        if place is None:
            present = next((alias for alias in aliases if data.get(alias) is not None), None)
            if present is not None:
                fields[name] = data[present]
            used.update(aliases)
        else:
            fields[name] = _at(data, place, name, used)
    if options.labels:
        columns = dict(options.labels)
        found = {name: _column(data, column, f"label {name!r}") for name, column in columns.items()}
        fields["labels"] = {name: value for name, value in found.items() if value is not None}
        used.update(columns.values())
    return fields, {key: value for key, value in data.items() if key not in used and value is not None}


def _at(data: Mapping[str, Any], place: Place, name: str, used: set[str]) -> Any:
    if isinstance(place, str):
        used.add(place)
        return _column(data, place, name)
    columns = dict(place) if isinstance(place, Mapping) else {column: column for column in place}
    used.update(columns.values())
    return {key: _column(data, column, name) for key, column in columns.items()}


def _column(data: Mapping[str, Any], column: str, name: str) -> Any:
    if column in data:
        return data[column]
    head, _, rest = column.partition(".")  # a path into a nested column
    if rest and isinstance(data.get(head), Mapping):
        return _column(data[head], rest, name)
    raise DataError(
        f"there is no column {column!r} for {name}; found: {', '.join(map(str, data))[:300]}."
        f"{nearest(column, map(str, data))}",
        "Correct columns= or labels=.",
    )


def _trace(fields: Mapping[str, Any], rest: dict[str, Any], imported: datetime) -> Trace:
    shaped: dict[str, Any] = {}
    for name in _OBJECTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise DataError(f"{name} is {type_name(value)}, not an object", "Write a JSON object.")
        shaped[name] = dict(value or {})
    for name in _LISTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, (list, tuple)):
            raise DataError(f"{name} is {type_name(value)}, not a list", "Write a JSON list.")
    inputs, conversation = fields.get("inputs"), fields.get("conversation")
    if conversation is not None:
        if inputs is None:
            inputs = {"messages": conversation}
        else:
            rest = {**rest, "conversation": conversation}
    shaped["metadata"] = {**rest, **shaped["metadata"]}
    holds = (inputs, fields.get("outputs"), fields.get("spans"))
    if all(part is None for part in holds):
        found = ", ".join([*fields, *rest])[:300] or "nothing"
        raise DataError(
            f"it has neither inputs nor outputs nor spans; found: {found}",
            "Say where they are: columns={'inputs': [...], 'outputs': '...'}.",
        )
    session = _scalar(fields.get("session"), "session")
    content = {
        "inputs": inputs,
        "outputs": fields.get("outputs"),
        "expectations": shaped["expectations"],
        "session": session,
        "tags": {
            key: value if isinstance(value, str) else _tag(value) for key, value in shaped["tags"].items()
        },
        "metadata": shaped["metadata"],
        "spans": tuple(fields.get("spans") or ()),
    }
    item = _scalar(fields.get("id"), "id")
    if item is None:
        try:
            item = f"tr-{content_hash(content)[:32]}"
        except (TypeError, ValueError) as problem:
            raise DataError(f"it is no JSON ({problem})", "Write JSON values.") from None
    return Trace(item, created=when(fields.get("created"), "created") or imported, **content)


def _scalar(value: Any, name: str) -> str | None:
    """Text, also where it was written as a whole number."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
        return str(int(value))
    raise DataError(f"{name} is {type_name(value)}, not text: {str(value)[:60]!r}", f"Write {name} as text.")


def _tag(value: Any) -> str:
    import json

    return json.dumps(value, sort_keys=True)


def _by_person(
    label: Any, where: str, trace_id: str, options: RowOptions, imported: datetime
) -> Assessment | None:
    """One entry of `human`. What the source had aggregated is no rater's word: its source is CODE."""
    found = _object(label, where)
    for key in _LABEL:
        if key not in found:
            listed = ", ".join(map(str, found)) or "none"
            raise DataError(
                f"{where} has no {key!r}; found: {listed[:200]}.{nearest(key, map(str, found))}",
                "Each label is an object with rater, name and value.",
            )
    pool = _optional(found, "pool", where)
    if options.pools is not None and pool not in options.pools:
        return None
    aggregate = _flag(found, "aggregate", where, False)
    metadata = {"pool": pool} if pool else {}
    return said(
        trace_id,
        _text(found, "name", where),
        found["value"],
        "CODE" if aggregate else "HUMAN",
        _text(found, "rater", where),
        when(found.get("created"), where) or imported,
        rationale=_optional(found, "rationale", where),
        metadata=metadata | ({"aggregate": True} if aggregate else {}),
    )


def _by_model(verdict: Any, where: str, trace_id: str, imported: datetime) -> Assessment:
    """One entry of `judge`. A verdict that the source lacks is an error and no value."""
    found = _object(verdict, where)
    model = _text(found, "model", where)
    prompt = _optional(found, "prompt", where)
    value = found.get("value")
    known = ("model", "prompt", "name", "value", "rationale", "raw", "created")
    rationale = found.get("rationale") if found.get("rationale") is not None else found.get("raw")
    metadata = {key: inner for key, inner in found.items() if key not in known and inner is not None}
    metadata |= {"model": model} | ({"prompt": prompt} if prompt else {})
    if rationale is not None and not isinstance(rationale, str):
        metadata["raw"], rationale = rationale, None
    return said(
        trace_id,
        _text(found, "name", where),
        value,
        "LLM_JUDGE",
        f"{model}/{prompt}" if prompt else model,
        when(found.get("created"), where) or imported,
        rationale=rationale,
        error="the source has no verdict" if value is None else None,
        metadata=metadata,
    )


def _once(words: Sequence[Assessment]) -> list[Assessment]:
    """Each id once, where it stands last: the same word twice in a row is one word."""
    found: dict[str, Assessment] = {}
    for word in words:
        found.pop(word.id, None)
        found[word.id] = word
    return list(found.values())


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is {type_name(value)}, not an object", "Write an object.")
    return value


def _text(found: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = found.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is {type_name(value)}, not text", "Write it as text.")
    return value


def _optional(found: Mapping[str, Any], key: str, where: str) -> str | None:
    value = found.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key} is {type_name(value)}, not text", "Write it as text.")
    return value


def _flag(found: Mapping[str, Any], key: str, where: str, default: bool) -> bool:
    value = found.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise DataError(f"{where}: {key} is {type_name(value)}", "Write true or false.")
    return value
