"""The report on the raters of some examples: do people agree, who leans where, what is the ceiling?

    report = rater_report(load_examples("pandalm.jsonl", "preference", values).examples, values)
    print(report.alpha.text(), report.to_json())

The statistics are those of `judge_opt.labels.raters`; here they get intervals that respect groups, and the
leave-one-rater-out ceiling beside them.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import Field

from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.raters.adjudication import adjudicate
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.error_rates import dawid_skene
from judge_opt.labels.raters.kappa import (
    agreement_of_weights,
    cohen_kappa,
    fleiss_kappa,
    fleiss_of_weights,
    pairwise_agreement,
)
from judge_opt.labels.raters.lean import RaterLean, rater_leans
from judge_opt.labels.raters.ratings import Level, Ratings
from judge_opt.labels.raters.ratings import Statistic as One
from judge_opt.validate.ceiling import MIN_RATER_ROWS, Ceiling, human_ceiling
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.metrics import Statistic
from judge_opt.validate.pairs import FloatArray, IntArray

MOST_LABELS = 20
"""Label sets up to which a rater's confusion with the others is listed."""

SMOOTHING = 0.5


class PairFigures(Strict):
    """Two raters on the `n` items that both labelled; None where not defined, and `reason` says why.

    Attributes:
        kappa_weighted: with quadratic weights; None also where labels have no order.
    """

    one: str
    other: str
    n: int
    agreement: float | None
    kappa: float | None
    kappa_weighted: float | None
    reason: str | None = None


class RaterLine(Strict):
    """One rater.

    Attributes:
        n_labels, n_shared: items labelled, and those of them that somebody else labelled too.
        agreement: with another rater of the same item, drawn by lot.
        bias: the rater's number minus the mean of the others'; above 0 is higher. None where labels have
            no order.
        estimated_accuracy: how often the rater says the most probable label, by Dawid and Skene; None for
            numbers without a list of choices.
        shares: label to how often the rater gave it.
        confusion: what others said (rows) against what this rater said (columns), in labels' order; None
            for many labels.
    """

    rater: str
    n_labels: int
    n_shared: int
    agreement: Figure
    bias: Figure | None
    estimated_accuracy: float | None
    shares: dict[str, float]
    confusion: list[list[float]] | None


class RaterReport(Strict):
    """What `rater_report` found. Every figure has its interval, or the reason why there is none.

    Attributes:
        labels: the allowed labels in order; the values that occur, for numbers that cannot be listed.
        items_by_votes: number of raters to number of items.
        level: the scale of measurement of `alpha`.
        alpha: Krippendorff's alpha.
        alpha_nominal: the same with every disagreement equally bad; None where `level` is nominal.
        agreement: two raters of one item, drawn by lot.
        fleiss: Fleiss' kappa, on items with the most frequent number of labels.
        mean_kappa, mean_kappa_weighted: Cohen's kappa, plain and with quadratic weights: the mean over pairs
            of raters with enough common items; the weighted one is None where labels have no order.
        ceiling: each rater against the majority of the others.
        majority: label to share among the items that have a majority.
        contested: items without one.
        dawid_skene_differs: items whose most probable label by Dawid and Skene is not the majority; None
            for numbers without a list of choices.
    """

    values: dict[str, Any]
    labels: list[str]
    n_items: int
    n_raters: int
    n_labels: int
    n_groups: int
    items_by_votes: dict[int, int]
    level: Level
    alpha: Figure
    alpha_nominal: Figure | None
    agreement: Figure
    fleiss: Figure
    mean_kappa: float | None
    mean_kappa_weighted: float | None
    ceiling: Ceiling
    majority: dict[str, float]
    contested: int
    dawid_skene_differs: int | None
    pairs: list[PairFigures] = Field(default_factory=list)
    raters: list[RaterLine] = Field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON values; `RaterReport.model_validate` reads them back."""
        return self.model_dump(mode="json")

    def __str__(self) -> str:
        """Summary and raters as text."""
        columns, rows = self.table()
        parts: list[list[list[str]]] = [[list(line) for line in self.summary()], [columns, *rows]]
        return "\n\n".join(map(_columns, parts))

    def summary(self) -> list[tuple[str, str]]:
        """What and how much, for a terminal: one line each."""
        scale = "" if self.level == "nominal" else f" ({self.level})"
        lines = [
            (
                "items, raters, labels",
                f"{self.n_items}, {self.n_raters}, {self.n_labels}"
                + ("" if self.n_groups == self.n_items else f"; {self.n_groups} groups"),
            ),
            (f"Krippendorff's alpha{scale}", _text(self.alpha)),
        ]
        if self.alpha_nominal is not None:
            lines.append(("alpha, any disagreement equally bad", _text(self.alpha_nominal)))
        lines += [
            ("two raters of an item agree", _text(self.agreement, percent=True)),
            ("one rater against the majority of the others", _text(self.ceiling.agreement, percent=True)),
            ("Fleiss' kappa", _text(self.fleiss)),
            ("mean of the pairs' kappas", _mean_text(self.mean_kappa)),
        ]
        if self.mean_kappa_weighted is not None:
            lines.append(("the same with quadratic weights", _mean_text(self.mean_kappa_weighted)))
        lines.append(("items without a majority", str(self.contested)))
        if self.dawid_skene_differs is not None:
            lines.append(("items where Dawid-Skene differs from the majority", str(self.dawid_skene_differs)))
        return lines

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The raters, for a terminal: columns and rows."""
        columns = ["rater", "labels", "agrees with others", "bias", "accuracy (est.)", "says most"]
        rows = []
        for one in self.raters:
            most = max(one.shares, key=lambda label: one.shares[label], default="")
            rows.append(
                [
                    one.rater,
                    str(one.n_labels),
                    _text(one.agreement, percent=True),
                    "" if one.bias is None else _signed(one.bias),
                    "" if one.estimated_accuracy is None else f"{100 * one.estimated_accuracy:.0f} %",
                    f"{most} ({100 * one.shares[most]:.0f} %)" if most else "",
                ]
            )
        return columns, rows


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def rater_report(
    examples: Sequence[LabelledExample],
    value_type: ValueType | Any,
    *,
    level: Level | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> RaterReport:
    """Everything about the raters of `examples`.

    Args:
        level: the scale of measurement of alpha; that of the value type by default.
        n_boot: resamples of groups for each interval; 0 for none.

    Raises:
        DataError: a vote is not of the value type.
        UsageError: the value type has no agreement statistic, or `level` does not fit it.
    """
    allowed = ValueType.of(value_type)
    ratings = Ratings.of(examples, allowed)
    boot = _Boot(ratings, n_boot, seed, confidence)
    chosen = level or ratings.level
    gold = adjudicate(examples, allowed)
    model = probable = None
    if allowed.is_choice and (ratings.votes_of_item > 0).any():
        model = dawid_skene(ratings, smoothing=SMOOTHING)
        probable = dict(zip(model.items, model.probabilities.argmax(axis=1), strict=True))
    decided = [one for one in gold if one.value is not None]
    said = Counter(allowed.text_of(one.value) for one in decided if one.value is not None)
    pairs = [_pair(ratings, one, other) for one, other in combinations(ratings.raters, 2)]
    enough = [pair for pair in pairs if pair.n >= MIN_RATER_ROWS]
    return RaterReport(
        values=allowed.to_json(),
        labels=list(ratings.labels),
        n_items=ratings.n_items,
        n_raters=ratings.n_raters,
        n_labels=int(ratings.votes_of_item.sum()),
        n_groups=len(set(ratings.groups)),
        items_by_votes=dict(sorted(Counter(ratings.votes_of_item.tolist()).items())),
        level=chosen,
        alpha=boot.figure(krippendorff_alpha(ratings, chosen), alpha_of_weights(ratings, chosen)),
        alpha_nominal=None
        if chosen == "nominal"
        else boot.figure(krippendorff_alpha(ratings, "nominal"), alpha_of_weights(ratings, "nominal")),
        agreement=boot.figure(pairwise_agreement(ratings), agreement_of_weights(ratings)),
        fleiss=boot.figure(fleiss_kappa(ratings), fleiss_of_weights(ratings)),
        mean_kappa=_mean([pair.kappa for pair in enough]),
        mean_kappa_weighted=None
        if ratings.numbers is None or ratings.level == "nominal"
        else _mean([pair.kappa_weighted for pair in enough]),
        ceiling=human_ceiling(
            [{vote.rater: vote.value for vote in one.votes} for one in examples],
            list(ratings.groups),
            allowed,
            n_boot=n_boot,
            seed=seed,
            confidence=confidence,
        ),
        majority={label: said[label] / len(decided) for label in ratings.labels if said[label]},
        contested=len(gold) - len(decided),
        dawid_skene_differs=None
        if probable is None
        else sum(
            one.value is not None and ratings.labels[probable[one.id]] != allowed.text_of(one.value)
            for one in gold
        ),
        pairs=pairs,
        raters=[
            _line(lean, ratings, boot, None if model is None else _accuracy(model, lean.rater))
            for lean in rater_leans(ratings)
        ],
    )


class _Boot:
    """Intervals by resampling whole groups of items."""

    def __init__(self, ratings: Ratings, n_boot: int, seed: int, confidence: float) -> None:
        self.ratings, self.n_boot, self.seed, self.confidence = ratings, n_boot, seed, confidence

    def figure(self, found: One, of_weights: Statistic | None) -> Figure:
        """A statistic of the items that two raters share, with its interval."""
        if found.value is None or of_weights is None:
            why = found.reason or "There are too many distinct labels for an interval."
            return Figure(value=found.value, n=found.n_items, reason=why)
        shared = np.flatnonzero(self.ratings.votes_of_item >= 2)

        def on_shared(w: FloatArray) -> FloatArray:
            weights = np.zeros((len(w), self.ratings.n_items))
            weights[:, shared] = w
            return of_weights(weights)

        return self.interval(found.value, on_shared, shared.astype(np.int64), found.n_items)

    def interval(self, value: float, statistic: Statistic, rows: IntArray, n: int) -> Figure:
        """`value` with the interval of `statistic`, a function of weights of `rows`."""
        names, group = np.unique([self.ratings.groups[row] for row in rows], return_inverse=True)
        if self.n_boot == 0:
            return Figure(value=value, n=n, n_groups=len(names), reason="No interval was asked for.")
        found = cluster_interval(
            statistic,
            group.astype(np.int64),
            n_boot=self.n_boot,
            seed=self.seed,
            confidence=self.confidence,
        )
        return Figure(
            value=value,
            low=found.low,
            high=found.high,
            confidence=self.confidence,
            method=found.method,
            n=n,
            n_groups=len(names),
            resamples=found.resamples,
            degenerate=found.degenerate,
            reason=found.reason,
        )

    def mean(self, values: Sequence[float], rows: Sequence[int], who: str) -> Figure:
        """A mean over some items."""
        if not rows:
            return Figure(value=None, reason=f"{who} shares no item with another rater.")
        x = np.array(values, dtype=np.float64)
        value = float(x.mean())
        if len(rows) < MIN_RATER_ROWS:
            why = f"Fewer than {MIN_RATER_ROWS} shared items: too few for an interval."
            return Figure(value=value, n=len(rows), reason=why)

        def mean(w: FloatArray) -> FloatArray:
            total = w.sum(axis=1)
            out: FloatArray = np.where(total > 0, (w @ x) / np.where(total > 0, total, 1.0), np.nan)
            return out

        return self.interval(value, mean, np.array(rows, dtype=np.int64), len(rows))


def _pair(ratings: Ratings, one: str, other: str) -> PairFigures:
    found = cohen_kappa(ratings, one, other)
    weighted = None if ratings.numbers is None else cohen_kappa(ratings, one, other, weights="quadratic")
    a, b = (ratings.codes[ratings.raters.index(rater)] for rater in (one, other))
    both = (a >= 0) & (b >= 0)
    return PairFigures(
        one=one,
        other=other,
        n=int(both.sum()),
        agreement=float((a[both] == b[both]).mean()) if both.any() else None,
        kappa=found.value,
        kappa_weighted=None if weighted is None else weighted.value,
        reason=found.reason,
    )


def _line(lean: RaterLean, ratings: Ratings, boot: _Boot, accuracy: float | None) -> RaterLine:
    few = len(ratings.labels) <= MOST_LABELS
    return RaterLine(
        rater=lean.rater,
        n_labels=lean.n_labels,
        n_shared=lean.n_shared,
        agreement=boot.mean(lean.agreement, lean.rows, lean.rater),
        bias=None if lean.difference is None else boot.mean(lean.difference, lean.rows, lean.rater),
        estimated_accuracy=accuracy,
        shares={
            label: share for label, share in zip(ratings.labels, lean.shares, strict=True) if share or few
        },
        confusion=lean.confusion.tolist() if few else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean_text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _accuracy(model: Any, rater: str) -> float | None:
    """How often the rater says the true label, on the items that he labelled, as Dawid and Skene see it."""
    at = model.raters.index(rater)
    seen = model.seen[at].sum()
    return float(model.seen[at] @ np.diag(model.error_rates[at]) / seen) if seen > 0 else None


def _text(figure: Figure, *, percent: bool = False) -> str:
    if figure.value is None:
        return f"not defined: {figure.reason}"
    return figure.text("percent" if percent else "number")


def _signed(figure: Figure) -> str:
    if figure.value is None:
        return "not defined"
    ends = "" if figure.low is None or figure.high is None else f" ({figure.low:+.2f} to {figure.high:+.2f})"
    return f"{figure.value:+.2f}{ends}"
