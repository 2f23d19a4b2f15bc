"""Who gave which label to which item, as one array: what every statistic of raters computes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import UsageError
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]

MISSING = -1


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure, or the reason why there is none.

    Attributes:
        value: None where it is not defined; never NaN.
        reason: why there is no value, one sentence; None where there is one.
        n_items, n_raters, n_ratings: what entered.
    """

    value: float | None
    reason: str | None = None
    n_items: int = 0
    n_raters: int = 0
    n_ratings: int = 0


def need_ratings(given: object) -> None:
    """Raises:
    UsageError: it is something else, such as the examples themselves.
    """
    if not isinstance(given, Ratings):
        raise UsageError(
            f"A statistic of raters takes Ratings, not {type(given).__name__}.",
            "Make them of labelled examples: Ratings.of(examples, value_type).",
        )


@dataclass(frozen=True, slots=True)
class Ratings:
    """The votes of some examples.

    Attributes:
        items: the examples' ids [N].
        groups: the examples' groups [N].
        raters: sorted [R].
        labels: what the codes stand for, in declared order; for numbers without a list of choices, the
            values that occur, ascending.
        numbers: each label on its numeric scale; None where the labels have no order.
        level: the scale of measurement that the value type has: nominal, ordinal for ordered labels,
            interval for numbers, also for a short range of whole numbers.
        codes: position in `labels` [R, N], `MISSING` where a rater did not label an item.
    """

    items: tuple[str, ...]
    groups: tuple[str, ...]
    raters: tuple[str, ...]
    labels: tuple[str, ...]
    numbers: tuple[float, ...] | None
    level: Level
    codes: IntArray

    @classmethod
    def of(cls, examples: Sequence[LabelledExample], value_type: ValueType | Any) -> "Ratings":
        """The votes of `examples`.

        Raises:
            DataError: a vote is not of the value type; names the item.
            UsageError: the value type is free text or JSON, which have no agreement statistic.
        """
        allowed = ValueType.of(value_type)
        if allowed.scale == "free":
            raise UsageError(
                f"Labels of kind {allowed.kind} without a scale have no agreement statistic.",
                "Use a value type whose values can be compared.",
            )
        raters = sorted({vote.rater for one in examples for vote in one.votes})
        values = {
            (one.id, vote.rater): allowed.check_label(vote.value, f"Item {one.id!r}")
            for one in examples
            for vote in one.votes
        }
        numbers: tuple[float, ...] | None = None
        if allowed.is_choice:
            labels = allowed.choices()
            code_of = {label: code for code, label in enumerate(labels)}
            codes_of = {key: code_of[allowed.text_of(value)] for key, value in values.items()}
            if allowed.scale == "ordered":
                numbers = tuple(
                    float(rank if allowed.kind == "ordinal" else int(label))
                    for rank, label in enumerate(labels)
                )
            elif allowed.kind == "bool" and not allowed.optional:
                numbers = tuple(float(label == "true") for label in labels)
        else:
            distinct = sorted({float(value) for value in values.values()})
            place = {number: code for code, number in enumerate(distinct)}
            labels = tuple(f"{number:g}" for number in distinct)
            codes_of = {key: place[float(value)] for key, value in values.items()}
            numbers = tuple(distinct)
        row_of = {rater: row for row, rater in enumerate(raters)}
        codes = np.full((len(raters), len(examples)), MISSING, dtype=np.int64)
        for n, one in enumerate(examples):
            for vote in one.votes:
                codes[row_of[vote.rater], n] = codes_of[one.id, vote.rater]
        level: Level = "nominal"
        if allowed.kind == "ordinal" and allowed.scale == "ordered":
            level = "ordinal"
        elif allowed.scale in ("ordered", "numeric"):
            level = "interval"
        return cls(
            tuple(one.id for one in examples),
            tuple(one.group for one in examples),
            tuple(raters),
            labels,
            numbers,
            level,
            codes,
        )

    @property
    def n_items(self) -> int:
        return int(self.codes.shape[1])

    @property
    def n_raters(self) -> int:
        return int(self.codes.shape[0])

    @property
    def votes_of_item(self) -> IntArray:
        """How many raters labelled each item [N]."""
        out: IntArray = (self.codes != MISSING).sum(axis=0).astype(np.int64)
        return out

    @property
    def counts(self) -> IntArray:
        """How many raters gave each label to each item [N, K]."""
        out = np.zeros((self.n_items, len(self.labels)), dtype=np.int64)
        for row in self.codes:
            said = np.flatnonzero(row != MISSING)
            out[said, row[said]] += 1
        return out

    def statistic(self, value: float, items: int | None = None) -> Statistic:
        """A value with what entered it."""
        shared = self.votes_of_item >= 2
        said = (self.codes[:, shared] != MISSING).any(axis=1)
        n = int(shared.sum()) if items is None else items
        return Statistic(float(value), None, n, int(said.sum()), int(self.votes_of_item[shared].sum()))

    def undefined(self) -> str | None:
        """Why nothing that holds raters against each other is defined here, or None."""
        if self.n_items == 0 or not (self.codes != MISSING).any():
            return "There is no label."
        if not (self.votes_of_item >= 2).any():
            raters = "one rater only" if self.n_raters == 1 else f"{self.n_raters} raters"
            return f"No item was labelled by two raters ({raters}), so people cannot be compared."
        return None

    def one_label(self) -> str | None:
        """The sentence for items of several raters on which only one label occurs, or None."""
        used = self.counts[self.votes_of_item >= 2].sum(axis=0) > 0
        if used.sum() > 1:
            return None
        return (
            f"Every label is {self.labels[int(np.argmax(used))]!r}: there is agreement, but no variation that "
            "could show whether it is more than chance."
        )
