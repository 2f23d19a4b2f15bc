"""Memory as JSON and blobs, so that a judge loads without embedding anything again.

Examples in a file of their own (`EpisodeStore`) are not copied: the judge remembers where they are and their
digest, and is not loaded with others. So a stored judge never changes with the labels that come after it.
"""

from pathlib import Path
from typing import Any

import numpy as np

from judge_opt.core.errors import IntegrityError
from judge_opt.core.values import ValueType
from judge_opt.llm.session import current_session
from judge_opt.memory.episode_store import EpisodeStore
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.fusion import Fusion
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory
from judge_opt.memory.predictors import LinearHead, NeighbourVote
from judge_opt.memory.retrieval import Episodes

VECTORS = "episodic_vectors.f32"
HEAD = "classifier_weights.f32"


def dump_memory(memory: Memory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(JSON, blobs). Blobs are little-endian float32 in row order."""
    episodic = memory.episodic
    blobs: dict[str, bytes] = {}
    if isinstance(episodic, EpisodicMemory):
        blobs[VECTORS] = episodic.vectors.astype("<f4").tobytes()
    head = None
    if memory.head is not None:
        blobs[HEAD] = memory.head.weights.astype("<f4").tobytes()
        head = {"bias": [float(b) for b in memory.head.bias]}
    vote = memory.vote
    state: dict[str, Any] = {
        "embedder": memory.embedder,
        "base_url": memory.base_url,
        "embedder_name": memory.episodic.embedder,
        "dimension": memory.episodic.dimension,
        "pieces": memory.episodic.pieces,
        "weights": dict(memory.weights),
        **_examples(episodic),
        "guidelines": [guideline.to_json() for guideline in memory.guidelines],
        "shots": memory.shots,
        "token_budget": memory.token_budget,
        "vote": None
        if vote is None
        else {"k": vote.k, "sharpness": vote.sharpness, "prior": vote.prior, "base": list(vote.base)},
        "head": head,
        "fusion": memory.fusion.to_json() if memory.fusion is not None else None,
        "evidence": {id: dict(said) for id, said in sorted(memory.evidence.items())},
        "read": sorted(memory.read),
        "seed": memory.seed,
    }
    return state, blobs


def load_memory(state: dict[str, Any], blobs: dict[str, bytes], value_type: ValueType) -> Memory:
    """The inverse of `dump_memory`.

    Raises:
        IntegrityError: a blob is missing or has the wrong size, or the file of examples holds others than
            those that were stored; the judge is not loaded without them.
        NotFound: the file of examples is not there.
    """
    episodic = _episodic(state, blobs)
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
        episodic=episodic,
        guidelines=tuple(Guideline.from_json(data) for data in state["guidelines"]),
        shots=state["shots"],
        token_budget=state["token_budget"],
        vote=None if vote is None else NeighbourVote(**{**vote, "base": tuple(vote["base"])}),
        head=head,
        fusion=None if state["fusion"] is None else Fusion.from_json(state["fusion"]),
        evidence=state.get("evidence", {}),
        read=frozenset(state.get("read", ())),
        seed=state.get("seed", 0),
    )


def _examples(episodic: Episodes) -> dict[str, Any]:
    if isinstance(episodic, EpisodicMemory):
        return {"episodes": [episode.to_json() for episode in episodic.episodes]}
    assert isinstance(episodic, EpisodeStore)
    path, home = episodic.path.resolve(), current_session().home.resolve()
    inside = path.is_relative_to(home)
    place = {"home": inside, "path": path.relative_to(home).as_posix() if inside else str(path)}
    return {"store": {**place, "rows": len(episodic), "digest": episodic.digest}}


def _episodic(state: dict[str, Any], blobs: dict[str, bytes]) -> Episodes:
    # Releases before this key cut long texts off at the model's window, and their queries must be, too.
    embedder, dimension, pieces = state["embedder_name"], state["dimension"], state.get("pieces", 1)
    if "store" not in state:
        episodes = [Episode.from_json(data) for data in state["episodes"]]
        return EpisodicMemory(episodes, _matrix(blobs, VECTORS, len(episodes), dimension), embedder, pieces)
    told = state["store"]
    path = current_session().home / told["path"] if told["home"] else Path(told["path"])
    store = EpisodeStore.existing(path, embedder, dimension, pieces)
    if store.digest != told["digest"]:
        found = len(store)
        store.close()
        raise IntegrityError(
            f"{path}: holds other examples ({found}) than this judge was stored with ({told['rows']}).",
            "Register the judge again as it is now, or put back the file of then.",
        )
    return store


def _matrix(blobs: dict[str, bytes], name: str, rows: int, columns: int) -> Any:
    data = blobs.get(name)
    if data is None or len(data) != 4 * rows * columns:
        raise IntegrityError(
            f"The memory's {name} is {'missing' if data is None else 'of the wrong size'}.",
            "Restore the version from a bundle, or align the judge again.",
        )
    return np.frombuffer(data, dtype="<f4").reshape(rows, columns).copy()
