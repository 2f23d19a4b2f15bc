"""Agreement with a label as a metric for DSPy's own optimizers.

    metric = agrees(judge)
    better = dspy.GEPA(metric=metric, ...).compile(judge, trainset=[judge.example(row) for row in rows])

DSPy knows no row without a score, so a row without a verdict counts 0 there: look at the coverage, or use
`judge_opt.align`, whose optimizers leave such rows out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dspy

from judge_opt.core.results import NOT_APPLICABLE, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.judges.feedback import Feedback

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


class Score(dspy.Prediction):
    """A score with words for a reflection model. True where the score is above one half: DSPy's
    bootstrapping asks a metric's result for its truth, and a plain prediction is always true."""

    score: float
    feedback: str

    def __bool__(self) -> bool:
        return self.score > 0.5


def agrees(judge: "Judge") -> Callable[..., Score]:
    """A metric in the form of every DSPy optimizer.

    Returns:
        a function of (example, prediction, trace, pred_name, pred_trace) whose score is in [0, 1]: 1 for
        the label itself; for ordered labels and bounded numbers, less by the distance on the scale; and
        whose feedback gives the label, the expert's reasons and what the judge said.
    """
    value_type = judge.value_type

    def metric(
        example: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> Score:
        gold, why = example.value, example.get("rationale")
        expert = f"The expert says {value_type.text_of(gold)}" + (f": {why}" if why else ".")
        result = prediction.result if isinstance(prediction, Feedback) else None
        said = result.value if isinstance(result, Scored) else None
        if said is None:
            reason = getattr(prediction, "error", None) or "no prediction"
            return Score(score=0.0, feedback=f"The judge gave no verdict ({reason}). {expert}")
        share = closeness(gold, said, value_type)
        words = "The judge agrees." if share == 1.0 else f"The judge says {value_type.text_of(said)}."
        return Score(score=share, feedback=f"{words} {expert}")

    return metric


def closeness(gold: Value, said: Value, value_type: ValueType) -> float:
    """1.0 for the same value; else 1 less the distance as a share of the scale where there is one, else 0."""
    if value_type.text_of(gold) == value_type.text_of(said):
        return 1.0
    if value_type.scale not in ("ordered", "numeric") or NOT_APPLICABLE in (gold, said):
        return 0.0
    a, b = value_type.number_of(gold), value_type.number_of(said)
    if value_type.kind == "ordinal":
        width = float(len(value_type.labels) - 1)
    elif value_type.low is not None and value_type.high is not None:
        width = value_type.high - value_type.low
    else:
        return 0.0
    return max(0.0, 1.0 - abs((a or 0.0) - (b or 0.0)) / width)
