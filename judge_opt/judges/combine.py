"""Several judgements of one item made into one: samples of one judge, or the jurors of a jury.

A judgement without a verdict is no vote. Where too few voted, where the votes tie, or where an unscored
juror could have turned the result, there is no verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import ValueType
from judge_opt.judges.decide import decide

Rule = Literal["majority", "median", "mean", "any", "all", "minimum", "maximum"]


def default_rule(value_type: ValueType) -> Rule:
    """median for ordered labels, mean for numbers, majority for the rest."""
    if value_type.scale == "ordered":
        return "median"
    return "mean" if value_type.scale == "numeric" else "majority"


def combine(
    judgements: Sequence[Judgement],
    value_type: ValueType,
    *,
    rule: Rule,
    weights: Sequence[float] | None = None,
    tie: Value | None = None,
    quorum: float = 0.5,
) -> Judgement:
    """One judgement from several.

    Args:
        judgements: at least one.
        value_type: of all of them.
        rule: majority (of weights), median (of ordered labels; the lower one of two), mean (of numbers),
            any or all (of bool: one, or every, juror must say true), minimum or maximum (of ordered labels
            and numbers; every juror must have spoken).
        weights: one a judgement, 0 or more; None for equal ones.
        tie: the verdict where a majority ties; None: no verdict.
        quorum: share of the weight that must have voted, in (0, 1].

    Returns:
        `Scored` with the shares of the votes as its probabilities, and the mean of the voters' own ones,
        where all have them, in `details["mean_probabilities"]`; or `Unscored("no_agreement")`, or with the
        voters' reason where nobody voted and all for one reason.
    """
    worth = [1.0] * len(judgements) if weights is None else list(weights)
    voters = [(j, w) for j, w in zip(judgements, worth, strict=True) if isinstance(j, Scored) and w > 0]
    total, voted = sum(worth), sum(w for _, w in voters)
    details: dict[str, Any] = {"voted": len(voters), "asked": len(judgements)}
    failed = [j for j in judgements if isinstance(j, Unscored)]
    if failed:
        details["unscored"] = [f"{j.reason}: {j.detail}"[:200] for j in failed]
    if not voters:
        reasons = {j.reason for j in failed}
        reason = reasons.pop() if len(reasons) == 1 else "no_agreement"
        why = failed[0].detail if failed else "every vote has the weight 0"
        return Unscored(reason, f"none of {len(judgements)} gave a verdict: {why}", details=details)
    if rule in ("any", "all"):
        return _decisive(judgements, rule, details)
    if rule in ("minimum", "maximum"):
        return _extreme(judgements, value_type, rule, details)
    if voted < quorum * total:
        return Unscored(
            "no_agreement", f"{len(voters)} of {len(judgements)} gave a verdict: no quorum", details=details
        )
    if rule == "mean":
        return _mean(voters, value_type, details)
    shares = _shares(voters, value_type)
    details |= {"votes": shares, "disagreement": round(1 - max(shares.values()), 12)}
    if rule == "median":
        full = {label: shares.get(label, 0.0) for label in value_type.choices()}
        value = decide(full, value_type)
    else:
        best = max(shares.values())
        leaders = [label for label, share in shares.items() if abs(share - best) < 1e-12]
        if len(leaders) > 1 and tie is None:
            return Unscored("no_agreement", f"the votes tie: {', '.join(leaders)}"[:200], details=details)
        value = tie if len(leaders) > 1 and tie is not None else _value_of(leaders[0], voters, value_type)
    text = value_type.text_of(value)
    if mean := _odds(voters, value_type):
        details["mean_probabilities"] = mean
    odds = {**dict.fromkeys(value_type.choices(), 0.0), **shares}
    return Scored(
        value,
        rationale=_rationale(voters, text, value_type),
        confidence=odds.get(text, 0.0),
        probabilities=odds if value_type.is_choice else None,
        details=details,
    )


def _decisive(judgements: Sequence[Judgement], rule: Rule, details: dict[str, Any]) -> Judgement:
    """One true juror settles `any`, one false juror settles `all`; else every juror must have spoken."""
    settles = rule == "any"
    said = [j for j in judgements if isinstance(j, Scored)]
    for one in said:
        if one.value is settles:
            return Scored(settles, rationale=one.rationale, details=details)
    if len(said) < len(judgements):
        return Unscored("no_agreement", "a juror without a verdict could have turned it", details=details)
    return Scored(not settles, rationale=said[0].rationale, details=details)


def _extreme(
    judgements: Sequence[Judgement], value_type: ValueType, rule: Rule, details: dict[str, Any]
) -> Judgement:
    """The lowest or the highest: a juror without a verdict could have gone beyond it."""
    said = [j for j in judgements if isinstance(j, Scored)]
    if len(said) < len(judgements):
        return Unscored("no_agreement", "a juror without a verdict could have turned it", details=details)
    place = [value_type.number_of(j.value) or 0.0 for j in said]
    chosen = said[place.index(min(place) if rule == "minimum" else max(place))]
    return Scored(chosen.value, rationale=chosen.rationale, details=details)


def _mean(
    voters: Sequence[tuple[Scored, float]], value_type: ValueType, details: dict[str, Any]
) -> Judgement:
    total = sum(w for _, w in voters)
    numbers = [(float(j.value), w) for j, w in voters]
    mean = sum(x * w for x, w in numbers) / total
    spread = (sum(w * (x - mean) ** 2 for x, w in numbers) / total) ** 0.5
    value: Value = round(mean) if value_type.kind == "int" else mean
    nearest = min(voters, key=lambda voter: abs(float(voter[0].value) - mean))[0]
    return Scored(value, rationale=nearest.rationale, details={**details, "mean": mean, "deviation": spread})


def _shares(voters: Sequence[tuple[Scored, float]], value_type: ValueType) -> dict[str, float]:
    """Label to its share of the weight, in the order of the labels, then of the votes."""
    total = sum(w for _, w in voters)
    out = dict.fromkeys(value_type.choices(), 0.0)
    for judged, weight in voters:
        text = value_type.text_of(judged.value)
        out[text] = out.get(text, 0.0) + weight / total
    return {label: share for label, share in out.items() if share > 0}


def _odds(voters: Sequence[tuple[Scored, float]], value_type: ValueType) -> dict[str, float] | None:
    total = sum(w for _, w in voters)
    out = dict.fromkeys(value_type.choices(), 0.0)
    for judged, weight in voters:
        own: Mapping[str, float] | None = judged.probabilities
        if own is None:
            return None
        for label in out:
            out[label] += own.get(label, 0.0) * weight / total
    return out or None


def _value_of(text: str, voters: Sequence[tuple[Scored, float]], value_type: ValueType) -> Value:
    return next(j.value for j, _ in voters if value_type.text_of(j.value) == text)


def _rationale(voters: Sequence[tuple[Scored, float]], text: str, value_type: ValueType) -> str | None:
    """The first reasons given for the verdict."""
    for judged, _ in voters:
        if judged.rationale and value_type.text_of(judged.value) == text:
            return judged.rationale
    return None
