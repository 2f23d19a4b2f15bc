"""A verdict as a distribution over the labels."""

from judge_opt.core.results import Scored
from judge_opt.core.values import ValueType


def distribution(judged: Scored, value_type: ValueType) -> list[float]:
    """A verdict's distribution over the labels; where the endpoint gave none, the verdict with 0.8 and
    the rest evenly (fusion's fitted weight says what that is worth)."""
    labels = value_type.choices()
    if judged.probabilities is not None:
        return [judged.probabilities[label] for label in labels]
    verdict = value_type.text_of(judged.value)
    rest = 0.2 / (len(labels) - 1)
    return [0.8 if label == verdict else rest for label in labels]
