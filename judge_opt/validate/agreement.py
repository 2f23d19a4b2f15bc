"""Agreement of one judge with the human labels: every statistic that its value type allows."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from judge_opt.core.results import Judgement, Unscored, Value, coverage
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import Figure, Strict, figure
from judge_opt.validate.metrics import MetricName, metrics_for
from judge_opt.validate.pairs import Pairs, encode

MOST_CLASSES = 20
"""Scales with more values have no confusion matrix and no figures for each class."""


class Confusion(Strict):
    """Counts: `counts[i][j]` rows have human label `labels[i]` and verdict `labels[j]`."""

    labels: list[str]
    counts: list[list[int]]


class ClassFigures(Strict):
    """One label against the rest, in [0, 1]; None where the denominator is empty.

    Attributes:
        precision: share of the verdicts `label` that were right; None where the judge never said it.
        recall: share of the rows labelled `label` that the judge found; None where no row has the label.
        f1: harmonic mean; None where neither a row nor a verdict has the label.
        support: rows that people gave this label.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Agreement(Strict):
    """How one judge agrees with the labels. All figures are on the scored rows alone.

    Attributes:
        n_rows: rows, scored or not.
        coverage: share of the rows that were scored, in [0, 1]; None for no rows.
        unscored: rows without a verdict, by reason.
        metrics: see `metrics_for`; each has its interval or the reason why there is none.
        confusion, classes: None and empty for float and for more than `MOST_CLASSES` labels.
    """

    n_rows: int
    n_scored: int
    n_groups: int
    coverage: float | None
    unscored: dict[str, int]
    metrics: dict[MetricName, Figure]
    confusion: Confusion | None
    classes: list[ClassFigures]


def measure_agreement(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Agreement:
    """Measure one judge on labelled rows.

    Args:
        gold: the human label of each row.
        judged: the judgement of each row; Unscored rows count against coverage and enter nothing else.
        groups: the group of each row; intervals resample groups.
        n_boot: bootstrap resamples; 0 for no intervals.

    Raises:
        DataError: the columns differ in length, or a label or verdict is not of the value type.
    """
    pairs = encode(gold, judged, groups, value_type)
    return Agreement(
        n_rows=len(gold),
        n_scored=pairs.n,
        n_groups=pairs.n_groups,
        coverage=coverage(list(judged)) if judged else None,
        unscored=dict(sorted(Counter(j.reason for j in judged if isinstance(j, Unscored)).items())),
        metrics={
            metric: figure(metric, pairs, value_type, n_boot=n_boot, seed=seed, confidence=confidence)
            for metric in metrics_for(value_type)
        },
        confusion=confusion(pairs),
        classes=class_figures(pairs),
    )


def confusion(pairs: Pairs) -> Confusion | None:
    """Rows by human label and verdict; None for float and for more than `MOST_CLASSES` labels."""
    if not 0 < len(pairs.labels) <= MOST_CLASSES:
        return None
    codes = np.arange(len(pairs.labels))
    if pairs.n == 0:
        counts = np.zeros((len(codes), len(codes)), dtype=int)
    else:
        counts = confusion_matrix(pairs.gold, pairs.judged, labels=codes)
    return Confusion(labels=list(pairs.labels), counts=counts.tolist())


def class_figures(pairs: Pairs) -> list[ClassFigures]:
    """Precision, recall and F1 of each label; empty where there is no confusion matrix or no row."""
    if not 0 < len(pairs.labels) <= MOST_CLASSES or pairs.n == 0:
        return []
    precision, recall, f1, support = precision_recall_fscore_support(
        pairs.gold, pairs.judged, labels=np.arange(len(pairs.labels)), zero_division=np.nan
    )

    def known(x: float) -> float | None:
        return float(x) if np.isfinite(x) else None

    return [
        ClassFigures(
            label=label,
            precision=known(precision[k]),
            recall=known(recall[k]),
            f1=known(f1[k]),
            support=int(support[k]),
        )
        for k, label in enumerate(pairs.labels)
    ]
