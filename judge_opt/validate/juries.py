"""How many independent votes is a jury worth?

Judges that err on the same rows are one judge asked several times. With k votes whose errors correlate by rho,
a jury is worth n_eff = k / (1 + (k - 1) rho) of them (Kish 1965; for juries of LLMs Kohli 2026,
arXiv 2605.29800, where nine models were worth two).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.means import mean_figure
from judge_opt.validate.pairs import FloatArray, check_lengths


class JuryWorth(Strict):
    """Several judges on the rows that all of them scored.

    Attributes:
        judges: their names; those that are never or always wrong on these rows have no correlation and are
            in `left_out`.
        n, n_groups: rows and groups.
        correlation: mean over pairs of judges of the correlation of their errors.
        effective: n_eff at that correlation, at most `k`. A negative correlation counts as 0.
        majority, best: agreement of the majority (ties count by their share), and of the single judge that
            is best on these very rows, which flatters it.
        reason: why there is nothing; None where there is.
    """

    judges: list[str]
    left_out: list[str]
    n: int
    n_groups: int
    correlation: Figure
    effective: Figure
    majority: Figure
    best: str | None = None
    best_agreement: Figure
    reason: str | None = None

    def text(self) -> str:
        """For people."""
        if self.effective.value is None:
            return f"not defined: {self.reason or self.effective.reason}"
        return f"{len(self.judges)} judges are worth {self.effective.text()} independent votes"


def jury_worth(
    gold: Sequence[Value],
    judges: Mapping[str, Sequence[Judgement]],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
) -> JuryWorth:
    """Effective votes of a jury, on labelled rows.

    Args:
        gold, groups: one entry a row. judges: name to judgements, in the rows' order.

    Raises:
        UsageError: fewer than two judges.
        DataError: columns of different lengths, or a value that is not of the value type.
    """
    if len(judges) < 2:
        raise UsageError("A jury has two judges or more.", "Give more.")
    for name, judged in judges.items():
        check_lengths(gold=gold, groups=groups, **{f"judgements of {name}": judged})
        check_values([gold], judged, value_type)
    rows = [i for i in range(len(gold)) if all(isinstance(said[i], Scored) for said in judges.values())]
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    said = {
        name: [value_type.text_of(judged[i].value) for i in rows]  # type: ignore[union-attr]
        for name, judged in judges.items()
    }
    truth = [value_type.text_of(gold[i]) for i in rows]
    wrong = {
        name: np.array([a != b for a, b in zip(one, truth, strict=True)], float) for name, one in said.items()
    }
    varied = [name for name, errors in wrong.items() if len(errors) and 0 < errors.mean() < 1]
    boot: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    majority = np.array([_majority([one[i] for one in said.values()], truth[i]) for i in range(len(rows))])
    best = min(wrong, key=lambda name: wrong[name].mean()) if rows else None
    base: dict[str, Any] = {
        "judges": varied, "left_out": [name for name in judges if name not in varied],
        "n": len(rows), "n_groups": len(np.unique(group)), "best": best,
        "majority": mean_figure(majority, group, **boot),
        "best_agreement": mean_figure(1 - wrong[best] if best else np.array([]), group, **boot),
    }  # fmt: skip
    if len(varied) < 2:
        why = "Fewer than two judges are sometimes right and sometimes wrong on rows that all scored."
        nothing = Figure(value=None, reason=why)
        return JuryWorth(**base, correlation=nothing, effective=nothing, reason=why)
    table = np.stack([wrong[name] for name in varied], axis=1)

    def rho(w: FloatArray) -> FloatArray:
        return _mean_correlation(w, table)

    value = float(rho(np.ones((1, len(rows))))[0])
    k = len(varied)
    shared: dict[str, Any] = {"n": len(rows), "n_groups": len(np.unique(group))}
    ends = cluster_interval(rho, group, n_boot=n_boot, seed=seed) if n_boot else None
    low, high = (ends.low, ends.high) if ends else (None, None)
    reason = ends.reason if ends else "No interval was asked for."
    of = [None if x is None else k / (1 + (k - 1) * max(0.0, x)) for x in (value, high, low)]
    more: dict[str, Any] = {"method": ends.method if ends else None, "reason": reason}
    return JuryWorth(
        **base,
        correlation=Figure(value=value, low=low, high=high, **shared, **more),
        effective=Figure(value=of[0], low=of[1], high=of[2], **shared, **more),
    )


def _majority(said: Sequence[str], truth: str) -> float:
    most = max(said.count(one) for one in said)
    leaders = {one for one in said if said.count(one) == most}
    return 1 / len(leaders) if truth in leaders else 0.0


def _mean_correlation(w: FloatArray, table: FloatArray) -> FloatArray:
    """Mean off-diagonal correlation of the columns of `table` [n, k] under row weights [B, n]."""
    share = w / w.sum(axis=1, keepdims=True)
    mean = share @ table
    k = table.shape[1]
    pairs = np.stack([table[:, a] * table[:, b] for a in range(k) for b in range(a)], axis=1)
    joint = share @ pairs
    spread = np.sqrt(np.clip(mean * (1 - mean), 0, None))
    at = [(a, b) for a in range(k) for b in range(a)]
    one, other = np.array([a for a, _ in at]), np.array([b for _, b in at])
    bottom = spread[:, one] * spread[:, other]
    ok = bottom > 1e-12
    each = np.where(ok, (joint - mean[:, one] * mean[:, other]) / np.where(ok, bottom, 1.0), np.nan)
    counted = ok.sum(axis=1)
    return np.where(counted > 0, np.nansum(each, axis=1) / np.maximum(counted, 1), np.nan)
