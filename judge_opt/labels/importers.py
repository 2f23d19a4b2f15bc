"""From a file of labelled rows to labelled examples of one judge.

    cases = load_examples("pandalm.jsonl", "preference", categories("1", "2", "tie"))
    aspects = load_examples(
        "cebab.jsonl", None, categories("positive", "negative", "not mentioned"),
        names=["food", "service", "ambiance", "noise"], name_field="aspect",
        value_map={"Positive": "positive", "Negative": "negative", "unknown": "not mentioned"},
    )

Every error is one line that names the file, the line and the remedy, and comes before anything else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Value
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.csv_rows import read_csv
from judge_opt.labels.examples import FIELDS, LabelledExample, Vote
from judge_opt.labels.rows import Row, Seen, SourceLabel, existing, read_jsonl, row_of
from judge_opt.traces.importers.report import Skipped

_LONG_GROUP = 128
_TABLES = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What a file gave.

    Attributes:
        examples: in file order.
        skipped: the rows that were left out, each with its line and reason.
    """

    examples: list[LabelledExample]
    skipped: list[Skipped]


def read_rows(source: Any, *, skipped: list[Skipped] | None = None) -> Iterator[Row]:
    """The rows of a file (CSV, Parquet, else JSON Lines), a DataFrame, a data set or an iterable of dicts."""
    if not isinstance(source, (str, Path)):
        return _table_rows(source, skipped)
    ending = Path(source).suffix.lower()
    if ending in _TABLES:
        return _table_rows(existing(source), skipped)
    return (read_csv if ending == ".csv" else read_jsonl)(source, skipped=skipped)


def _table_rows(source: Any, skipped: list[Skipped] | None) -> Iterator[Row]:
    """The rows of what `judge_opt.traces.importers` reads as a table."""
    from judge_opt.traces.importers.formats import values_of

    title, _, values = values_of(source, None)
    file = Path(title)
    seen = Seen(file)
    for line, value in values:
        try:
            if isinstance(value, Skipped):
                raise DataError(f"{title} line {line}: {value.reason}.", "Correct the row.")
            yield seen.once(row_of(value, line, file))
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(Skipped(line, "", error.message))
            seen.any = True
    seen.check_not_empty()


def load_examples(
    path: Any,
    name: str | None,
    value_type: ValueType | Any,
    *,
    names: Sequence[str] | None = None,
    name_field: str | None = None,
    group: str | None = None,
    include_aggregate: bool = False,
    pools: Sequence[str | None] | None = None,
    value_map: Mapping[Any, Value] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> ImportResult:
    """The examples of one label name, or of several as one judge with the name as an input.

    A rater who labels an item twice under one name has one vote: the last. A row without a label of the
    name is skipped and counted.

    Args:
        path: a file of JSON Lines, CSV or Parquet, a DataFrame, a data set, or an iterable of dicts.
        name: the label name; None together with `names`.
        value_type: what a label may be: a ValueType, or an annotation such as bool.
        names: several label names: a row gives one example for each that it has, with the id
            "<row id>:<name>" and the name in `inputs[name_field]`. They share the row's group.
        name_field: the input that takes the name; needed with `names`.
        group: a dotted path into the row, such as "inputs.story_id" or "session", whose value is the
            group; None takes the row's session, else its id. A value over 128 characters (an article) is
            replaced by its hash.
        include_aggregate: also take labels that the source had aggregated, as votes.
        pools: take only raters of these pools; None in it stands for raters without a pool. Without
            `pools`, every rater.
        value_map: the source's labels to the judge's, such as {"Positive": "positive"}.
        on_error: "skip" leaves bad rows out and counts them. A missing or empty file, a name that is not
            in the file, and a file from which no row remains raise in any case.

    Raises:
        DataError: see the module; the message is one line.
        UsageError: the arguments do not fit together.
    """
    wanted = _wanted(name, names, name_field)
    allowed = ValueType.of(value_type)
    skipped: list[Skipped] = []
    examples: list[LabelledExample] = []
    found: dict[str, None] = {}
    file = Path(path).name if isinstance(path, (str, Path)) else f"the {type(path).__name__}"
    for row in read_rows(path, skipped=skipped if on_error == "skip" else None):
        found |= dict.fromkeys(label.name for label in row.human)
        where = f"{file} line {row.line}, item {row.id!r}"
        try:
            parts = []
            for one in wanted:
                chosen = _chosen(row, one, include_aggregate, pools)
                votes = _votes(row, chosen, allowed, value_map or {}, where)
                if votes:
                    parts.append(_example(row, one, votes, group, name_field if names else None, where))
        except DataError as error:
            if on_error == "raise":
                raise
            skipped.append(Skipped(row.line, row.id, error.message))
            continue
        examples += parts
        if not parts:
            skipped.append(Skipped(row.line, row.id, _why_none(row, wanted)))
    if found:
        _check_names(wanted, list(found), file)
    if not examples:
        raise DataError(
            f"{file}: none of the {len(skipped)} rows gave an example; the first: line {skipped[0].line}: "
            f"{skipped[0].reason}",
            "Check the label name, include_aggregate and pools.",
        )
    return ImportResult(examples, sorted(skipped, key=lambda one: one.line))


def _wanted(name: str | None, names: Sequence[str] | None, name_field: str | None) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UsageError("names must be a list of label names, got text.", f"Pass names=[{names!r}].")
    if (name is None) == (not names):
        raise UsageError("Give either name or names.", 'Pass "food", or None and names=["food", "service"].')
    if names and not name_field:
        raise UsageError("names needs name_field.", 'Say which input takes the name: name_field="aspect".')
    if name is not None and name_field:
        raise UsageError("name_field goes with names.", "Leave it out, or pass names.")
    return (name,) if name is not None else tuple(dict.fromkeys(names or ()))


def _chosen(
    row: Row, name: str, include_aggregate: bool, pools: Sequence[str | None] | None
) -> list[SourceLabel]:
    return [
        label
        for label in row.human
        if label.name == name
        and (include_aggregate or not label.aggregate)
        and (pools is None or label.pool in pools)
    ]


def _votes(
    row: Row, labels: Sequence[SourceLabel], allowed: ValueType, value_map: Mapping[Any, Value], where: str
) -> tuple[Vote, ...]:
    votes: dict[str, Vote] = {}
    for label in labels:
        value = allowed.check_label(_mapped(label.value, value_map), where)
        provenance = f"{row.id}/{label.name}/{label.rater}"
        votes[label.rater] = Vote(label.rater, value, label.rationale, provenance)
    return tuple(votes[rater] for rater in sorted(votes))


def _mapped(value: Any, value_map: Mapping[Any, Value]) -> Any:
    if isinstance(value, (list, dict)):
        return value
    if value in value_map:
        return value_map[value]
    return value_map.get(str(value), value)


def _example(
    row: Row, name: str, votes: tuple[Vote, ...], group: str | None, name_field: str | None, where: str
) -> LabelledExample:
    fields = {field: row.data[field] for field in FIELDS if row.data.get(field) is not None}
    item = row.id
    if name_field is not None:
        inputs = fields.get("inputs", {})
        if not isinstance(inputs, dict):
            raise DataError(f"{where}: inputs is text, so it has no place for {name_field!r}.", _NAMES_REMEDY)
        if name_field in inputs:
            raise DataError(f"{where}: inputs has a field {name_field!r} already.", _NAMES_REMEDY)
        fields["inputs"] = {**inputs, name_field: name}
        item = f"{row.id}:{name}"
    return LabelledExample(item, _group(row, group, where), fields, votes)


_NAMES_REMEDY = "Choose another name_field, or load one name at a time."


def _group(row: Row, path: str | None, where: str) -> str:
    if path is None:
        return str(row.data.get("session") or row.id)
    value: Any = row.data
    for part in path.split("."):
        known = list(value) if isinstance(value, dict) else []
        if part not in known:
            raise DataError(
                f'{where}: the row has no field "{path}"; found: {", ".join(known) or "none"}.'
                f"{nearest(part, known)}",
                "Give group as a dotted path into the row, or leave it out.",
            )
        value = value[part]
    if value is None or value == "":
        raise DataError(f'{where}: the group "{path}" is empty.', "Fill it in, or use another group.")
    text = value if isinstance(value, str) else f"{content_hash(value)[:16]}"
    if isinstance(value, (int, float)):
        text = str(value)
    return text if len(text) <= _LONG_GROUP else content_hash(text)[:16]


def _why_none(row: Row, wanted: Sequence[str]) -> str:
    listed = " or ".join(map(repr, wanted))
    if any(label.name in wanted for label in row.human):
        return f"its labels called {listed} are aggregates or of other pools"
    return f"it has no label called {listed}"


def _check_names(wanted: Sequence[str], found: Sequence[str], file: str) -> None:
    for name in wanted:
        if name not in found:
            listed = ", ".join(sorted(found)) or "none"
            raise DataError(
                f"{file} has no label called {name!r}; names found: {listed[:300]}.{nearest(name, found)}",
                "Use one of these names.",
            )
