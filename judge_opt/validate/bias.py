"""Biases: is a verdict moved by what should not matter?

A paired test: the same rows, judged in two forms. And two that need no calls, from verdicts and labels that are
there: does the judge lean more than people to its own texts (`self_preference`), or to long ones
(`length_lean`)?
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.means import mean_figure, sign_flip_test
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths

_DRAWS = 1999
_Flags = npt.NDArray[np.bool_]
_OBSERVED = "Verdicts and labels that were there were looked at; nothing was changed."


class BiasTest(Strict):
    """One bias.

    Attributes:
        name, title: which, and in words.
        n, n_groups: rows that were judged in both forms, and their groups.
        not_applied, n_unscored: rows to which the change does not apply, and rows without a verdict in
            some form.
        shift: mean change of the verdict as a number (a rank for ordered labels, 0 or 1 for yes/no, in a
            preference 1 for the changed output, -1 for the other, 0 for a tie): above 0 is higher. Without a
            value for labels without an order, and where the change goes both ways.
        changed: share of rows with another verdict; without a value where nothing was changed but looked at.
        control: the same share when the unchanged form is asked again: what the judge's own wavering does.
            None where it was not asked.
        p_value: two-sided, of "the shift is 0"; where there is no shift, of "changed is no more than
            control" (one-sided, paired); None where there is none, and `reason` says why.
    """

    name: str
    title: str
    n: int
    n_groups: int
    not_applied: int = 0
    n_unscored: int = 0
    shift: Figure
    changed: Figure
    control: Figure | None = None
    p_value: float | None = None
    reason: str | None = None

    def text(self) -> str:
        """For people, one line."""
        if self.reason:
            return f"{self.name}: {self.reason}"
        if self.changed.value is None:
            return f"{self.name}: {self.shift.text()}"
        said = f"{self.name}: {self.changed.text('percent')} of the verdicts changed"
        if self.control is not None and self.control.value is not None:
            said += f" ({self.control.text('percent')} when merely asked again)"
        if self.shift.value is not None:
            said += f", shift {self.shift.value:+.3f}"
        return said


def paired_bias(
    name: str,
    title: str,
    before: Sequence[Judgement | None],
    after: Sequence[Judgement | None],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    again: Sequence[Judgement | None] | None = None,
    sides: Sequence[str] | None = None,
    directed: bool = True,
    n_boot: int = 2000,
    seed: int = 0,
) -> BiasTest:
    """Compare two forms of the same rows.

    Args:
        before, after: judgements of both forms; None where the change does not apply to the row.
        again: a second judgement of the first form, for the control.
        sides: for preferences: the label of the output that was changed, a row each.
        directed: False where the change goes both ways, so that a mean shift says nothing.

    Raises:
        DataError: columns of different lengths, or a value that is not of the value type.
    """
    check_lengths(before=before, after=after, groups=groups)
    for column in (before, after, again or []):
        check_values([], [j for j in column if j is not None], value_type)
    tried = [i for i in range(len(groups)) if before[i] is not None and after[i] is not None]
    rows = [i for i in tried if isinstance(before[i], Scored) and isinstance(after[i], Scored)]
    base: dict[str, Any] = {
        "name": name, "title": title, "n": len(rows), "n_groups": len({groups[i] for i in rows}),
        "not_applied": len(groups) - len(tried), "n_unscored": len(tried) - len(rows),
    }  # fmt: skip
    boot: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    old, new = [_value(before[i]) for i in rows], [_value(after[i]) for i in rows]
    differs = np.array([float(a != b) for a, b in zip(old, new, strict=True)])
    moved = _moves(old, new, [sides[i] for i in rows] if sides is not None else None, value_type)
    changed = mean_figure(differs, group, **boot)
    control, wavers = None, None
    if again is not None:
        wavers = np.array(
            [float(_value(again[i]) != a) if isinstance(again[i], Scored) else np.nan
             for i, a in zip(rows, old, strict=True)]
        )  # fmt: skip
        seen = np.isfinite(wavers)
        control = mean_figure(wavers[seen], group[seen], **boot)
    if moved is None or not directed:
        why = "The labels have no order" if moved is None else "The change goes both ways"
        shift = Figure(value=None, reason=f"{why}, so it has no direction.")
        p_value = None
        if wavers is not None and len(rows):
            # More changes under the perturbation than under a mere repeat: one-sided.
            both = np.isfinite(wavers)
            gap = differs[both] - wavers[both]
            two_sided = sign_flip_test(gap, group[both], seed=seed)
            p_value = None if two_sided is None else two_sided / 2 if gap.sum() > 0 else 1 - two_sided / 2
    else:
        shift = mean_figure(moved, group, **boot)
        p_value = sign_flip_test(moved, group, seed=seed)
    reason = None if rows else "No row was judged in both forms."
    return BiasTest(**base, shift=shift, changed=changed, control=control, p_value=p_value, reason=reason)


def self_preference(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    own: Sequence[bool],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
) -> BiasTest:
    """Does the judge lean more to texts of its own model than to others', beyond what people say of both?

    The shift is the judge's mean verdict on its own texts less that on others' with the same human label,
    averaged over labels by how often they occur: better texts are no bias, and neither is the noise of a judge
    whose own texts are better (which a plain difference of excesses over people takes for one). With a bootstrap
    over groups; the p-value draws anew which groups are the judge's own, and so takes groups as interchangeable.
    Labels that are not a list of choices are one stratum, and the excess over people is compared.

    Args:
        own: the judged text is by the judge's own model (family).

    Raises:
        DataError: columns of different lengths, a bad value, labels without an order, or a group that holds
            texts of both kinds.
    """
    check_lengths(gold=gold, judged=judged, own=own, groups=groups)
    check_values([gold], judged, value_type)
    rows = [i for i, j in enumerate(judged) if isinstance(j, Scored)]
    title = "texts of the judge's own model against others', beyond what people say of them"
    base: dict[str, Any] = {
        "name": "self_preference", "title": title, "n": len(rows),
        "n_groups": len({groups[i] for i in rows}), "n_unscored": len(gold) - len(rows),
    }  # fmt: skip
    numbers = [(value_type.number_of(_value(judged[i])), value_type.number_of(gold[i])) for i in rows]
    if any(a is None or b is None for a, b in numbers):
        raise DataError("Labels without an order have no lean.", "Use bool, ordered, int or float labels.")
    said = np.array([a for a, _ in numbers if a is not None])
    people = np.array([b for _, b in numbers if b is not None])
    mine = np.array([own[i] for i in rows], dtype=bool)
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    changed = Figure(value=None, reason=_OBSERVED)
    if not mine.any() or mine.all():
        why = "All texts are of one kind, own or others'."
        return BiasTest(**base, shift=Figure(value=None, reason=why), changed=changed, reason=why)
    if value_type.is_choice:
        strata = np.eye(len(np.unique(people)))[np.unique(people, return_inverse=True)[1]]
    else:
        said, strata = said - people, np.ones((len(rows), 1))

    def gap(w: FloatArray, of: _Flags = mine) -> FloatArray:
        one, other = (w * of) @ strata, (w * ~of) @ strata
        both = (one > 0) & (other > 0)
        means = [
            ((w * side) @ (strata * said[:, None])) / np.where(n > 0, n, 1.0)
            for side, n in ((of, one), (~of, other))
        ]
        share = np.where(both, one + other, 0.0)
        total = share.sum(axis=1)
        out: FloatArray = np.where(
            total > 0, (share * (means[0] - means[1])).sum(axis=1) / np.where(total > 0, total, 1.0), np.nan
        )
        return out

    value = float(gap(np.ones((1, len(rows))))[0])
    if not np.isfinite(value):
        why = "No human label occurs on own and on others' texts."
        return BiasTest(**base, shift=Figure(value=None, reason=why), changed=changed, reason=why)
    ends = cluster_interval(gap, group, n_boot=n_boot, seed=seed)
    shift = Figure(
        value=value, low=ends.low, high=ends.high, method=ends.method, n=len(rows), n_groups=base["n_groups"],
        resamples=ends.resamples, degenerate=ends.degenerate, reason=ends.reason,
    )  # fmt: skip
    return BiasTest(**base, shift=shift, changed=changed, p_value=_whose(gap, mine, group, value, seed))


def length_lean(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    lengths: Sequence[float],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    n_boot: int = 2000,
    seed: int = 0,
) -> BiasTest:
    """Does the judge value length more than people do?

    The shift is the correlation of the verdict with the rank of the length among rows with the same human label
    (a partial correlation): 0 where length tells nothing of the verdict beyond the label, above 0 where longer
    texts fare better. For a preference give the first output's length less the second's. Labels that are not a
    list of choices are one stratum, and the excess over people is taken. An association, not a cause: an audit
    changes the length and nothing else.

    Raises:
        DataError: columns of different lengths, a bad value, or labels without an order.
    """
    check_lengths(gold=gold, judged=judged, lengths=lengths, groups=groups)
    check_values([gold], judged, value_type)
    rows = [i for i, j in enumerate(judged) if isinstance(j, Scored)]
    base: dict[str, Any] = {
        "name": "length_lean", "n": len(rows),
        "title": "verdict against the text's length, among rows with one human label",
        "n_groups": len({groups[i] for i in rows}), "n_unscored": len(gold) - len(rows),
    }  # fmt: skip
    pairs = [(_number(_value(judged[i]), value_type), _number(gold[i], value_type)) for i in rows]
    if any(a is None or b is None for a, b in pairs):
        raise DataError("Labels without an order have no lean.", "Use bool, ordered, int or float labels.")
    said = np.array([a for a, _ in pairs if a is not None])
    people = np.array([b for _, b in pairs if b is not None])
    rank: FloatArray = stats.rankdata([float(lengths[i]) for i in rows])
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    changed = Figure(value=None, reason=_OBSERVED)
    if value_type.is_choice:
        strata = np.unique(people, return_inverse=True)[1]
    else:
        said, strata = said - people, np.zeros(len(rows), dtype=np.int64)
    x, y = _within(said, strata), _within(rank, strata)
    if len(rows) < 3 or abs(x).max() < 1e-12 or abs(y).max() < 1e-12:
        why = "Among rows with one human label, verdict or length does not vary."
        return BiasTest(**base, shift=Figure(value=None, reason=why), changed=changed, reason=why)

    def of_ranks(w: FloatArray) -> FloatArray:
        total = w.sum(axis=1)
        mx, my = (w @ x) / total, (w @ y) / total
        cov = (w @ (x * y)) / total - mx * my
        bottom = ((w @ x**2) / total - mx**2) * ((w @ y**2) / total - my**2)
        return np.where(bottom > 1e-12, cov / np.sqrt(np.where(bottom > 1e-12, bottom, 1.0)), np.nan)

    value = float(of_ranks(np.ones((1, len(rows))))[0])
    ends = cluster_interval(of_ranks, group, n_boot=n_boot, seed=seed)
    shift = Figure(
        value=value, low=ends.low, high=ends.high, method=ends.method, n=len(rows), n_groups=base["n_groups"],
        resamples=ends.resamples, degenerate=ends.degenerate, reason=ends.reason,
    )  # fmt: skip
    # Without an association, a group's products of what is left over are as often above 0 as below.
    p_value = sign_flip_test(x * y, group, seed=seed)
    return BiasTest(**base, shift=shift, changed=changed, p_value=p_value)


def _whose(
    gap: Callable[[FloatArray, _Flags], FloatArray], mine: _Flags, group: IntArray, value: float, seed: int
) -> float:
    """Two-sided permutation of which groups are the judge's own."""
    of_group = np.zeros(int(group.max()) + 1, dtype=bool)
    of_group[group] = mine
    if not (of_group[group] == mine).all():
        raise DataError("A group holds texts of both kinds.", "Give each text its own group.")
    rng = np.random.default_rng(seed)
    ones = np.ones((1, len(group)))
    drawn = [float(gap(ones, rng.permutation(of_group)[group])[0]) for _ in range(_DRAWS)]
    # A drawing without a common label speaks neither way: it counts against a finding.
    extreme = sum(not abs(one) < abs(value) - 1e-12 for one in drawn)
    return (1 + extreme) / (1 + _DRAWS)


def _within(x: FloatArray, strata: IntArray) -> FloatArray:
    """What is left of `x` after the mean of its stratum."""
    n = np.bincount(strata)
    out: FloatArray = x - (np.bincount(strata, weights=x) / np.maximum(n, 1))[strata] if len(x) else x
    return out


def _moves(
    old: Sequence[Value], new: Sequence[Value], sides: Sequence[str] | None, value_type: ValueType
) -> FloatArray | None:
    """How far each verdict moved, as a number; None for labels without an order."""
    if value_type.kind == "pairwise":
        if sides is None:
            return None
        place = [
            [1.0 if str(v) == side else -1.0 if str(v) in value_type.labels[:2] else 0.0 for v in (a, b)]
            for a, b, side in zip(old, new, sides, strict=True)
        ]
        return np.array([b - a for a, b in place], dtype=np.float64)
    pairs = [(value_type.number_of(a), value_type.number_of(b)) for a, b in zip(old, new, strict=True)]
    if any(a is None or b is None for a, b in pairs):
        return None
    return np.array([b - a for a, b in pairs if a is not None and b is not None], dtype=np.float64)


def _number(value: Value, value_type: ValueType) -> float | None:
    """As `number_of`; a preference is 1 for the first output, -1 for the second, 0 for a tie."""
    if value_type.kind == "pairwise":
        places = {value_type.labels[0]: 1.0, value_type.labels[1]: -1.0}
        return places.get(str(value), 0.0)
    return value_type.number_of(value)


def _value(judgement: Judgement | None) -> Value:
    assert isinstance(judgement, Scored)
    return judgement.value
