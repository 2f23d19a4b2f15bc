"""From a distribution over labels to one of them."""

from collections.abc import Mapping

from judge_opt.core.results import Value
from judge_opt.core.values import ValueType


def decide(odds: Mapping[str, float], value_type: ValueType) -> Value:
    """The most likely label; for ordered labels the median, which has the least expected distance.

    Ties go to the label that is declared first.
    """
    labels = value_type.choices()
    if value_type.scale == "ordered":
        total = 0.0
        for label in labels:
            total += odds[label]
            if total >= 0.5:
                return value_type.read(label)
    return value_type.read(max(labels, key=lambda label: (odds[label], -labels.index(label))))
