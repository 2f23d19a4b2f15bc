"""What the judge said of the labelled rows, kept with the memory: so that learning from a few more labels asks
about these only, and taking labels back asks nobody.

For each example up to three judgements, none of which has seen the example's own label: "plain" by the
untouched judge, "guided" with guidelines that were not distilled from it, "shown" with examples of other
groups besides. JSON values.
"""

from collections.abc import Mapping
from typing import Any, Literal

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType

Kind = Literal["plain", "guided", "shown"]
Said = Mapping[str, Mapping[str, Any]]
"""Kind to a judgement, for one example."""
_RATIONALE = 300


def as_json(judged: Judgement) -> dict[str, Any]:
    """A judgement in short: what fusion and distillation need of it."""
    if isinstance(judged, Unscored):
        return {"unscored": judged.reason, "detail": judged.detail[:_RATIONALE]}
    odds = judged.probabilities
    return {
        "value": judged.value,
        "why": (judged.rationale or "")[:_RATIONALE],
        "odds": None if odds is None else {label: round(p, 6) for label, p in odds.items()},
    }


def from_json(data: Mapping[str, Any], value_type: ValueType) -> Judgement:
    """The inverse of `as_json`."""
    if "unscored" in data:
        return Unscored(data["unscored"], data["detail"])
    value, odds = data["value"], data["odds"]
    sure = None if odds is None else odds[value_type.text_of(value)]
    return Scored(value, data["why"] or None, sure, odds)
