"""Criteria that know how sure the figures are: `correctness >= 0.9 at 95 %`.

    criterion   = figure, operator, number, [ "%" ], [ "at", number, "%" ]
    figure      = judge, [ "/", name ]       the judge's mean, where no name is given
    operator    = ">=" | "<=" | ">" | "<"

A criterion is **met** where the whole interval lies on the wanted side, **not met** where the whole interval
lies on the other side, and **undecided** where the bound lies inside: more rows are needed to tell. The
interval is two-sided at the stated confidence (95 % where none is stated), so that a criterion which does
not hold is called met with a chance of at most half of what is left, 2.5 %.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from judge_opt.core.errors import UsageError
from judge_opt.core.text import nearest
from judge_opt.evaluation.metrics import JudgeMetrics
from judge_opt.validate.figures import Figure, Strict

Operator = Literal[">=", "<=", ">", "<"]
Status = Literal["met", "not met", "undecided"]

MIN_COVERAGE = 0.9
"""Below this share of judged rows nothing but the coverage itself is decided."""

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_CRITERION = re.compile(
    rf"\s*(?P<figure>\S(?:.*?\S)?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>{_NUMBER})\s*(?P<percent>%?)"
    rf"(?:\s+at\s+(?P<confidence>{_NUMBER})\s*%)?\s*",
    re.IGNORECASE,
)
_REMEDY = 'Write for example "correctness >= 0.9 at 95 %" or "tone/share/rude <= 2 %".'


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion.

    Attributes:
        text: as written.
        figure: "judge" or "judge/name".
        bound: what the figure is held against, in the figure's own unit.
        confidence: of the two-sided interval, in (0, 1).
    """

    text: str
    figure: str
    operator: Operator
    bound: float
    confidence: float = 0.95

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        """Raises:
        UsageError: the text is no criterion.
        """
        match = _CRITERION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UsageError(f"{str(text)[:80]!r} is no criterion.", _REMEDY)
        confidence = float(match["confidence"] or 95.0) / 100
        if not 0.5 <= confidence < 1.0:
            raise UsageError(
                f"{text!r}: a confidence of {match['confidence']} % cannot be had.", "Give 50 to 99.99 %."
            )
        bound = float(match["bound"]) / (100 if match["percent"] else 1)
        operator: Operator = match["op"]  # type: ignore[assignment]
        return cls(text.strip(), match["figure"], operator, bound, confidence)


class Outcome(Strict):
    """How a criterion stands.

    Attributes:
        criterion: as written.
        status: see the module.
        figure: the figure with the interval that decided.
        why: in one sentence.
    """

    criterion: str
    status: Status
    figure: Figure
    why: str


def parse_criteria(criteria: "str | Criterion | Sequence[str | Criterion] | None") -> list[Criterion]:
    """One or several criteria, as text or parsed.

    Raises:
        UsageError: one of them is none.
    """
    if criteria is None:
        return []
    many = [criteria] if isinstance(criteria, (str, Criterion)) else list(criteria)
    return [one if isinstance(one, Criterion) else Criterion.parse(one) for one in many]


def locate(figure: str, judges: Sequence[str]) -> tuple[str, str]:
    """The judge and the figure's name in "judge/name"; the longest judge's name that fits.

    Raises:
        UsageError: it names no judge of this evaluation.
    """
    for judge in sorted(judges, key=len, reverse=True):
        if figure == judge:
            return judge, ""
        if figure.startswith(f"{judge}/"):
            return judge, figure[len(judge) + 1 :]
    raise UsageError(
        f"The criterion names {figure[:80]!r}, which is no judge here.{nearest(figure.split('/')[0], judges)}",
        f"Judges: {', '.join(judges)}.",
    )


def decide(
    criterion: Criterion, measured: Mapping[str, JudgeMetrics], min_coverage: float = MIN_COVERAGE
) -> Outcome:
    """Hold a criterion against the figures, which must have been measured at its confidence.

    Raises:
        UsageError: it names no judge, or a figure that this judge does not have.
    """
    judge, name = locate(criterion.figure, list(measured))
    metrics = measured[judge]
    figure = metrics.figure(name or "mean")
    if figure is None:
        what = f"has no figure {name!r}" if name else "has no mean: name the figure"
        raise UsageError(
            f"The judge {judge!r} {what}.{nearest(name, metrics.names())}",
            f"It has: {', '.join(f'{judge}/{one}' for one in metrics.names())}.",
        )
    covered = metrics.coverage.value or 0.0
    if name != "coverage" and covered < min_coverage:
        share = f"{100 * covered:.0f} % of the rows were judged"
        why = f"Only {share}; below {100 * min_coverage:.0f} % nothing is decided."
        return Outcome(criterion=criterion.text, status="undecided", figure=figure, why=why)
    status = _status(criterion, figure)
    return Outcome(
        criterion=criterion.text, status=status, figure=figure, why=_why(criterion, figure, status)
    )


def _status(criterion: Criterion, figure: Figure) -> Status:
    low, high, bound = figure.low, figure.high, criterion.bound
    if low is None or high is None:
        return "undecided"
    if criterion.operator == ">=":
        return "met" if low >= bound else "not met" if high < bound else "undecided"
    if criterion.operator == ">":
        return "met" if low > bound else "not met" if high <= bound else "undecided"
    if criterion.operator == "<=":
        return "met" if high <= bound else "not met" if low > bound else "undecided"
    return "met" if high < bound else "not met" if low >= bound else "undecided"


def _why(criterion: Criterion, figure: Figure, status: Status) -> str:
    if figure.value is None:
        return f"The figure is not defined: {figure.reason}"
    if figure.low is None or figure.high is None:
        return f"The figure is {figure.value:.3g} and has no interval: {figure.reason}"
    interval = f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g} at {100 * figure.confidence:g} %)"
    if status == "undecided":
        return f"{interval}: the bound {criterion.bound:g} lies inside. More rows can decide."
    side = "above" if (status == "met") == (criterion.operator in (">=", ">")) else "below"
    return f"{interval}: the whole interval lies {side} {criterion.bound:g}."
