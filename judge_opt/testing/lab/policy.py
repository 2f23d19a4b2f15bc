"""A policy: what an expert weighs, as numbers. The truth of a world."""

import bisect
from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Score = sum of the weights of what an item shows; cuts turn it into a label.

    Attributes:
        weights: (feature, weight), sorted by feature.
        interactions: (feature, feature, weight): added where an item shows both.
        cuts: ascending; one fewer than there are labels.
        labels: worst first.
    """

    weights: tuple[tuple[str, float], ...]
    interactions: tuple[tuple[str, str, float], ...]
    cuts: tuple[float, ...]
    labels: tuple[str, ...]

    def score(self, shown: Set[str]) -> float:
        """On the policy's own scale, where one typical feature is worth about 1."""
        alone = sum(weight for feature, weight in self.weights if feature in shown)
        return alone + sum(weight for a, b, weight in self.interactions if a in shown and b in shown)

    def label_of(self, score: float) -> str:
        """The label of a score."""
        return self.labels[bisect.bisect_right(self.cuts, score)]

    def margin(self, score: float) -> float:
        """Distance to the nearest cut, at least 0."""
        return min(abs(score - cut) for cut in self.cuts)
