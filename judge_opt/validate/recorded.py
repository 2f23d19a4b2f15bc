"""Verdicts that are there already: recorded by a source, or written by `judge-opt evaluate --out`.

    verdicts = recorded_verdicts("pandalm.jsonl", "preference", preference("1", "2", tie="tie"))
    verdicts["gpt-3.5-turbo"].judged["pandalm-607"]

A verdict that is not a value of the judge's type is Unscored, with what the source said, and never a guess.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.rows import existing


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One judge's verdicts.

    Attributes:
        judged: row id to judgement.
        exchanged: for a preference, row id to the judgement of the exchanged pair, said of the pair as it
            was; {} where it was not asked.
    """

    judged: dict[str, Judgement] = field(default_factory=dict)
    exchanged: dict[str, Judgement] = field(default_factory=dict)


def recorded_verdicts(
    path: str | Path,
    name: str,
    value_type: ValueType,
    *,
    value_map: Mapping[Any, Value] | None = None,
    prompt: str | None = None,
) -> dict[str, Verdicts]:
    """The verdicts in the `judge` lists of a file of labelled rows, by model.

    Each entry is {"model", "name", "value", "prompt"?, "by_order"?, "raw"?}. Where a model answered under
    several prompts, each is a judge, "model (prompt)". `by_order` holds the verdicts in both orders.

    Args:
        name: entries of this name.
        prompt: only those of this prompt.

    Raises:
        DataError: no such file, a line is no JSON object, or no entry of that name; one line.
    """
    found: dict[tuple[str, str], Verdicts] = {}
    names: set[str] = set()
    for where, row in _lines(existing(path)):
        entries = row.get("judge") or []
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise DataError(f"{where}: judge is no list of objects.", "Write [{model, name, value}].")
        for one in entries:
            if missing := [key for key in ("model", "name", "value") if key not in one]:
                raise DataError(
                    f"{where}: a judge entry has no {missing[0]!r}.", "Each has model, name, value."
                )
            names.add(str(one["name"]))
            asked = str(one.get("prompt") or "")
            if one["name"] != name or (prompt is not None and asked != prompt):
                continue
            own = found.setdefault((str(one["model"]), asked), Verdicts())
            row_id = str(row.get("id"))
            own.judged[row_id] = judgement_of(one["value"], value_type, value_map, one.get("raw"))
            orders = one.get("by_order")
            if value_type.kind == "pairwise" and isinstance(orders, list) and len(orders) == 2:
                own.exchanged[row_id] = judgement_of(orders[1], value_type, value_map)
                own.judged[row_id] = judgement_of(orders[0], value_type, value_map, one.get("raw"))
    if not found:
        listed = ", ".join(sorted(names)) or "none"
        raise DataError(
            f"{Path(path).name} holds no verdicts called {name!r}; names found: {listed[:200]}."
            f"{nearest(name, names)}",
            "Give verdicts of your own with --verdicts, or another name.",
        )
    models = [model for model, _ in found]
    return {
        model if models.count(model) == 1 else f"{model} ({asked or 'no prompt'})": own
        for (model, asked), own in sorted(found.items())
    }


def read_verdicts(
    path: str | Path, value_type: ValueType, *, value_map: Mapping[Any, Value] | None = None
) -> Verdicts:
    """Verdicts of one judge from JSON Lines: {"id", "value"}, and if there are "rationale", "confidence",
    "probabilities", "error": what `judge-opt evaluate --out` writes.

    Raises:
        DataError: no such file, or a line is bad; one line with its number.
    """
    own = Verdicts()
    for where, row in _lines(existing(path)):
        if "id" not in row or ("value" not in row and "error" not in row):
            raise DataError(
                f"{where}: a verdict has an id and a value.", 'Write {"id": "a1", "value": true}.'
            )
        if row["id"] in own.judged:
            raise DataError(
                f"{where}: the id {str(row['id'])[:60]!r} occurs twice.", "Keep one verdict a row."
            )
        if row.get("value") is None:
            own.judged[str(row["id"])] = Unscored("unparseable", str(row.get("error") or "no verdict")[:200])
            continue
        read = judgement_of(row["value"], value_type, value_map)
        if isinstance(read, Scored):
            read = _with_confidence(read, row, value_type, where)
        own.judged[str(row["id"])] = read
    if not own.judged:
        raise DataError(f"{Path(path).name} is empty.", "Give a file with at least one verdict.")
    return own


def judgement_of(
    said: Any, value_type: ValueType, value_map: Mapping[Any, Value] | None = None, raw: Any = None
) -> Judgement:
    """A recorded value as a judgement."""
    text = raw if isinstance(raw, str) else None
    if said is None or said == "":
        return Unscored("empty", "the source has no verdict", text)
    mapped = said
    if value_map and isinstance(said, (str, int, float, bool)):
        mapped = value_map.get(said, value_map.get(str(said), said))
    try:
        return Scored(value_type.read(mapped), raw=text)
    except ValueError as error:
        return Unscored("out_of_set", str(error)[:200], text)


def _with_confidence(read: Scored, row: Mapping[str, Any], value_type: ValueType, where: str) -> Scored:
    odds, sure = row.get("probabilities"), row.get("confidence")
    if odds is not None:
        labels = value_type.choices()
        bad = not isinstance(odds, dict) or any(
            not isinstance(p, (int, float)) or isinstance(p, bool) or not 0 <= p <= 1 for p in odds.values()
        )
        if bad or any(key not in labels for key in odds) or abs(sum(odds.values()) - 1) > 0.01:
            raise DataError(
                f"{where}: probabilities must be label to share and sum to 1.",
                f"Labels: {', '.join(labels)}.",
            )
        sure = odds.get(value_type.text_of(read.value), 0.0) if sure is None else sure
    if sure is not None and (not isinstance(sure, (int, float)) or not 0 <= sure <= 1):
        raise DataError(
            f"{where}: confidence {str(sure)[:40]!r} is not between 0 and 1.", "Give a probability."
        )
    reason = row.get("rationale")
    return Scored(
        read.value,
        rationale=reason if isinstance(reason, str) else None,
        confidence=None if sure is None else float(sure),
        probabilities=None if odds is None else {key: float(p) for key, p in odds.items()},
    )


def _lines(file: Path) -> "list[tuple[str, dict[str, Any]]]":
    out = []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file.name} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON ({error}).", "Write one JSON object a line.") from None
        if not isinstance(row, dict):
            raise DataError(f"{where} is no JSON object.", "Write one JSON object a line.")
        out.append((where, row))
    return out
