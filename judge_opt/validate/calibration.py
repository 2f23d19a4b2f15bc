"""Are the judge's probabilities honest? Expected calibration error, Brier score, log loss.

Probabilities come from measured label probabilities (`Scored.probabilities`), never from a number that the
model wrote about itself.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy import stats

from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import Strict
from judge_opt.validate.pairs import FloatArray, check_lengths

MAX_BINS = 10
ROWS_PER_BIN = 15
FLOOR = 1e-6
"""Least probability that log loss sees: one impossible label costs 13.8 and not infinity."""


class ReliabilityBin(Strict):
    """Rows of similar confidence: mean confidence against the share that was right, with Wilson's 95 %."""

    n: int
    confidence: float
    agreement: float
    low: float
    high: float


class Calibration(Strict):
    """Calibration on the scored rows that carry probabilities.

    Attributes:
        n: those rows.
        ece: expected calibration error of the verdict given, in [0, 1]: the mean over `bins`, weighted by
            rows, of |confidence - agreement|. Biased upwards on few rows (each bin's noise adds), so read
            it with `n`.
        brier: mean over rows of the squared distance between the probabilities and the label's one-hot
            vector, summed over labels, in [0, 2] (Brier 1950).
        log_loss: mean of -ln of the label's probability, floored at `FLOOR`.
        bins: equal in rows as far as ties in confidence allow.
        reason: why there is none; None where there is.
    """

    n: int = 0
    ece: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    bins: list[ReliabilityBin] = Field(default_factory=list)
    reason: str | None = None


def measure_calibration(
    gold: Sequence[Value], judged: Sequence[Judgement], value_type: ValueType
) -> Calibration:
    """Measure calibration, or say why it cannot be measured.

    Args:
        gold, judged: one entry for each row; rows without probabilities are left out, and `n` tells.

    Raises:
        DataError: the columns differ in length.
    """
    check_lengths(gold=gold, judged=judged)
    if not value_type.is_choice:
        return Calibration(
            reason="The verdicts are not a list of labels, so there are no label probabilities."
        )
    rows = [
        (value_type.text_of(label), value_type.text_of(j.value), j.probabilities)
        for label, j in zip(gold, judged, strict=True)
        if isinstance(j, Scored) and j.probabilities
    ]
    if not rows:
        return Calibration(reason="The judge's endpoint gave no label probabilities.")
    labels = value_type.choices()
    table = np.array([[given.get(label, 0.0) for label in labels] for _, _, given in rows], dtype=np.float64)
    truth = np.array([labels.index(label) for label, _, _ in rows])
    said = np.array([labels.index(verdict) for _, verdict, _ in rows])
    at = np.arange(len(rows))
    target = np.eye(len(labels))[truth]
    bins = reliability_bins(table[at, said], (truth == said).astype(np.float64))
    return Calibration(
        n=len(rows),
        ece=sum(b.n * abs(b.confidence - b.agreement) for b in bins) / len(rows),
        brier=float(((table - target) ** 2).sum(axis=1).mean()),
        log_loss=float(-np.log(np.maximum(table[at, truth], FLOOR)).mean()),
        bins=bins,
    )


def reliability_bins(confidence: FloatArray, right: FloatArray) -> list[ReliabilityBin]:
    """Bins with equal numbers of rows, at most `MAX_BINS` and about `ROWS_PER_BIN` rows or more each. Equal
    confidences share a bin, so that the bins do not depend on the order of the rows."""
    count = int(np.clip(len(confidence) // ROWS_PER_BIN, 1, MAX_BINS))
    edges = (
        np.unique(np.quantile(confidence, np.linspace(0, 1, count + 1)[1:-1])) if count > 1 else np.array([])
    )
    place = np.searchsorted(edges, confidence, side="left")
    out = []
    for k in np.unique(place):
        chosen = place == k
        n, hits = int(chosen.sum()), int(right[chosen].sum())
        ends = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        mean = float(np.sort(confidence[chosen]).mean())
        out.append(
            ReliabilityBin(
                n=n, confidence=mean, agreement=hits / n, low=float(ends.low), high=float(ends.high)
            )
        )
    return out
