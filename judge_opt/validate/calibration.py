"""Are the judge's probabilities honest? Expected calibration error, Brier score and its parts, log loss.

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
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths

MAX_BINS = 10
ROWS_PER_BIN = 15
FLOOR = 1e-6
"""Least probability that log loss sees: one impossible label costs 13.8 and not infinity."""

_HONEST = 1000
"""Honest judges that are simulated."""


class ReliabilityBin(Strict):
    """Rows of similar confidence: mean confidence against the share that was right, with Wilson's 95 %."""

    n: int
    confidence: float
    agreement: float
    low: float
    high: float


class BrierParts(Strict):
    """The Brier score of the confidence that the verdict is right, over the bins (Murphy 1973):
    score = reliability - resolution + uncertainty + within.

    Attributes:
        score: mean squared distance of the confidence from being right (1) or wrong (0), in [0, 1].
        reliability: how far the bins' confidence lies from their share that was right; 0 is honest.
        resolution: how far the bins' shares lie from the overall one; more is better, 0 is confidence
            without any worth.
        uncertainty: of being right at all; no confidence changes it.
        within: what differs inside the bins; 0 where each bin has one confidence (Stephenson, Coelho &
            Jolliffe 2008).
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


class Calibration(Strict):
    """Calibration on the scored rows that carry probabilities.

    Attributes:
        n: those rows.
        ece: expected calibration error of the verdict given, in [0, 1]: the mean over `bins`, weighted by
            rows, of |confidence - agreement|. Biased upwards on few rows (each bin's noise adds), so read
            it with `n`.
        ece_honest: what a judge with these confidences has on so many rows on average if every confidence is
            the true chance to be right: the part of `ece` that is noise. Simulated (Broecker & Smith 2007).
        p_honest: the share of such honest judges whose error is at least `ece`; small speaks against
            honesty, large does not prove it.
        brier: mean over rows of the squared distance between the probabilities and the label's one-hot
            vector, summed over labels, in [0, 2] (Brier 1950).
        parts: of the Brier score of "the verdict is right"; see `BrierParts`.
        log_loss: mean of -ln of the label's probability, floored at `FLOOR`.
        bins: equal in rows as far as ties in confidence allow.
        reason: why there is none; None where there is.
    """

    n: int = 0
    ece: float | None = None
    ece_honest: float | None = None
    p_honest: float | None = None
    brier: float | None = None
    parts: BrierParts | None = None
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
    sure, right = table[at, said], (truth == said).astype(np.float64)
    bins = reliability_bins(sure, right)
    honest = _honest_errors(sure)
    ece = sum(b.n * abs(b.confidence - b.agreement) for b in bins) / len(rows)
    return Calibration(
        n=len(rows),
        ece=ece,
        ece_honest=float(honest.mean()),
        p_honest=float((1 + (honest >= ece - 1e-12).sum()) / (1 + len(honest))),
        parts=brier_parts(sure, right, bins),
        brier=float(((table - target) ** 2).sum(axis=1).mean()),
        log_loss=float(-np.log(np.maximum(table[at, truth], FLOOR)).mean()),
        bins=bins,
    )


def brier_parts(confidence: FloatArray, right: FloatArray, bins: Sequence[ReliabilityBin]) -> BrierParts:
    """The score and its decomposition; `bins` are `reliability_bins` of the same rows."""
    n, rate = len(right), float(right.mean())
    score = float(((confidence - right) ** 2).mean())
    reliability = sum(b.n * (b.confidence - b.agreement) ** 2 for b in bins) / n
    resolution = sum(b.n * (b.agreement - rate) ** 2 for b in bins) / n
    uncertainty = rate * (1.0 - rate)
    within = score - (reliability - resolution + uncertainty)
    return BrierParts(
        score=score, reliability=reliability, resolution=resolution, uncertainty=uncertainty,
        within=0.0 if abs(within) < 1e-12 else within,
    )  # fmt: skip


def _honest_errors(confidence: FloatArray) -> FloatArray:
    """The calibration errors of `_HONEST` judges whose confidences are these and the truth."""
    confidence = np.sort(confidence)  # the rows' order decides nothing
    place = _places(confidence)
    rng = np.random.default_rng(0)
    right = rng.random((_HONEST, len(confidence))) < confidence
    errors = np.zeros(_HONEST)
    for k in np.unique(place):
        chosen = place == k
        errors += abs(right[:, chosen].sum(axis=1) - confidence[chosen].sum())
    return errors / len(confidence)


def _places(confidence: FloatArray) -> IntArray:
    """The bin of each row."""
    count = int(np.clip(len(confidence) // ROWS_PER_BIN, 1, MAX_BINS))
    edges = (
        np.unique(np.quantile(confidence, np.linspace(0, 1, count + 1)[1:-1])) if count > 1 else np.array([])
    )
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def reliability_bins(confidence: FloatArray, right: FloatArray) -> list[ReliabilityBin]:
    """Bins with equal numbers of rows, at most `MAX_BINS` and about `ROWS_PER_BIN` rows or more each. Equal
    confidences share a bin, so that the bins do not depend on the order of the rows."""
    place = _places(confidence)
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
