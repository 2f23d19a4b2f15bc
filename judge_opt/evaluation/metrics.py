"""What an evaluation says of each judge's verdicts: rates, distributions, means, by value type.

Only rows with a verdict enter a figure; how many those are is the figure `coverage`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import fold
from judge_opt.core.values import ValueType, majority
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.statistics import group_codes, mean, quantile, share
from judge_opt.validate.agreement import Agreement, measure_agreement
from judge_opt.validate.figures import Figure, Strict

QUANTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p75": 0.75, "p90": 0.90}
_YES_NO = (("yes", "no"), ("pass", "fail"), ("true", "false"))

MOST_LABELS = 50
"""Values beyond this many labels have no share each."""


class JudgeMetrics(Strict):
    """One judge over the rows of an evaluation.

    Attributes:
        judge: its name.
        kind: of its value type.
        n_rows, n_scored, n_groups: rows in all, with a verdict, and the groups of the latter.
        coverage: share of the rows with a verdict.
        unscored: the others, by reason.
        figures: on the rows with a verdict alone. bool: `mean`, the share of true. Categories: `share/<label>`
            for every label, also those that did not occur; and `mean`, the share of the good one, where the
            two labels are yes and no, pass and fail, or true and false. Ordered labels: these, and `mean_rank`
            (0 is the first label). Numbers: `mean`, and the quantiles p10, p25, p50, p75, p90. Text and
            structured verdicts: none.
        median: the middle label of ordered labels; the lower one of two.
        agreement: with the majority of the people's labels; None where no row has one, or the verdicts cannot
            be compared.
        n_labelled, n_contested: rows with a majority among their labels, and rows whose raters tied.
    """

    judge: str
    kind: str
    value_type: dict[str, Any]
    n_rows: int
    n_scored: int
    n_groups: int
    coverage: Figure
    unscored: dict[str, int]
    figures: dict[str, Figure]
    median: str | None
    agreement: Agreement | None
    n_labelled: int
    n_contested: int

    def flat(self) -> dict[str, float]:
        """`<judge>/<figure>` to its value, as MLflow names them; figures that are not defined are left out."""
        named = {**self.figures, "coverage": self.coverage}
        if self.agreement is not None:
            named |= {f"agreement/{name}": one for name, one in self.agreement.metrics.items()}
        return {f"{self.judge}/{name}": one.value for name, one in named.items() if one.value is not None}

    def figure(self, name: str) -> Figure | None:
        """A figure by the name that it has in `flat`, without the judge's; None where there is none."""
        if name == "coverage":
            return self.coverage
        if name.startswith("agreement/") and self.agreement is not None:
            return {str(key): one for key, one in self.agreement.metrics.items()}.get(name[10:])
        return self.figures.get(name)

    def names(self) -> list[str]:
        """Every name that `figure` knows."""
        measured = [f"agreement/{name}" for name in self.agreement.metrics] if self.agreement else []
        return [*self.figures, "coverage", *measured]


def measure(
    judge: str,
    rows: Sequence[Row],
    said: Sequence[Judgement],
    value_type: ValueType,
    gold: Sequence[Value | None] | None = None,
    contested: int = 0,
    *,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> JudgeMetrics:
    """Measure one judge.

    Args:
        said: one judgement a row.
        gold: the people's label of each row, None where there is none.
        contested: how many rows have labels without a majority.
        n_boot: bootstrap resamples; 0 for no intervals.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i].id)
    judged = [said[i] for i in order]
    groups = [rows[i].group for i in order]
    how = {"n_boot": n_boot, "seed": seed, "confidence": confidence}
    hits = np.array([isinstance(one, Scored) for one in judged], dtype=np.float64)
    values = [one.value for one in judged if isinstance(one, Scored)]
    places = [place for place, one in zip(groups, judged, strict=True) if isinstance(one, Scored)]
    labels = [gold[i] for i in order] if gold is not None else [None] * len(order)
    return JudgeMetrics(
        judge=judge,
        kind=value_type.kind,
        value_type=value_type.to_json(),
        n_rows=len(rows),
        n_scored=len(values),
        n_groups=len(set(places)),
        coverage=share(hits, group_codes(groups), **how),  # type: ignore[arg-type]
        unscored=dict(sorted(Counter(one.reason for one in judged if isinstance(one, Unscored)).items())),
        figures=_figures(values, places, value_type, how),
        median=_median(values, value_type),
        agreement=_agreement(labels, judged, groups, value_type, how),
        n_labelled=sum(label is not None for label in labels),
        n_contested=contested,
    )


def gold_of(
    rows: Sequence[Row], name: str, value_type: ValueType, *, alone: bool
) -> tuple[list[Value | None], int]:
    """The majority of the people's labels of each row, None without one; and how many rows are tied.

    Args:
        name: the label's name.
        alone: the judge is the only one, so that labels without a name are meant for it.

    Raises:
        DataError: a label is not of the value type; names the row.
    """
    gold: list[Value | None] = []
    contested = 0
    for row in rows:
        votes: Mapping[str, Any] = row.labels.get(name) or (row.labels.get("") if alone else None) or {}
        read = [value_type.check_label(value, f"Row {row.id!r}") for value in votes.values()]
        gold.append(majority(read))
        contested += bool(read) and gold[-1] is None
    return gold, contested


def positive_label(value_type: ValueType) -> str | None:
    """The label that counts as 1 of a value type that is yes or no: "true" for bool; None for any other."""
    if value_type.optional or value_type.kind not in ("bool", "nominal"):
        return None
    folded = {fold(label): label for label in value_type.labels}
    return next((folded[yes] for yes, no in _YES_NO if folded.keys() == {yes, no}), None)


def _figures(
    values: list[Value], groups: list[str], value_type: ValueType, how: Mapping[str, Any]
) -> dict[str, Figure]:
    group = group_codes(groups)
    labels = value_type.choices()
    figures: dict[str, Figure] = {}
    if (positive := positive_label(value_type)) is not None:
        hits = np.array([value_type.text_of(value) == positive for value in values], dtype=np.float64)
        figures["mean"] = share(hits, group, **how)
        if value_type.kind == "bool":
            return figures
    if value_type.scale == "numeric" or (
        value_type.kind in ("int", "float") and value_type.scale == "ordered"
    ):
        numbers = _numbers(values, value_type)
        figures["mean"] = mean(numbers, group, **how)
        for name, level in QUANTILES.items():
            figures[name] = quantile(numbers, group, level, **how)
    elif value_type.kind == "ordinal" and value_type.scale == "ordered":
        figures["mean_rank"] = mean(_numbers(values, value_type), group, **how)
    if 0 < len(labels) <= MOST_LABELS:
        texts = np.array([value_type.text_of(value) for value in values], dtype=object)
        for label in labels:
            hits = (texts == label).astype(np.float64) if len(texts) else np.zeros(0)
            figures[f"share/{label}"] = share(hits, group, **how)
    return figures


def _median(values: list[Value], value_type: ValueType) -> str | None:
    if value_type.kind != "ordinal" or value_type.scale != "ordered" or not values:
        return None
    ranks = sorted(int(rank) for rank in _numbers(values, value_type))
    return value_type.labels[ranks[(len(ranks) - 1) // 2]]


def _numbers(values: list[Value], value_type: ValueType) -> Any:
    return np.array([value_type.number_of(value) for value in values], dtype=np.float64)


def _agreement(
    gold: Sequence[Value | None],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    how: Mapping[str, Any],
) -> Agreement | None:
    keep = [i for i, label in enumerate(gold) if label is not None]
    if not keep or value_type.scale == "free":
        return None
    return measure_agreement(
        [label for label in gold if label is not None],
        [judged[i] for i in keep],
        [groups[i] for i in keep],
        value_type,
        **how,
    )
