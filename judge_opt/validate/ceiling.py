"""How well people agree with each other: the reference beside which a judge's agreement is read.

Each rater is held against the majority of the other raters of the same row, as a judge is. It is a
reference and no hard limit: a judge can learn the majority better than one person keeps to it.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from pydantic import Field

from judge_opt.core.results import Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.figures import Figure, Strict, point, with_interval
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.metrics import MetricName, Statistic, primary_metric, statistic, undefined_reason
from judge_opt.validate.pairs import FloatArray, Pairs, check_lengths, encode

MIN_RATER_ROWS = 10
"""A rater with fewer shared rows has no figure of his own; see `human_ceiling`."""


class RaterFigures(Strict):
    """One rater against the others. `agreement` and `primary` are None where not defined."""

    rater: str
    n: int
    agreement: float | None
    primary: float | None


class Ceiling(Strict):
    """Leave-one-rater-out agreement.

    Attributes:
        metric: the metric of `primary`.
        agreement, primary: the mean over raters, each rater counting once, with a bootstrap interval over
            groups; without a value, and with the reason, where no row has two raters. `n` counts rows.
        n_raters: raters in the mean.
        n_comparisons: votes that were held against others.
        n_tied: comparisons in which the others tied. Each side of the tie then counts by its share, as if
            the tie were broken by lot; leaving them out would keep only the easy rows.
        pooled: True where no rater had `MIN_RATER_ROWS` rows and all votes were taken as one rater's.
        raters: each rater with enough rows.
    """

    metric: MetricName
    agreement: Figure
    primary: Figure
    n_raters: int = 0
    n_comparisons: int = 0
    n_tied: int = 0
    pooled: bool = False
    raters: list[RaterFigures] = Field(default_factory=list)


def human_ceiling(
    votes: Sequence[Mapping[str, Value]],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    metric: MetricName | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Ceiling:
    """Each rater against the majority of the others (their mean for float), averaged over raters.

    With two raters a row this is rater against rater. Raters with fewer than `MIN_RATER_ROWS` shared rows
    are left out; where that leaves nobody, all votes are pooled.

    Args:
        votes: for each row, rater to value.
        groups: the group of each row.
        metric: of `primary`; defaults to `primary_metric(value_type)`.

    Raises:
        DataError: the columns differ in length, or a vote is not of the value type.
    """
    check_lengths(votes=votes, groups=groups)
    metric = metric or primary_metric(value_type)
    comparisons, tied = _comparisons(votes, value_type)
    if not comparisons:
        nothing = Figure(value=None, reason="No row has two raters, so people cannot be held against people.")
        return Ceiling(metric=metric, agreement=nothing, primary=nothing)
    own = {rater: len({row for row, *_ in of}) for rater, of in comparisons.items()}
    kept = {rater: of for rater, of in comparisons.items() if own[rater] >= MIN_RATER_ROWS}
    pooled = not kept
    if pooled:
        kept = {"all raters": [entry for of in comparisons.values() for entry in of]}
    tables = {rater: _Table(of, groups, value_type) for rater, of in sorted(kept.items())}
    rows = np.unique(np.concatenate([table.rows for table in tables.values()]))
    shared = Pairs(
        index=rows,
        labels=(),
        gold=np.zeros(len(rows), dtype=np.int64),
        judged=np.zeros(len(rows), dtype=np.int64),
        gold_number=None,
        judged_number=None,
        group=np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64),
    )

    def averaged(name: MetricName) -> Figure:
        reasons = [undefined_reason(name, table.pairs, value_type) for table in tables.values()]
        if reason := next((r for r in reasons if r), None):
            return Figure(value=None, reason=reason, n=len(rows), n_groups=shared.n_groups)
        mean = _mean([table.statistic(name, rows) for table in tables.values()])
        value = point(mean, len(rows))
        if n_boot == 0:
            return Figure(value=value, n=len(rows), n_groups=shared.n_groups)
        interval = cluster_interval(mean, shared.group, n_boot=n_boot, seed=seed, confidence=confidence)
        return with_interval(value, interval, shared, confidence)

    def single(table: "_Table", name: MetricName) -> float | None:
        if undefined_reason(name, table.pairs, value_type):
            return None
        return point(table.statistic(name, rows), len(rows))

    return Ceiling(
        metric=metric,
        agreement=averaged("agreement"),
        primary=averaged(metric),
        n_raters=len(comparisons) if pooled else len(tables),
        n_comparisons=sum(own[rater] for rater in (comparisons if pooled else kept)),
        n_tied=tied,
        pooled=pooled,
        raters=[]
        if pooled
        else [
            RaterFigures(
                rater=rater, n=own[rater], agreement=single(table, "agreement"), primary=single(table, metric)
            )
            for rater, table in tables.items()
        ],
    )


_Entry = tuple[int, Value, Value, Fraction]
"""Row, the rater's vote, what the others say, and the weight of that."""


def _comparisons(
    votes: Sequence[Mapping[str, Value]], value_type: ValueType
) -> tuple[dict[str, list[_Entry]], int]:
    out: dict[str, list[_Entry]] = {}
    tied = 0
    for row, by_rater in enumerate(votes):
        for rater, vote in by_rater.items():
            others = [value for name, value in by_rater.items() if name != rater]
            if not others:
                continue
            leaders = _leaders(others, value_type)
            tied += len(leaders) > 1
            entries = [(row, vote, leader, Fraction(1, len(leaders))) for leader in leaders]
            out.setdefault(rater, []).extend(entries)
    return out, tied


def _leaders(others: Sequence[Value], value_type: ValueType) -> list[Value]:
    """The values with the most votes, more than one on a tie; the mean for float."""
    if value_type.kind == "float":
        return [float(np.mean([float(value) for value in others]))]
    most = max(others.count(value) for value in others)
    return [value for value in dict.fromkeys(others) if others.count(value) == most]


class _Table:
    """One rater's comparisons as weighted pairs."""

    def __init__(self, entries: Sequence[_Entry], groups: Sequence[str], value_type: ValueType) -> None:
        self.rows = np.array([row for row, *_ in entries], dtype=np.int64)
        self.share: FloatArray = np.array([float(weight) for *_, weight in entries], dtype=np.float64)
        self.pairs = encode(
            [leader for _, _, leader, _ in entries],
            [Scored(vote) for _, vote, _, _ in entries],
            [groups[row] for row in self.rows],
            value_type,
        )

    def statistic(self, metric: MetricName, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Statistic:
        """As a function of the weights of the shared `rows`."""
        inner, at = statistic(metric, self.pairs), np.searchsorted(rows, self.rows)
        return lambda w: inner(w[:, at] * self.share)


def _mean(statistics: Sequence[Statistic]) -> Statistic:
    def mean(w: FloatArray) -> FloatArray:
        out: FloatArray = np.mean([each(w) for each in statistics], axis=0)
        return out

    return mean
