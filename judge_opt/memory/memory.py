"""Memory as a judge carries it, and what it recalls for one item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import IntegrityError
from judge_opt.core.values import ValueType
from judge_opt.judges.rendering import item_text
from judge_opt.judges.verdict import RATIONALE, VERDICT
from judge_opt.memory.episode import Episode
from judge_opt.memory.evidence import Said
from judge_opt.memory.fusion import Fusion
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.predictors import LinearHead, NeighbourVote
from judge_opt.memory.retrieval import Episodes
from judge_opt.memory.vectors import ItemEmbedder, TextEmbedder, Vectors

Floats = npt.NDArray[np.float64]
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Recall:
    """What memory offers for one item.

    Attributes:
        guidelines: those that are active.
        shown: (episode, similarity) of the examples to show, least similar first, within the budget.
        left_out: examples that did not fit in the token budget.
        sources: the distributions of "neighbours" and "classifier", each of shape (1, n_labels).
        near: the episodes that vote, nearest first, with their similarity.
    """

    guidelines: tuple[Guideline, ...]
    shown: tuple[tuple[Episode, float], ...] = ()
    left_out: int = 0
    sources: Mapping[str, Floats] = field(default_factory=dict)
    near: tuple[tuple[Episode, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that was learned, as data. Immutable: learning more makes another memory.

    Attributes:
        value_type: of the judge, for the labels' order.
        embedder, base_url: URI of the embedding model, and its endpoint where it has one of its own.
        weights: part name to its weight in similarity.
        episodic: the labelled examples.
        guidelines: active and retired ones.
        shots: examples shown to the judge; 0 switches them off.
        token_budget: for the examples shown, estimated at four characters a token.
        vote, head: what the examples alone predict; None where they could not be fitted.
        fusion: how that is pooled with the judge's own answer; None switches it off.
        evidence: example id to what the judge said of it (see `evidence`).
        read: ids of the examples that guidelines were distilled from; the others wait for more.
        seed: of the alignment, for fitting again.
    """

    value_type: ValueType
    embedder: str
    weights: Mapping[str, float]
    episodic: Episodes
    guidelines: tuple[Guideline, ...] = ()
    shots: int = 0
    token_budget: int = 3000
    vote: NeighbourVote | None = None
    head: LinearHead | None = None
    fusion: Fusion | None = None
    base_url: str | None = None
    evidence: Mapping[str, Said] = field(default_factory=dict)
    read: frozenset[str] = frozenset()
    seed: int = 0

    @property
    def needs_vectors(self) -> bool:
        """True where judging an item embeds it."""
        return len(self.episodic) > 0 and (self.shots > 0 or self.fusion is not None)

    def item_embedder(self, embedder: TextEmbedder) -> ItemEmbedder:
        """Raises:
        IntegrityError: the memory was built with another embedding model.
        """
        if embedder.name != self.episodic.embedder:
            raise IntegrityError(
                f"This memory was built with the embedder {self.episodic.embedder}, not {embedder.name}.",
                "Name that embedder, or align the judge again.",
            )
        return ItemEmbedder(embedder, tuple(self.weights), self.weights, self.episodic.pieces)

    def recall(self, vector: Vectors | None, not_group: str | None = None) -> Recall:
        """Args:
        vector: of the item, shape (d,); None where `needs_vectors` is False.
        not_group: the item's own group, where the item is one of the labelled rows.
        """
        if vector is None or not self.needs_vectors:
            return Recall(self.guidelines)
        shown, left_out = self._examples(vector, not_group)
        sources: dict[str, Floats] = {}
        near: list[tuple[int, float]] = []
        if self.fusion is not None:
            if self.vote is not None:
                near = self.episodic.nearest(vector, self.vote.k, not_group=not_group)
            sources = self.predict(vector, near)
        return Recall(
            self.guidelines,
            tuple((self.episodic.episode(i), s) for i, s in reversed(shown)),
            left_out,
            sources,
            tuple((self.episodic.episode(i), s) for i, s in near),
        )

    def predict(self, vector: Vectors, near: Sequence[tuple[int, float]]) -> dict[str, Floats]:
        """Distributions from the examples alone."""
        sources: dict[str, Floats] = {}
        if self.vote is not None:
            gold = [label_index(self.value_type, self.episodic.episode(i)) for i, _ in near]
            labels = np.asarray(gold, dtype=np.int64)
            sources["neighbours"] = self.vote.of(np.asarray([s for _, s in near]), labels)[None, :]
        if self.head is not None:
            sources["classifier"] = smooth(self.head.of(vector[None, :]))
        return sources

    def _examples(self, vector: Vectors, not_group: str | None) -> tuple[list[tuple[int, float]], int]:
        if self.shots == 0:
            return [], 0
        found = self.episodic.examples(vector, self.shots, not_group=not_group)
        kept, room = [], self.token_budget * CHARS_PER_TOKEN
        for place, similarity in found:
            episode = self.episodic.episode(place)
            size = len(item_text(dict(episode.parts))) + len(episode.rationale or "")
            if size <= room:  # else it is left out alone: a shorter one may still fit
                kept.append((place, similarity))
                room -= size
        return kept, len(found) - len(kept)

    def without(self, *, guidelines: bool = False, examples: bool = False, fusion: bool = False) -> "Memory":
        """A copy with parts switched off."""
        changed: dict[str, Any] = {}
        if guidelines:
            changed["guidelines"] = tuple(
                replace(g, state="retired", why=g.why or "switched off") for g in self.guidelines
            )
        if examples:
            changed["shots"] = 0
        if fusion:
            changed["fusion"] = None
        return replace(self, **changed)


def smooth(odds: Floats) -> Floats:
    """A classifier fitted on few labels is too sure of itself: mixed with 2 % of the uniform."""
    mixed: Floats = 0.98 * odds + 0.02 / odds.shape[1]
    return mixed


def demo(episode: Episode, fields: Mapping[str, str]) -> dict[str, Any]:
    """An episode as a DSPy demo.

    Args:
        fields: variable name to DSPy field name.
    """
    inputs = {fields[name]: value for name, value in episode.parts.items() if name in fields}
    return {**inputs, RATIONALE: episode.rationale or "", VERDICT: episode.gold}


def label_index(value_type: ValueType, episode: Episode) -> int:
    """Position of an episode's gold label among `value_type.choices()`."""
    return value_type.choices().index(value_type.text_of(episode.gold))
