"""How near are a judge's probabilities to how people really voted?

    found = soft_scores([one.soft for one in examples], judged, groups, values)
    print(found.jensen_shannon.text())

Where people disagree, a judge that is always sure is wrong however it decides. These scores hold the judge's
distribution over labels against the raters', with nobody's minority thrown away.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import rel_entr, xlogy

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.validate.calibration import FLOOR
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import Interval, cluster_interval
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths

_SUM = 1e-6


class SoftScores(Strict):
    """Means over the rows that have both distributions, with bootstrap intervals over groups.

    Attributes:
        n_rows, n: rows, and those with votes and probabilities.
        log_loss: of a rater drawn by lot: - sum of q ln p, with q the raters' shares and p the judge's
            probabilities, floored at `calibration.FLOOR`. In nats. Least is `entropy`, where p = q.
        entropy: - sum of q ln q: what no judge can beat in log loss.
        brier: of a rater drawn by lot: sum over labels of (p - vote)^2, in [0, 2] (Brier 1950). Least is
            `disagreement`.
        disagreement: 1 - sum of q^2: the chance that two votes, drawn with replacement, differ.
        jensen_shannon: divergence between p and q in bits, in [0, 1] (Lin 1991): 0 where they are equal, 1
            where they have no label in common.
        reason: why there are none; None where there are.
    """

    n_rows: int
    n: int
    log_loss: Figure
    entropy: Figure
    brier: Figure
    disagreement: Figure
    jensen_shannon: Figure
    reason: str | None = None


def soft_scores(
    votes: Sequence[Mapping[str, float]],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> SoftScores:
    """Score the judge's probabilities against the distribution of the votes.

    With few raters q is a rough estimate: log loss and Brier stay unbiased for a rater drawn by lot (they are
    linear in q, but for `entropy` and `disagreement`, which come out too small); the Jensen-Shannon
    divergence comes out too large.

    Args:
        votes: for each row label to share, as of `LabelledExample.soft`; empty for a row without votes.
        judged: the judgement of each row; those without probabilities are left out, and `n` tells.
        groups: the group of each row.

    Raises:
        DataError: the columns differ in length; a label is not of the value type; shares or
            probabilities are negative or do not sum to 1 (the row is named).
    """
    check_lengths(votes=votes, judged=judged, groups=groups)
    labels = value_type.choices()
    rows = [
        (i, j.probabilities)
        for i, (shares, j) in enumerate(zip(votes, judged, strict=True))
        if labels and shares and isinstance(j, Scored) and j.probabilities
    ]
    if not rows:
        why = _nothing(votes, judged, value_type)
        none = Figure(value=None, reason=why)
        return SoftScores(
            n_rows=len(votes), n=0, log_loss=none, entropy=none, brier=none, disagreement=none,
            jensen_shannon=none, reason=why,
        )  # fmt: skip
    q = np.array([_distribution(votes[i], labels, f"Row {i}: votes") for i, _ in rows])
    p = np.array([_distribution(given, labels, f"Row {i}: probabilities") for i, given in rows])
    group = np.unique([groups[i] for i, _ in rows], return_inverse=True)[1].astype(np.int64)
    middle = (p + q) / 2.0

    def mean(x: FloatArray) -> Figure:
        return _mean(x, group, n_boot=n_boot, seed=seed, confidence=confidence)

    return SoftScores(
        n_rows=len(votes),
        n=len(rows),
        log_loss=mean(-xlogy(q, np.maximum(p, FLOOR)).sum(axis=1)),
        entropy=mean(-xlogy(q, q).sum(axis=1)),
        brier=mean((p**2).sum(axis=1) - 2.0 * (p * q).sum(axis=1) + 1.0),
        disagreement=mean(1.0 - (q**2).sum(axis=1)),
        jensen_shannon=mean((rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2.0 * np.log(2.0))),
    )


def _distribution(given: Mapping[str, float], labels: Sequence[str], where: str) -> list[float]:
    unknown = [label for label in given if label not in labels]
    if unknown:
        raise DataError(f"{where} hold {unknown[0][:60]!r}.", f"Allowed: {', '.join(labels)}.")
    total = sum(given.values())
    if min(given.values()) < -_SUM or abs(total - 1.0) > 1e-3:
        raise DataError(f"{where} sum to {total:.4g} or hold a negative share.", "Give shares that sum to 1.")
    return [max(0.0, given.get(label, 0.0)) / total for label in labels]


def _mean(x: FloatArray, group: IntArray, *, n_boot: int, seed: int, confidence: float) -> Figure:
    groups = int(group.max()) + 1
    interval = Interval(reason="No interval was asked for.")
    if n_boot:
        interval = cluster_interval(
            lambda w: (w @ x) / w.sum(axis=1), group, n_boot=n_boot, seed=seed, confidence=confidence
        )
    return Figure(
        value=abs(float(x.mean())),
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        method=interval.method,
        n=len(x),
        n_groups=groups,
        resamples=interval.resamples,
        degenerate=interval.degenerate,
        reason=interval.reason,
    )


def _nothing(votes: Sequence[Mapping[str, float]], judged: Sequence[Judgement], value_type: ValueType) -> str:
    if not value_type.is_choice or not value_type.choices():
        return "The verdicts are not a list of labels, so there are no label probabilities."
    if not any(votes):
        return "No row has a vote."
    if not any(isinstance(j, Scored) for j in judged):
        return "No row was scored."
    return "No row has both votes and label probabilities."
