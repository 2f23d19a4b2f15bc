"""What a reflection model is told of one row: what the experts say and why, what the judge said and why."""

from collections.abc import Mapping

from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample

REASONS = 3
"""Reasons of experts that are quoted at most, those for the gold value first."""


def feedback_text(row: LabelledExample, judged: Judgement, value_type: ValueType) -> str:
    """One paragraph: the gold value with the votes where the raters disagree, the experts' reasons, the
    judge's own verdict and reason, and whether the two agree.

    It holds text of people and of the judge as it is: whoever puts it into a template writes it there as a
    literal (`judge_opt.judges.template.literal`).
    """
    votes = row.soft
    gold = None if row.gold is None else value_type.text_of(row.gold)
    said = f"The experts say {gold}" if gold is not None else "The experts do not agree"
    if len(votes) > 1:
        said += f" ({_shares(votes)})"
    ordered = sorted(row.votes, key=lambda vote: vote.value != row.gold)
    reasons = list(
        dict.fromkeys(
            f"{value_type.text_of(vote.value)} because: {vote.rationale}"
            for vote in ordered
            if vote.rationale
        )
    )[:REASONS]
    lines = [f"{said}.", *(f"An expert says {reason}" for reason in reasons)]
    if not isinstance(judged, Scored):
        lines.append(f"The judge gave no verdict ({judged.reason}: {judged.detail[:200]}).")
        return "\n".join(lines)
    verdict = value_type.text_of(judged.value)
    sure = f" ({judged.confidence:.0%} sure)" if judged.confidence is not None else ""
    why = f" because: {judged.rationale}" if judged.rationale else ", and gave no reason."
    lines.append(f"The judge says {verdict}{sure}{why}")
    if gold is not None:
        lines.append("That agrees with the experts." if verdict == gold else "That is wrong.")
    return "\n".join(lines)


def _shares(votes: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.0%} {label}" for label, share in sorted(votes.items(), key=lambda v: -v[1]))
