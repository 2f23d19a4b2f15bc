"""What an optimizer climbs: agreement with the experts, by the type of the verdicts.

Chance-corrected for choices, so that a constant verdict scores 0 however common it is; weighted by distance
where labels have an order; concordance for numbers; and against the raters' own distribution where they
disagree. Optimizers choose by it on rows that a candidate did not learn from; what is reported in the end
comes from `judge_opt.validate`, with intervals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import distribution
from judge_opt.labels.examples import LabelledExample

DISAGREEING = 0.1
"""Share of rows whose raters differ from which their distribution is what counts."""
FLOOR = 1e-3
"""Least probability that the log score sees."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure of agreement; higher is better.

    Attributes:
        name: as reported.
        pooled: of rows that were judged, all together. This is what candidates are compared by.
        row: of one row, in [0, 1], 1 where nothing could be better: for optimizers that need a score for each
            row. Its mean is not chance-corrected; see `class_weights`.
        sums: where `pooled` is a function of sums over rows: what each row adds, shape (n, m); and
        finish: from the sums to the figure. Resampling is then a product of matrices. None: it is not.
    """

    name: str
    pooled: Callable[[Sequence[LabelledExample], Sequence[Scored], ValueType], float]
    row: Callable[[LabelledExample, Scored, ValueType], float]
    sums: Callable[[Sequence[LabelledExample], Sequence[Scored], ValueType], Floats] | None = None
    finish: Callable[[Floats, ValueType], float] | None = None


def metric_name(value_type: ValueType) -> str:
    """ "kappa", "quadratic kappa" or "concordance"."""
    if value_type.scale == "nominal":
        return "kappa"
    return "quadratic kappa" if value_type.is_choice else "concordance"


def metric_for(
    value_type: ValueType,
    rows: Sequence[LabelledExample] = (),
    name: str = "auto",
    *,
    probabilities: bool = False,
) -> Metric:
    """The metric for this type of verdicts.

    Args:
        rows: the training rows: where raters disagree on a tenth of them or more, choices are held against
            the raters' distribution.
        name: one of `METRICS`, or "auto".
        probabilities: the judge gives label probabilities. Where raters disagree too, the Brier score is then
            the measure: it sees how sure the judge is.

    Raises:
        UsageError: no such metric, or it does not fit these values.
    """
    if name == "auto":
        split = sum(len(row.soft) > 1 for row in rows) >= max(1.0, DISAGREEING * len(rows))
        name = metric_name(value_type)
        if split and value_type.is_choice and rows:
            name = "brier" if probabilities else f"{name} with every rater"
    if (found := METRICS.get(name)) is None:
        raise UsageError(f"No metric is called {name!r}.", f"Use auto or one of {', '.join(METRICS)}.")
    metric, fits = found
    if not fits(value_type):
        raise UsageError(f"{name!r} does not measure {value_type.describe()}.", "Use auto.")
    return metric


def agreement(gold: Sequence[Value], found: Sequence[Value], value_type: ValueType) -> float:
    """In [-1, 1]; 0.0 where chance explains everything, such as one class only, or no rows at all."""
    if not gold:
        return 0.0
    if not value_type.is_choice:
        return _concordance(*_numbers(gold, found, value_type))
    labels = value_type.choices()
    table = np.zeros((len(labels), len(labels)))
    for g, f in zip(gold, found, strict=True):
        table[labels.index(value_type.text_of(g)), labels.index(value_type.text_of(f))] += 1
    return _kappa(table, value_type)


def agreement_with_every_rater(
    rows: Sequence[LabelledExample], found: Sequence[Value], value_type: ValueType
) -> float:
    """As `agreement`, of choices, with a rater drawn by lot for each row: a row on which raters split counts
    for both sides. The same as `agreement` where they never do."""
    labels = value_type.choices()
    table = np.zeros((len(labels), len(labels)))
    for row, value in zip(rows, found, strict=True):
        place = labels.index(value_type.text_of(value))
        for label, share in row.soft.items():
            table[labels.index(label), place] += share
    return _kappa(table, value_type)


def class_weights(rows: Sequence[LabelledExample], value_type: ValueType) -> list[float]:
    """Weights of mean 1 with which every label that occurs counts the same in a mean over rows; all 1 where
    the values are no choices. Rows without a gold value weigh 1."""
    gold = [None if row.gold is None else value_type.text_of(row.gold) for row in rows]
    known = [label for label in gold if label is not None]
    if not value_type.is_choice or not known:
        return [1.0] * len(rows)
    counts = {label: known.count(label) for label in set(known)}
    return [1.0 if label is None else len(known) / (len(counts) * counts[label]) for label in gold]


def _kappa(table: Floats, value_type: ValueType) -> float:
    total = float(table.sum())
    if total <= 0:
        return 0.0
    table = table / total
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    rank = np.arange(len(table))
    distance = (rank[:, None] - rank[None, :]) ** 2.0
    weights = distance if metric_name(value_type) == "quadratic kappa" else (distance > 0).astype(float)
    chance = float((weights * expected).sum())
    return 1.0 - float((weights * table).sum()) / chance if chance > 0 else 0.0


def _numbers(gold: Sequence[Value], found: Sequence[Value], value_type: ValueType) -> tuple[Floats, Floats]:
    """Both columns as numbers, without pairs of which one has no place on the scale."""
    pairs = [(value_type.number_of(g), value_type.number_of(f)) for g, f in zip(gold, found, strict=True)]
    kept = [(a, b) for a, b in pairs if a is not None and b is not None]
    columns = np.asarray(kept, dtype=float).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _concordance(a: Floats, b: Floats) -> float:
    if not len(a):
        return 0.0
    spread = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    return float(2 * ((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _values(rows: Sequence[LabelledExample], judged: Sequence[Scored]) -> tuple[list[Value], list[Value]]:
    pairs = [(row.gold, j.value) for row, j in zip(rows, judged, strict=True) if row.gold is not None]
    return [g for g, _ in pairs], [f for _, f in pairs]


def _gold_agreement(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> float:
    return agreement(*_values(rows, judged), value_type)


def _soft_agreement(
    rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType
) -> float:
    return agreement_with_every_rater(rows, [j.value for j in judged], value_type)


def _mae(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> float:
    a, b = _numbers(*_values(rows, judged), value_type)
    return -float(np.abs(a - b).mean()) if len(a) else 0.0


def _balanced(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> float:
    gold, found = _values(rows, judged)
    right: dict[str, list[bool]] = {}
    for g, f in zip(gold, found, strict=True):
        right.setdefault(value_type.text_of(g), []).append(g == f)
    return float(np.mean([np.mean(hits) for hits in right.values()])) if right else 0.0


def _odds(row: LabelledExample, judged: Scored, value_type: ValueType) -> tuple[Floats, Floats]:
    """(the raters' distribution, the judge's) over the labels."""
    shares = row.soft
    q = np.asarray([shares.get(label, 0.0) for label in value_type.choices()])
    return q, np.asarray(distribution(judged, value_type))


def _brier_of(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    q, p = _odds(row, judged, value_type)
    return float((p**2).sum() - 2.0 * (p * q).sum() + 1.0)


def _log_of(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    q, p = _odds(row, judged, value_type)
    return float((q * np.log(np.maximum(p, FLOOR))).sum())


def _brier(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> float:
    scores = [_brier_of(row, j, value_type) for row, j in zip(rows, judged, strict=True)]
    return -float(np.mean(scores)) if scores else 0.0


def _log(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> float:
    scores = [_log_of(row, j, value_type) for row, j in zip(rows, judged, strict=True)]
    return float(np.mean(scores)) if scores else 0.0


def _closeness(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    """A rater drawn by lot: the chance of the same label, or one less the squared distance as a share of the
    longest; numbers against the gold value, linearly."""
    if value_type.is_choice:
        labels = value_type.choices()
        place = labels.index(value_type.text_of(judged.value))
        if value_type.scale == "nominal":
            return row.soft.get(labels[place], 0.0)
        far = float(max(len(labels) - 1, 1)) ** 2
        return sum(
            share * (1 - (labels.index(label) - place) ** 2 / far) for label, share in row.soft.items()
        )
    a, b = _numbers(*_values([row], [judged]), value_type)
    if not len(a):
        return 0.0
    off = abs(float(a[0] - b[0]))
    low, high = value_type.low, value_type.high
    if low is None or high is None or high <= low:
        return 1.0 / (1.0 + off)
    return max(0.0, 1.0 - off / (high - low))


def _is_choice(value_type: ValueType) -> bool:
    return value_type.is_choice


def _has_numbers(value_type: ValueType) -> bool:
    return value_type.scale in ("ordered", "numeric")


def _table_sums(soft: bool) -> Callable[[Sequence[LabelledExample], Sequence[Scored], ValueType], Floats]:
    """Each row's cell of the table of labels by verdicts; with `soft`, its raters' shares of a column."""

    def sums(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> Floats:
        labels = value_type.choices()
        n = len(labels)
        out = np.zeros((len(rows), n, n))
        for i, (row, j) in enumerate(zip(rows, judged, strict=True)):
            place = labels.index(value_type.text_of(j.value))
            if soft:
                for label, share in row.soft.items():
                    out[i, labels.index(label), place] = share
            elif row.gold is not None:
                out[i, labels.index(value_type.text_of(row.gold)), place] = 1.0
        return out.reshape(len(rows), n * n)

    return sums


def _from_table(total: Floats, value_type: ValueType) -> float:
    n = len(value_type.choices())
    return _kappa(total.reshape(n, n), value_type)


def _balanced_from_table(total: Floats, value_type: ValueType) -> float:
    n = len(value_type.choices())
    table = total.reshape(n, n)
    seen = table.sum(axis=1) > 0
    return float((np.diag(table)[seen] / table.sum(axis=1)[seen]).mean()) if seen.any() else 0.0


def _mean_sums(
    of: Callable[[LabelledExample, Scored, ValueType], float],
) -> Callable[[Sequence[LabelledExample], Sequence[Scored], ValueType], Floats]:
    def sums(rows: Sequence[LabelledExample], judged: Sequence[Scored], value_type: ValueType) -> Floats:
        return np.asarray([[of(row, j, value_type), 1.0] for row, j in zip(rows, judged, strict=True)])

    return sums


def _mean(total: Floats, value_type: ValueType) -> float:
    return float(total[0] / total[1]) if total[1] > 0 else 0.0


def _minus_brier(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    return -_brier_of(row, judged, value_type)


def _brier_row(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    return 1.0 - _brier_of(row, judged, value_type) / 2.0


def _log_row(row: LabelledExample, judged: Scored, value_type: ValueType) -> float:
    return float(np.exp(_log_of(row, judged, value_type)))


_GOLD = (_gold_agreement, _closeness, _table_sums(False), _from_table)
_SOFT = (_soft_agreement, _closeness, _table_sums(True), _from_table)
_BALANCED = (_balanced, _closeness, _table_sums(False), _balanced_from_table)
_BRIER = (_brier, _brier_row, _mean_sums(_minus_brier), _mean)
_LOG = (_log, _log_row, _mean_sums(_log_of), _mean)
METRICS: dict[str, tuple[Metric, Callable[[ValueType], bool]]] = {
    "kappa": (
        Metric("kappa", *_GOLD),
        lambda t: t.scale == "nominal",
    ),
    "quadratic kappa": (
        Metric("quadratic kappa", *_GOLD),
        lambda t: t.is_choice and t.scale != "nominal",
    ),
    "concordance": (Metric("concordance", _gold_agreement, _closeness), lambda t: t.scale == "numeric"),
    "mae": (Metric("mae", _mae, _closeness), _has_numbers),
    "balanced accuracy": (
        Metric("balanced accuracy", *_BALANCED),
        _is_choice,
    ),
    "brier": (
        Metric(
            "brier", _brier, lambda r, j, t: 1.0 - _brier_of(r, j, t) / 2.0, _mean_sums(_minus_brier), _mean
        ),
        _is_choice,
    ),
    "log score": (
        Metric(
            "log score", _log, lambda r, j, t: float(np.exp(_log_of(r, j, t))), _mean_sums(_log_of), _mean
        ),
        _is_choice,
    ),
    "kappa with every rater": (
        Metric("kappa with every rater", *_SOFT),
        lambda t: t.scale == "nominal",
    ),
    "quadratic kappa with every rater": (
        Metric(
            "quadratic kappa with every rater", _soft_agreement, _closeness, _table_sums(True), _from_table
        ),
        lambda t: t.is_choice and t.scale != "nominal",
    ),
}
"""Name to metric, and whether it fits a value type. The negative of an error is an agreement, so "mae", "brier"
and "log score" are at most 0."""
