"""A judgement is either Scored or Unscored: a failure is never a verdict.

Code that averages, selects or pairs must go through `Scored`; an `Unscored` row has no value to
average by accident, and its reason travels with it into every report.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Value = bool | int | float | str
"""A verdict or a human label, in its Python type. A categorical label is a str."""

NOT_APPLICABLE = "not applicable"
"""The value of an optional type where the question does not apply. It is a verdict, and no failure."""

UnscoredReason = Literal[
    "unparseable",  # the reply holds no verdict that can be read with certainty
    "out_of_set",  # a verdict was read, but it is not one of the allowed values
    "empty",  # the reply is empty or white space
    "truncated",  # the reply was cut at the token limit before a verdict
    "refused",  # the model refused to judge
    "timeout",  # the deadline passed
    "call_failed",  # the endpoint failed after every retry
    "too_long",  # the item does not fit the model's context
    "missing_input",  # a template variable has no value for this row
    "cancelled",  # the run was stopped before this row was judged
    "no_agreement",  # several verdicts (samples, jurors, swapped positions) that do not make one
]


@dataclass(frozen=True, slots=True)
class Scored:
    """A verdict that was read with certainty.

    Attributes:
        value: the verdict, in the judge's value type.
        rationale: the judge's reasons, or None where none were asked for.
        confidence: probability in [0, 1] of `value`, from measured label probabilities; None where the
            endpoint gives none. Never a number that the model wrote about itself.
        probabilities: label (in text form) to probability, summing to 1; None like `confidence`.
        raw: the model's reply, kept for inspection.
        details: how the verdict came about, where there is more to say: the jurors' votes, the samples,
            whether a repair was needed. JSON values.
    """

    value: Value
    rationale: str | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] | None = None
    raw: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unscored:
    """No verdict, and why.

    Attributes:
        reason: one of `UnscoredReason`.
        detail: one line for people.
        raw: the model's reply where there was one.
        details: as of `Scored`.
    """

    reason: UnscoredReason
    detail: str = ""
    raw: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


Judgement = Scored | Unscored


def coverage(judgements: "list[Judgement]") -> float:
    """Share of rows that were judged, in [0, 1]; 0.0 for an empty list."""
    if not judgements:
        return 0.0
    return sum(isinstance(j, Scored) for j in judgements) / len(judgements)
