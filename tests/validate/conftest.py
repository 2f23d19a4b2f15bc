"""Judges and labels with known properties."""

import numpy as np
import pytest

from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType, ordered

GRADES = ordered("poor", "fair", "good", "great")


class World:
    """Grouped rows with labels, and judges that give the label with a chance of `skill`."""

    def __init__(
        self, n: int = 120, rows_a_group: int = 2, value_type: ValueType = GRADES, seed: int = 0
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.value_type = value_type
        self.labels = value_type.labels
        self.gold: list[Value] = [self.draw() for _ in range(n)]
        self.groups = [f"g{i // rows_a_group:03d}" for i in range(n)]
        self.ids = [f"row-{i}" for i in range(n)]

    def draw(self) -> Value:
        label = self.labels[int(self.rng.integers(len(self.labels)))]
        return label == "true" if self.value_type.kind == "bool" else label

    def vote(self, skill: float) -> list[Value]:
        return [label if self.rng.random() < skill else self.draw() for label in self.gold]

    def judge(self, skill: float) -> list[Judgement]:
        return [Scored(value) for value in self.vote(skill)]


@pytest.fixture
def world() -> World:
    return World()
