"""What a corrected estimate is, and when it has to be taken with care."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Value
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import Strict
from judge_opt.validate.pairs import FloatArray, IntArray

Method = Literal["post-stratified beta", "PPI++", "stratified PPI++", "Rogan-Gladen"]


class Corrected(Strict):
    """An estimate from verdicts and labels.

    Attributes:
        value, low, high: None where there is none, and then `reason` says why.
        n_rows, n_labelled, n_groups: rows, those with a label, and the groups of those.
        n_unscored: rows without a verdict.
        judge_alone: the rate or mean of the verdicts, without correction: what a report without labels
            would have said. None where nothing was scored.
        labels_low, labels_high: the interval from the labels alone (Jeffreys for a rate, Student's t for a
            mean); None where there is none, and for Rogan-Gladen.
        label_multiplier: (width with labels alone / width)^2: with labels alone, this many times as many
            would have been needed for the same width. Below 1 where the verdicts did not help.
        design_effect: by how much rows of one group being alike widened the interval's variance.
        caution: where the simulation (benchmarks/intervals) found that intervals of this kind and size do not
            always hold what they promise; None elsewhere.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    method: Method
    n_rows: int
    n_labelled: int
    n_groups: int
    n_unscored: int
    judge_alone: float | None = None
    labels_low: float | None = None
    labels_high: float | None = None
    label_multiplier: float | None = None
    design_effect: float = 1.0
    caution: str | None = None
    reason: str | None = None

    def text(self) -> str:
        """For people: "0.81 (0.74 to 0.87); judge alone 0.92; one label was worth 1.8"."""
        if self.value is None or self.low is None or self.high is None:
            return f"not defined: {self.reason}"
        parts = [f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"]
        if self.judge_alone is not None:
            parts.append(f"judge alone {self.judge_alone:.3g}")
        if self.label_multiplier is not None:
            parts.append(f"one label was worth {self.label_multiplier:.1f}")
        if self.caution:
            parts.append(self.caution)
        return "; ".join(parts)


def estimated(
    base: Corrected,
    value: float,
    low: float,
    high: float,
    alone: Sequence[float] | FloatArray | None,
    effect: float,
    *,
    is_rate: bool = True,
) -> Corrected:
    """`base` with an estimate, what the labels alone gave beside it, and a caution where one is due."""
    more: dict[str, float | str | None] = {
        "value": value,
        "low": low,
        "high": high,
        "design_effect": float(effect),
    }
    if alone is not None:
        more |= {"labels_low": float(alone[0]), "labels_high": float(alone[1])}
        more["label_multiplier"] = float(((alone[1] - alone[0]) / (high - low)) ** 2)
    return base.model_copy(update={**more, "caution": _caution(base, is_rate)})


def _caution(base: Corrected, is_rate: bool) -> str | None:
    """What the simulation says of this method at so many labelled groups."""
    n = base.n_groups
    if base.method == "post-stratified beta" and n < 30:
        return f"with {n} independent labels; fewer than 30 were not simulated"
    if base.method == "post-stratified beta" and n < 50:
        return f"with {n} independent labels the interval held in 94 to 98 % of simulations"
    if base.method.endswith("PPI++") and is_rate and n < 300:
        return f"for a rate take corrected_rate: with {n} labels this interval held in as few as 67 % of simulations"
    if base.method.endswith("PPI++") and n < 300:
        return f"with {n} labels, where most are at one end of the scale, it held in as few as 80 % of simulations"
    return None


def unusable(base: Corrected) -> str | None:
    """Why there can be no estimate from these labels; None where there can."""
    if base.n_labelled == 0:
        return "No row has a label, so the judge's errors are not known."
    if base.n_groups < 2:
        return "There are fewer than two labelled groups, so the spread cannot be seen."
    return None


def checked_label(positive: Value, value_type: ValueType) -> str:
    """The text of a label of the value type; UsageError where it is none."""
    choices = value_type.choices()
    text = value_type.text_of(positive) if choices else ""
    if text not in choices:
        raise UsageError(
            f"{positive!r} is no label of this judge.",
            f"Give positive= one of: {', '.join(choices) or '(none)'}.",
        )
    return text


def codes(names: Sequence[str]) -> IntArray:
    """The position of each name among the sorted names [n]."""
    return (
        np.unique(list(names), return_inverse=True)[1].astype(np.int64)
        if len(names)
        else np.array([], np.int64)
    )
