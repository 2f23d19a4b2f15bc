"""What a judge's memory adds to one judgement: what is shown, what is pooled, and what the feedback says of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.core.results import Judgement, Unscored
from judge_opt.judges.decide import decide
from judge_opt.judges.distributions import distribution
from judge_opt.judges.feedback import Feedback
from judge_opt.memory.memory import Recall, demo
from judge_opt.memory.vectors import Vectors

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


def recalled(
    judge: "Judge", vector: Vectors | None, not_group: str | None
) -> tuple[Recall | None, list[dict[str, Any]]]:
    """What memory offers for an item, and the examples of it as DSPy's demos; (None, []) without a memory.

    Args:
        vector: of the item, where the memory needs one.
        not_group: the item's own group, where it is one of the labelled rows.
    """
    if judge.memory is None:
        return None, []
    recall = judge.memory.recall(vector, not_group)
    return recall, [demo(episode, judge._fields) for episode, _ in recall.shown]


def settled(judge: "Judge", asked: Judgement, recall: Recall | None) -> Judgement:
    """The model's own answer, pooled with what the examples say, then calibrated."""
    fused = _fused(judge, asked, recall)
    return fused if judge.calibration is None else judge.calibration.apply(fused, judge.value_type)


def _fused(judge: "Judge", asked: Judgement, recall: Recall | None) -> Judgement:
    if recall is None or judge.memory is None or judge.memory.fusion is None or isinstance(asked, Unscored):
        return asked
    own = np.asarray([distribution(asked, judge.value_type)])
    odds = judge.memory.fusion.of({"judge": own, **recall.sources})[0]
    pooled = {label: float(p) for label, p in zip(judge.value_type.choices(), odds, strict=True)}
    value = decide(pooled, judge.value_type)
    return replace(
        asked, value=value, confidence=pooled[judge.value_type.text_of(value)], probabilities=pooled
    )


def feedback_of(
    judge: "Judge", result: Judgement, recall: Recall | None, cut: Sequence[Any] = ()
) -> Feedback:
    """A judgement as feedback; its metadata say what was recalled, and what of the item was cut."""
    metadata: dict[str, Any] = dict(result.details)
    if cut:
        metadata["cut"] = list(cut)
    if recall is not None:
        metadata |= {
            "guidelines": [g.text for g in recall.guidelines if g.state == "active"],
            "examples": [{"id": e.id, "similarity": s} for e, s in reversed(recall.shown)],
            "neighbours": [
                {"id": e.id, "value": judge.value_type.text_of(e.gold), "similarity": s}
                for e, s in recall.near
            ],
        }
        if recall.left_out:
            metadata["examples_left_out"] = recall.left_out
    return Feedback(
        result,
        name=judge.name,
        source=judge.model or judge.name,
        source_type=judge.source_type,
        metadata=metadata,
    )
