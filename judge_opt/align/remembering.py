"""The labelled rows of an alignment as episodic memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.align.rows import TrainingRow, episode_of
from judge_opt.judges.judge import Judge
from judge_opt.llm.session import current_session
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.memory import Memory
from judge_opt.memory.vectors import ItemEmbedder
from judge_opt.memory.weighting import chosen_weights

if TYPE_CHECKING:
    from judge_opt.align.memalign import MemAlign


def remember(
    settings: "MemAlign",
    judge: Judge,
    rows: Sequence[TrainingRow],
    before: Memory | None,
    seed: int,
    tell: Callable[[str], Callable[[int, int], None]],
) -> Memory:
    """The labelled rows as episodes; those that were there are not embedded again."""
    base_url = judge.endpoint_of(settings.embedder)
    embedder = current_session().embedder(settings.embedder, base_url)
    told = tell("embed the labelled rows")
    told(0, len(rows))
    episodes = [episode_of(row, judge) for row in rows]
    names = tuple(v.name for v in judge.template.variables)
    if settings.weights is not None:
        weights = {name: float(settings.weights.get(name, 1.0)) for name in names}
    elif before is not None and tuple(before.weights) == names:
        weights = dict(before.weights)
    else:
        weights = dict(chosen_weights(episodes, names, embedder, judge.value_type, seed))
    space = ItemEmbedder(embedder, names, weights)
    kept = _reusable(before, embedder.name, weights, space.pieces)
    new = [e for e in episodes if e.id not in kept or dict(kept[e.id][0].parts) != dict(e.parts)]
    made = EpisodicMemory.remember(new, space)
    fresh = {e.id for e in new}
    old = [replace(e, cuts=kept[e.id][0].cuts) for e in episodes if e.id not in fresh]
    if old:
        vectors = np.stack([kept[e.id][1] for e in old])
        made = EpisodicMemory(old, vectors, embedder.name, space.pieces).plus(made)
    told(len(rows), len(rows))
    return Memory(
        value_type=judge.value_type,
        embedder=settings.embedder,
        base_url=base_url,
        weights=weights,
        episodic=made,
        shots=settings.shots,
        token_budget=settings.token_budget,
        seed=seed,
    )


def _reusable(
    before: Memory | None, embedder: str, weights: dict[str, float], pieces: int
) -> dict[str, tuple[Episode, Any]]:
    """Id to (episode, vector) of a memory in the same space."""
    if before is None or not isinstance(before.episodic, EpisodicMemory):
        return {}
    episodic = before.episodic
    if (episodic.embedder, dict(before.weights), episodic.pieces) != (embedder, weights, pieces):
        return {}
    return {e.id: (e, episodic.vectors[i]) for i, e in enumerate(episodic.episodes)}
