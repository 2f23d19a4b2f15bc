"""Memory as JSON and blobs, so that a judge loads without embedding anything again."""

from typing import Any

import numpy as np

from judge_opt.core.errors import IntegrityError
from judge_opt.core.values import ValueType
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.fusion import Fusion
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory
from judge_opt.memory.predictors import LinearHead, NeighbourVote

VECTORS = "episodic_vectors.f32"
HEAD = "classifier_weights.f32"


def dump_memory(memory: Memory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(JSON, blobs). Blobs are little-endian float32 in row order."""
    blobs = {VECTORS: memory.episodic.vectors.astype("<f4").tobytes()}
    head = None
    if memory.head is not None:
        blobs[HEAD] = memory.head.weights.astype("<f4").tobytes()
        head = {"bias": [float(b) for b in memory.head.bias]}
    vote = memory.vote
    state = {
        "embedder": memory.embedder,
        "base_url": memory.base_url,
        "embedder_name": memory.episodic.embedder,
        "dimension": int(memory.episodic.vectors.shape[1]),
        "weights": dict(memory.weights),
        "episodes": [episode.to_json() for episode in memory.episodic.episodes],
        "guidelines": [guideline.to_json() for guideline in memory.guidelines],
        "shots": memory.shots,
        "token_budget": memory.token_budget,
        "vote": None
        if vote is None
        else {"k": vote.k, "sharpness": vote.sharpness, "prior": vote.prior, "base": list(vote.base)},
        "head": head,
        "fusion": memory.fusion.to_json() if memory.fusion is not None else None,
    }
    return state, blobs


def load_memory(state: dict[str, Any], blobs: dict[str, bytes], value_type: ValueType) -> Memory:
    """The inverse of `dump_memory`.

    Raises:
        IntegrityError: a blob is missing or has the wrong size; the judge is not loaded without it.
    """
    episodes = [Episode.from_json(data) for data in state["episodes"]]
    vectors = _matrix(blobs, VECTORS, len(episodes), state["dimension"])
    head = None
    if state["head"] is not None:
        bias = np.asarray(state["head"]["bias"], dtype=np.float64)
        head = LinearHead(_matrix(blobs, HEAD, len(bias), state["dimension"]), bias)
    vote = state["vote"]
    return Memory(
        value_type=value_type,
        embedder=state["embedder"],
        base_url=state["base_url"],
        weights=dict(state["weights"]),
        episodic=EpisodicMemory(episodes, vectors, state["embedder_name"]),
        guidelines=tuple(Guideline.from_json(data) for data in state["guidelines"]),
        shots=state["shots"],
        token_budget=state["token_budget"],
        vote=None if vote is None else NeighbourVote(**{**vote, "base": tuple(vote["base"])}),
        head=head,
        fusion=None if state["fusion"] is None else Fusion.from_json(state["fusion"]),
    )


def _matrix(blobs: dict[str, bytes], name: str, rows: int, columns: int) -> Any:
    data = blobs.get(name)
    if data is None or len(data) != 4 * rows * columns:
        raise IntegrityError(
            f"The memory's {name} is {'missing' if data is None else 'of the wrong size'}.",
            "Restore the version from a bundle, or align the judge again.",
        )
    return np.frombuffer(data, dtype="<f4").reshape(rows, columns).copy()
