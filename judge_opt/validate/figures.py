"""A figure with its interval, or the reason why there is none. Never NaN, never a stand-in 0."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge_opt.core.values import ValueType
from judge_opt.validate.intervals import (
    Interval,
    IntervalMethod,
    cluster_interval,
    clustered_proportion,
    perfect_interval,
    proportion_interval,
)
from judge_opt.validate.metrics import MetricName, Statistic, statistic, undefined_reason
from judge_opt.validate.pairs import Pairs


class Strict(BaseModel):
    """Base of everything that a report holds: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(Strict):
    """One statistic on one set of rows.

    Attributes:
        value: the statistic; None where it is not defined, and then `reason` says why.
        low, high: the two-sided interval at `confidence`; both None where there is none, and then `reason`
            says why.
        method: how the interval was made; None where there is none.
        n, n_groups: the rows and groups that entered.
        resamples, degenerate: bootstrap resamples drawn, and those of them on which the statistic was not
            defined and which were left out.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    method: IntervalMethod | None = None
    n: int = 0
    n_groups: int = 0
    resamples: int = 0
    degenerate: int = 0
    reason: str | None = None

    def text(self, style: Literal["percent", "number"] = "number") -> str:
        """For people: "71 % (62 to 79)", "0.61 (0.48 to 0.72)", "not defined"."""
        if self.value is None:
            return "not defined"
        unit = " %" if style == "percent" else ""
        shown = f"{_number(self.value, style)}{unit}"
        if self.low is None or self.high is None:
            return shown
        return f"{shown} ({_number(self.low, style)} to {_number(self.high, style)})"


def _number(value: float, style: Literal["percent", "number"]) -> str:
    text = f"{100 * value:.0f}" if style == "percent" else f"{value:.2f}"
    return text[1:] if float(text) == 0 and text.startswith("-") else text


def undefined(reason: str, pairs: Pairs) -> Figure:
    """The figure that could not be had, and why."""
    return Figure(value=None, reason=reason, n=pairs.n, n_groups=pairs.n_groups)


def with_interval(value: float, interval: Interval, pairs: Pairs, confidence: float) -> Figure:
    """A value and its interval on these rows."""
    return Figure(
        value=value,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        method=interval.method,
        n=pairs.n,
        n_groups=pairs.n_groups,
        resamples=interval.resamples,
        degenerate=interval.degenerate,
        reason=interval.reason,
    )


def point(function: Statistic, n: int) -> float:
    """The statistic on all rows, each once; NaN where it is not defined."""
    value = float(function(np.ones((1, n)))[0])
    return 0.0 if abs(value) < 1e-12 else value


def figure(
    metric: MetricName,
    pairs: Pairs,
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Figure:
    """`metric` on these rows with its interval.

    Agreement takes an exact interval (few rows) or Wilson's where every group has one row, and Wilson's with
    the effective number of rows where not; everything else takes a BCa bootstrap over groups. Where every
    verdict is right there is no spread to show, and the interval comes from `perfect_interval` instead.

    Args:
        n_boot: resamples; 0 for no interval.
        confidence: two-sided, in (0, 1).
    """
    if reason := undefined_reason(metric, pairs, value_type):
        return undefined(reason, pairs)
    function = statistic(metric, pairs)
    value = point(function, pairs.n)
    if not np.isfinite(value):
        return undefined("The statistic is not defined on these rows.", pairs)
    if n_boot == 0:
        return Figure(value=value, n=pairs.n, n_groups=pairs.n_groups, reason="No interval was asked for.")
    hits = pairs.gold == pairs.judged
    if metric == "agreement" and pairs.n_groups == pairs.n:
        interval = proportion_interval(int(hits.sum()), pairs.n, confidence)
    elif metric == "agreement" and value < 1.0 and pairs.n_groups > 1:
        interval = clustered_proportion(hits.astype(np.float64), pairs.group, confidence)
    elif hits.all() and value == 1.0:
        interval = perfect_interval(metric, pairs, confidence)
    else:
        interval = cluster_interval(function, pairs.group, n_boot=n_boot, seed=seed, confidence=confidence)
    return with_interval(value, interval, pairs, confidence)
