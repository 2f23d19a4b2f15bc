"""Which parts of an item similarity should look at: chosen by what predicts the labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from judge_opt.core.values import ValueType
from judge_opt.memory.episode import Episode
from judge_opt.memory.memory import label_index
from judge_opt.memory.predictors import fit_head
from judge_opt.memory.vectors import ItemEmbedder, TextEmbedder

MARGIN = 0.02
"""Nats a row by which one part alone must predict better than all together."""
MIN_ROWS = 20


def chosen_weights(
    episodes: Sequence[Episode],
    names: Sequence[str],
    embedder: TextEmbedder,
    value_type: ValueType,
    seed: int,
) -> Mapping[str, float]:
    """Equal weights of all parts, or one part alone where a classifier on its vectors predicts the labels of
    held-out groups better. A question that is asked of every reply tells nothing of the reply, and as half of
    the vector it hides what does.

    Returns:
        part name to 0 or 1, in the order of `names`. Equal weights for few rows, or values without labels.
    """
    equal = dict.fromkeys(names, 1.0)
    if len(names) < 2 or not value_type.is_choice or len(episodes) < MIN_ROWS:
        return equal
    labels = np.asarray([label_index(value_type, e) for e in episodes], dtype=np.int64)
    groups = [e.group for e in episodes]
    best, least = equal, np.inf
    for weights in [equal, *({name: float(name == one) for name in names} for one in names)]:
        vectors = ItemEmbedder(embedder, tuple(names), weights).embed([e.parts for e in episodes])
        fitted = fit_head(vectors, labels, groups, len(value_type.choices()), seed)
        if fitted is None:
            return equal
        loss = float(-np.log(fitted[1][np.arange(len(labels)), labels]).mean())
        if loss < least - (MARGIN if weights is not equal else 0.0):
            best, least = weights, loss
    return best
