"""What is climbed: the judges' verdicts as numbers where more is better, and one number for a row.

A verdict without a place on such a scale (no verdict, "not applicable") gives no number, and a row that lacks a
number of any judge has no score: it changes no mean and no comparison.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from judge_opt.core.errors import UsageError
from judge_opt.core.results import NOT_APPLICABLE, Judgement, Scored, Value
from judge_opt.core.text import fold, nearest
from judge_opt.core.values import ValueType
from judge_opt.evaluation.metrics import positive_label


@dataclass(frozen=True, slots=True)
class Objective:
    """What a judge's verdicts are worth.

    Attributes:
        weight: of this judge in a row's score, above 0; or 0, where it only must not fall.
        scores: label to what it is worth, 0 the worst and 1 the best; for labels that do not say so themselves.
        low, high: of a judge that gives numbers without bounds.
        lower_is_better: turns the scale around.
        must_not_fall: a prompt whose mean here is below the seed's is not taken, whatever else it gains.
    """

    weight: float = 1.0
    scores: Mapping[str, float] | None = None
    low: float | None = None
    high: float | None = None
    lower_is_better: bool = False
    must_not_fall: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """One judge with its objective.

    Attributes:
        name: the judge's.
        bounded: the score is in [0, 1]; else it is the judge's number itself.
    """

    name: str
    value_type: ValueType | None
    objective: Objective
    bounded: bool

    @property
    def weight(self) -> float:
        return self.objective.weight

    def score(self, said: Judgement) -> float | None:
        """What a judgement is worth; None where it says nothing."""
        if not isinstance(said, Scored) or said.value == NOT_APPLICABLE:
            return None
        found = self._place(said.value)
        if found is None or not self.objective.lower_is_better:
            return found
        return 1.0 - found if self.bounded else -found

    def _place(self, value: Value) -> float | None:
        kind, objective = self.value_type, self.objective
        if objective.scores is not None:
            text = kind.text_of(value) if kind is not None else str(value)
            return {fold(label): float(one) for label, one in objective.scores.items()}.get(fold(text))
        if kind is None:
            number = None if isinstance(value, str) else float(value)
        elif (good := positive_label(kind)) is not None:
            return 1.0 if kind.text_of(value) == good else 0.0
        else:
            number = kind.number_of(value)
        low, high = _bounds(kind, objective)
        if number is None or low is None or high is None:
            return number
        return min(1.0, max(0.0, (number - low) / (high - low)))


class Rated(Protocol):
    """Whoever gives verdicts: a name, and what they can be."""

    name: str
    value_type: ValueType | None


def aims_of(scorers: Sequence[Rated], objectives: Mapping[str, Objective | float] | None) -> list[Aim]:
    """The aims of judges, in their order.

    Args:
        objectives: judge's name to its objective, or to its weight alone.

    Raises:
        UsageError: a name is no judge's, a weight is not above 0, or it is not known what is better.
    """
    given = dict(objectives or {})
    names = [one.name for one in scorers]
    for name in given:
        if name not in names:
            raise UsageError(
                f"The objective {name!r} names no judge here.{nearest(name, names)}",
                f"Judges: {', '.join(names)}.",
            )
    aims = [_aim(one, given.get(one.name)) for one in scorers]
    if not any(aim.weight for aim in aims):
        raise UsageError("Every judge has the weight 0.", "Give the one that is to rise a weight.")
    if len(aims) > 1 and (loose := [aim.name for aim in aims if aim.weight and not aim.bounded]):
        raise UsageError(
            f"{loose[0]!r} gives numbers without bounds, which cannot be put together with other judges'.",
            f"Say what they range over: objectives={{{loose[0]!r}: Objective(low=1, high=5)}}.",
        )
    return aims


def combined(scores: Sequence[float | None], aims: Sequence[Aim]) -> float | None:
    """The weighted mean; None where any is missing."""
    total = 0.0
    for score, aim in zip(scores, aims, strict=True):
        if score is None:
            return None
        total += aim.weight * score
    return total / sum(aim.weight for aim in aims)


def _aim(scorer: Rated, given: Objective | float | None) -> Aim:
    if given is None:
        objective = Objective()
    else:
        objective = given if isinstance(given, Objective) else Objective(weight=float(given))
    if not (objective.weight > 0 or (objective.must_not_fall and objective.weight == 0)):
        raise UsageError(
            f"The weight of {scorer.name!r} is {objective.weight:g}.",
            "Give one above 0; lower_is_better=True turns a scale around.",
        )
    kind = scorer.value_type
    if objective.scores is not None:
        _check_scores(scorer.name, kind, objective.scores)
        return Aim(scorer.name, kind, objective, True)
    if kind is None or kind.scale == "numeric":
        low, high = _bounds(kind, objective)
        return Aim(scorer.name, kind, objective, low is not None and high is not None)
    if positive_label(kind) is None and kind.scale != "ordered":
        labels = ", ".join(kind.choices()) or kind.describe()
        raise UsageError(
            f"It is not known which verdicts of {scorer.name!r} are better ({labels}).",
            f"Say so: objectives={{{scorer.name!r}: Objective(scores={{...: 0.0, ...: 1.0}})}}.",
        )
    return Aim(scorer.name, kind, objective, True)


def _check_scores(name: str, kind: ValueType | None, scores: Mapping[str, float]) -> None:
    if bad := [label for label, one in scores.items() if not 0 <= one <= 1]:
        raise UsageError(
            f"{name!r}: the score of {bad[0]!r} is not in 0 to 1.", "Give 0 the worst, 1 the best."
        )
    labels = [one for one in kind.choices() if one != NOT_APPLICABLE] if kind is not None else []
    have = {fold(label) for label in scores}
    if lacking := [label for label in labels if fold(label) not in have]:
        raise UsageError(f"{name!r}: the label {lacking[0]!r} has no score.", "Give one for every label.")


def _bounds(kind: ValueType | None, objective: Objective) -> tuple[float | None, float | None]:
    if objective.low is not None and objective.high is not None and objective.low < objective.high:
        return objective.low, objective.high
    if kind is None:
        return None, None
    if kind.kind == "ordinal":
        return 0.0, float(len(kind.labels) - 1)
    return kind.low, kind.high
