"""What stood behind one judgement: the guidelines and examples used, and what each contributed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.core.values import ValueType
from judge_opt.judges.distributions import distribution
from judge_opt.judges.feedback import Feedback
from judge_opt.memory.fusion import log_odds
from judge_opt.memory.memory import demo

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


@dataclass(frozen=True, slots=True)
class Influence:
    """One thing that a judgement rests on.

    Attributes:
        kind: "guideline", "example", "neighbour" (an example that votes), or "source" (of the pooled answer).
        what: its text, its id, or the source's name.
        says: the label that it stands for, where it has one.
        worth: for a guideline what it was measured to gain on labelled rows; for an example or neighbour its
            similarity; for a source its share of the log odds for the verdict.
        effect: by how much the model's probability of the verdict, before anything is pooled, falls without it
            (a value, on numeric scales), for this item; None where that was not measured, or where either
            judgement failed.
    """

    kind: str
    what: str
    says: str = ""
    worth: float | None = None
    effect: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Attributes:
    feedback: the judgement.
    influences: guidelines, then examples, then what is pooled.
    measured: calls that were made to measure effects.
    """

    feedback: Feedback
    influences: tuple[Influence, ...]
    measured: int = 0

    def __str__(self) -> str:
        lines = [f"verdict: {self.feedback.value}"]
        for one in self.influences:
            told = [f"{one.kind:9} {printable(one.what)[:140]}"]
            if one.says:
                told.append(f"says {one.says}")
            if one.worth is not None:
                told.append(
                    {"source": "share"}.get(one.kind, "worth" if one.kind == "guideline" else "similarity")
                )
                told[-1] += f" {one.worth:+.3f}"
            if one.effect is not None:
                told.append(f"effect here {one.effect:+.3f}")
            lines.append("; ".join(told))
        return "\n".join(lines)


def explain(judge: "Judge", item: Any, *, measure: bool) -> Explanation:
    """See `Judge.explain`."""
    feedback = judge.judge_item(item)
    memory, parts = judge.memory, judge.parts(item)
    if memory is None or isinstance(parts, Unscored) or isinstance(feedback.result, Unscored):
        return Explanation(feedback, ())
    vector = judge.embed([parts])[0] if memory.needs_vectors else None
    recall = memory.recall(vector)
    fields = {v.name: v.field for v in judge.template.variables}
    active = [g for g in recall.guidelines if g.state == "active"]
    shown = [demo(episode, fields) for episode, _ in recall.shown]
    whole = judge.ask(parts, guidelines=active, demos=shown)
    verdict = feedback.result

    def effect(without: Judgement) -> float | None:
        return _effect(whole, without, verdict, judge.value_type)

    effects: dict[tuple[str, int], float | None] = {}
    if measure:
        for k in range(len(active)):
            rest = [g for i, g in enumerate(active) if i != k]
            effects["guideline", k] = effect(judge.ask(parts, guidelines=rest, demos=shown))
        for k in range(len(shown)):
            others = [d for i, d in enumerate(shown) if i != k]
            effects["example", k] = effect(judge.ask(parts, guidelines=active, demos=others))
    text_of = judge.value_type.text_of
    found = [
        Influence("guideline", g.text, g.leads_to, g.uplift, effects.get(("guideline", k)))
        for k, g in enumerate(active)
    ]
    found += [
        Influence("example", e.id, text_of(e.gold), s, effects.get(("example", k)))
        for k, (e, s) in enumerate(recall.shown)
    ]
    found += [Influence("neighbour", e.id, text_of(e.gold), s) for e, s in recall.near]
    if memory.fusion is not None and isinstance(whole, Scored):
        found += _shares(whole, recall.sources, memory.fusion.weights, feedback.result, judge.value_type)
    return Explanation(feedback, tuple(found), len(effects))


def _effect(with_it: Judgement, without: Judgement, verdict: Scored, value_type: ValueType) -> float | None:
    if not isinstance(with_it, Scored) or not isinstance(without, Scored):
        return None
    if value_type.is_choice:
        place = value_type.choices().index(value_type.text_of(verdict.value))
        return distribution(with_it, value_type)[place] - distribution(without, value_type)[place]
    a, b = value_type.number_of(with_it.value), value_type.number_of(without.value)
    return None if a is None or b is None else a - b


def _shares(
    own: Scored,
    sources: Mapping[str, Any],
    weights: Mapping[str, float],
    verdict: Scored,
    value_type: ValueType,
) -> Sequence[Influence]:
    """Of each pooled source, its weighted log odds for the verdict against the mean of the other labels."""
    labels = value_type.choices()
    place = labels.index(value_type.text_of(verdict.value))
    given = {"judge": np.asarray([distribution(own, value_type)]), **sources}
    out = []
    for name in sorted(weights):
        logs = log_odds(given[name])[0]
        rest = np.delete(logs, place).mean()
        says = labels[int(logs.argmax())]
        out.append(Influence("source", name, says, float(weights[name] * (logs[place] - rest))))
    return out
