"""What examples alone predict, and how it is pooled with the judge: fitted from what a memory holds.

It asks no model, and depends on the examples and on what was said of them only. So it is done anew whenever
examples come or go, and a memory that labels were taken from is fitted as if it had never had them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.distributions import distribution
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.evidence import Kind, from_json
from judge_opt.memory.fusion import fit_fusion
from judge_opt.memory.memory import Memory, label_index
from judge_opt.memory.predictors import fit_head, fit_vote

Floats = npt.NDArray[np.float64]
MIN_GROUPS = 5
"""Groups of examples below which nothing can be checked on held-out ones."""


@dataclass(frozen=True, slots=True)
class Predictors:
    """Attributes:
    memory: with its vote and head.
    sources: name to the out-of-group distributions for the examples themselves, shape (n, n_labels); {} where
        they could not be fitted.
    labels: positions of the gold labels, shape (n,).
    groups: of the examples.
    """

    memory: Memory
    sources: Mapping[str, Floats]
    labels: npt.NDArray[np.int64]
    groups: tuple[str, ...]


def fit_predictors(memory: Memory, seed: int) -> Predictors:
    """Vote and classifier of a memory whose examples are held in it."""
    value_type, episodic = memory.value_type, memory.episodic
    bare = replace(memory, vote=None, head=None, fusion=None)
    if not isinstance(episodic, EpisodicMemory):
        return Predictors(bare, {}, np.zeros(0, dtype=np.int64), ())
    groups = tuple(e.group for e in episodic.episodes)
    if not value_type.is_choice or len(set(groups)) < MIN_GROUPS:
        return Predictors(bare, {}, np.zeros(len(groups), dtype=np.int64), groups)
    labels = np.asarray([label_index(value_type, e) for e in episodic.episodes], dtype=np.int64)
    n = len(value_type.choices())
    vote, held = fit_vote(episodic.vectors, labels, groups, n)
    sources = {"neighbours": held}
    fitted = fit_head(episodic.vectors, labels, groups, n, seed)
    if fitted is not None:
        sources["classifier"] = fitted[1]
    made = replace(bare, vote=vote, head=None if fitted is None else fitted[0])
    return Predictors(made, sources, labels, groups)


def fit_pool(predictors: Predictors, own: Mapping[int, Judgement]) -> Memory:
    """The memory with fusion, fitted on what the judge said of examples by position; without it where nothing
    can be fitted."""
    memory = predictors.memory
    kept = sorted(i for i, judged in own.items() if isinstance(judged, Scored))
    if not predictors.sources or not kept:
        return replace(memory, fusion=None)
    odds = [distribution(j, memory.value_type) for i in kept if isinstance(j := own[i], Scored)]
    pooled = {"judge": np.asarray(odds)} | {name: some[kept] for name, some in predictors.sources.items()}
    return replace(memory, fusion=fit_fusion(pooled, predictors.labels[kept]))


def refitted(memory: Memory) -> Memory:
    """A memory whose examples changed, with everything fitted anew that was fitted before; no model is asked."""
    if memory.fusion is None:
        return replace(memory, vote=None, head=None)
    predictors = fit_predictors(memory, memory.seed)
    assert isinstance(memory.episodic, EpisodicMemory)
    own: dict[int, Judgement] = {}
    for i, episode in enumerate(memory.episodic.episodes):
        said = memory.evidence.get(episode.id, {})
        if (data := said.get(kind_of(memory), said.get("plain"))) is not None:
            own[i] = from_json(data, memory.value_type)
    return fit_pool(predictors, own)


def kind_of(memory: Memory) -> Kind:
    """Which judgement of a row is the one that this memory's judge gives, before fusion."""
    if memory.shots > 0:
        return "shown"
    return "guided" if any(g.state == "active" for g in memory.guidelines) else "plain"
