"""Human label and verdict of the rows that a judge scored, coded as arrays.

Everything in this package computes on `Pairs`. Rows are dropped here and nowhere else, label and verdict
together, so an unscored row cannot enter a mean or shift a pairing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import DataError
from judge_opt.core.results import NOT_APPLICABLE, Judgement, Scored, Value
from judge_opt.core.values import BOOL, ValueType

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The scored rows of one judge. All arrays have length n.

    Attributes:
        index: positions in the caller's rows, ascending.
        labels: the label set in its order; for an int without a short range, the values that occur; empty
            for float.
        gold, judged: positions in `labels`; for float, positions among the values that occur.
        gold_number, judged_number: the values on their numeric scale (rank for ordinal); None for nominal.
        group: group codes, 0 to n_groups - 1, in the order of the sorted group names, so that resampling
            does not depend on the order of the rows.
    """

    index: IntArray
    labels: tuple[str, ...]
    gold: IntArray
    judged: IntArray
    gold_number: FloatArray | None
    judged_number: FloatArray | None
    group: IntArray

    @property
    def n(self) -> int:
        return len(self.index)

    @property
    def n_groups(self) -> int:
        return int(self.group.max()) + 1 if self.n else 0

    @property
    def n_codes(self) -> int:
        """How many codes `gold` and `judged` may hold."""
        return max([len(self.labels), *(int(a.max()) + 1 for a in (self.gold, self.judged) if self.n)])


def check_lengths(**columns: Sequence[object]) -> None:
    """Refuse columns that are not of one length, naming each.

    Raises:
        DataError: the lengths differ.
    """
    if len({len(column) for column in columns.values()}) > 1:
        found = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise DataError(f"The columns have different lengths: {found}.", "Give one entry for each row.")


def encode(
    gold: Sequence[Value], judged: Sequence[Judgement], groups: Sequence[str], value_type: ValueType
) -> Pairs:
    """Code the scored rows.

    Args:
        gold: the human label of each row.
        judged: what the judge said of each row; Unscored rows are left out.
        groups: the group of each row; rows of one group are not independent.
        value_type: the judge's value type; free text has no agreement statistic.

    Raises:
        DataError: the columns differ in length, a value is not of the value type (its row is named), or
            the value type is free text.
    """
    check_lengths(gold=gold, judged=judged, groups=groups)
    if value_type.scale == "free":
        raise DataError(
            f"{value_type.kind.capitalize()} verdicts without a scale cannot be compared with labels by an "
            "agreement statistic.",
            "Give the judge a bool, Literal, ordered, int or float value type.",
        )
    rows = [(i, j.value) for i, j in enumerate(judged) if isinstance(j, Scored)]
    index = [i for i, _ in rows]
    own = [_text(gold[i], value_type, f"Row {i}: label") for i in index]
    said = [_text(value, value_type, f"Row {i}: verdict") for i, value in rows]
    if value_type.kind == "float" or not value_type.is_choice:
        labels = tuple(sorted({*own, *said}, key=float))
    else:
        labels = value_type.choices()
    code = {label: k for k, label in enumerate(labels)}
    names = sorted({groups[i] for i in index})
    place = {name: k for k, name in enumerate(names)}
    numeric = value_type.scale != "nominal" or value_type == BOOL
    return Pairs(
        index=np.array(index, dtype=np.int64),
        labels=() if value_type.kind == "float" else labels,
        gold=np.array([code[t] for t in own], dtype=np.int64),
        judged=np.array([code[t] for t in said], dtype=np.int64),
        gold_number=_numbers([gold[i] for i in index], value_type) if numeric else None,
        judged_number=_numbers([value for _, value in rows], value_type) if numeric else None,
        group=np.array([place[groups[i]] for i in index], dtype=np.int64),
    )


def _text(value: Value, value_type: ValueType, where: str) -> str:
    """The text form of a value that the value type allows."""
    numeric = value_type.kind in ("int", "float") and value != NOT_APPLICABLE
    if numeric and (isinstance(value, (str, bool)) or not np.isfinite(value)):
        raise DataError(f"{where} {str(value)[:60]!r} is not a number.", "Label it on the judge's scale.")
    text = value_type.text_of(float(value)) if value_type.kind == "float" else value_type.text_of(value)
    choices = value_type.choices()
    if choices and text not in choices:
        raise DataError(
            f"{where} {text[:60]!r} is not a value of this judge.", f"Allowed: {', '.join(choices)}."
        )
    return text


def _numbers(values: Sequence[Value], value_type: ValueType) -> FloatArray:
    return np.array([value_type.number_of(value) for value in values], dtype=np.float64)


def take(pairs: Pairs, keep: IntArray) -> Pairs:
    """The rows at positions `keep` of `pairs` (not of the caller's rows), groups coded anew."""
    numbers = pairs.gold_number, pairs.judged_number
    return Pairs(
        index=pairs.index[keep],
        labels=pairs.labels,
        gold=pairs.gold[keep],
        judged=pairs.judged[keep],
        gold_number=None if numbers[0] is None else numbers[0][keep],
        judged_number=None if numbers[1] is None else numbers[1][keep],
        group=np.unique(pairs.group[keep], return_inverse=True)[1].astype(np.int64),
    )
