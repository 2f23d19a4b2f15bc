"""Figures of one judge that stand on its card: its lean, and how it fits in among the raters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.ratings import Ratings
from judge_opt.validate.figures import Figure
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.means import mean_figure


def lean_figure(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    **settings: Any,
) -> Figure:
    """Mean of judge minus human; for yes/no the difference of the two shares of yes."""
    rows = [(i, j.value) for i, j in enumerate(judged) if isinstance(j, Scored)]
    pairs = [(value_type.number_of(value), value_type.number_of(gold[i])) for i, value in rows]
    if any(a is None or b is None for a, b in pairs):
        return Figure(value=None, reason="The labels have no order.")
    x = np.array([a - b for a, b in pairs if a is not None and b is not None])
    group = np.unique([groups[i] for i, _ in rows], return_inverse=True)[1].astype(np.int64)
    return mean_figure(x, group, **settings)


def without_ties(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    **settings: Any,
) -> Figure | None:
    """Agreement on the pairs where neither people nor the judge see a tie; None where ties are not allowed."""
    if value_type.kind != "pairwise" or len(value_type.labels) < 3:
        return None
    sides = value_type.labels[:2]
    rows = [
        i for i, j in enumerate(judged) if isinstance(j, Scored) and j.value in sides and gold[i] in sides
    ]
    x = np.array([float(j.value == gold[i]) for i in rows if isinstance(j := judged[i], Scored)])
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    return mean_figure(x, group, **settings)


def alpha_with_judge(
    votes: Sequence[Mapping[str, Value]],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    **settings: Any,
) -> Figure:
    """Krippendorff's alpha of the raters with the judge as one more of them.

    Args:
        votes: for each row, rater to value.
        **settings: n_boot and seed of the interval.
    """
    rows = []
    for i, own in enumerate(votes):
        said = [Vote(rater, value) for rater, value in own.items()]
        if isinstance(j := judged[i], Scored):
            said.append(Vote("the judge", j.value))
        if said:
            rows.append(LabelledExample(str(i), groups[i], {}, tuple(sorted(said, key=lambda v: v.rater))))
    return alpha_figure(rows, value_type, **settings)


def alpha_figure(examples: Sequence[LabelledExample], value_type: ValueType, **settings: Any) -> Figure:
    """Krippendorff's alpha with an interval over groups."""
    ratings = Ratings.of(examples, value_type)
    found = krippendorff_alpha(ratings)
    n, groups = len(examples), [one.group for one in examples]
    if found.value is None:
        return Figure(value=None, reason=found.reason, n=n)
    of_weights = alpha_of_weights(ratings)
    base: dict[str, Any] = {"value": found.value, "n": n, "n_groups": len(set(groups))}
    if of_weights is None or not settings["n_boot"]:
        return Figure(**base, reason="No interval was made.")
    group = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    ends = cluster_interval(of_weights, group, **settings)
    return Figure(
        **base, low=ends.low, high=ends.high, method=ends.method, resamples=ends.resamples,
        degenerate=ends.degenerate, reason=ends.reason,
    )  # fmt: skip


def vote_shares(votes: Mapping[str, Value], value_type: ValueType) -> dict[str, float]:
    """Label to the share of the votes."""
    texts = [value_type.text_of(v) for v in votes.values()]
    return {text: texts.count(text) / len(texts) for text in dict.fromkeys(texts)}
