"""The pass rate or mean that people would have given, from many verdicts and few labels.

    found = corrected_rate(gold, judged, groups, BOOL)   # gold: a label, or None where nobody labelled
    print(found.text())

A judge's own rate is biased by its errors, and no number of verdicts repairs that; labels alone are
unbiased and few. Both together are valid, and at least as narrow as the labels as far as the judge is
worth something: `label_multiplier` says how many labels one label became.

The labelled rows must have been drawn by lot from all rows (within each verdict, for `corrected_rate`). Rows
that were picked because they looked doubtful bias every estimate here.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import BOOL, ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.clustered import (
    clustered_mean,
    clustered_ppi,
    few_groups_effect,
    label_design_effect,
    rate_design_effect,
    share_design_effect,
)
from judge_opt.validate.corrected_estimate import (
    Corrected,
    checked_label,
    codes,
    estimated,
    unusable,
)
from judge_opt.validate.pairs import FloatArray, check_lengths, encode
from judge_opt.validate.prediction_powered import beta_interval, rogan_gladen

NO_VERDICT = "(no verdict)"
"""The stratum of the rows that the judge could not score: they belong to the rate as much as all others."""


def corrected_rate(
    gold: Sequence[Value | None],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    positive: Value = True,
    draws: int = 20_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Corrected:
    """The share of rows that people would label `positive`: see `beta_interval` for the method.

    Where labelled rows share groups, counts are divided by a design effect, as Rao & Scott (1992) do for
    clustered binary data: the variance of the estimate over groups by that over rows, at least 1, and more
    where it was seen in few groups (`few_groups_effect`).

    Args:
        gold: the human label of each row, None for the rows that nobody labelled.
        judged: the judgement of each row; rows without a verdict are a stratum of their own.
        positive: the label that is counted.

    Raises:
        DataError: the columns differ in length, or a value is not of the value type.
        UsageError: `positive` is no label of the value type.
    """
    check_lengths(gold=gold, judged=judged, groups=groups)
    wanted = checked_label(positive, value_type)
    check_values([gold], judged, value_type)
    names = [value_type.text_of(j.value) if isinstance(j, Scored) else NO_VERDICT for j in judged]
    strata, of_row = np.unique(names, return_inverse=True) if names else (np.array([]), np.array([], int))
    known = np.array([i for i, label in enumerate(gold) if label is not None], dtype=np.int64)
    y = np.array([value_type.text_of(gold[i]) == wanted for i in known], dtype=np.float64)
    group = codes([groups[i] for i in known])
    unscored = sum(not isinstance(j, Scored) for j in judged)
    scored = len(judged) - unscored
    base = Corrected(
        method="post-stratified beta",
        confidence=confidence,
        n_rows=len(gold),
        n_labelled=len(known),
        n_groups=len(np.unique(group)),
        n_unscored=unscored,
        judge_alone=names.count(wanted) / scored if scored else None,
    )
    if reason := unusable(base):
        return base.model_copy(update={"reason": reason})
    k = len(strata)
    rows = np.bincount(of_row, minlength=k).astype(np.float64)
    labelled = np.bincount(of_row[known], minlength=k).astype(np.float64)
    passed: FloatArray = np.bincount(of_row[known], weights=y, minlength=k).astype(np.float64)
    slack = few_groups_effect(base.n_groups, len(known))
    effect = slack * rate_design_effect(y, of_row[known], group, rows, labelled, passed)
    of_rows = share_design_effect(of_row, codes(groups), rows, labelled, passed)
    found = beta_interval(
        passed / effect, labelled / effect, rows / of_rows, draws=draws, seed=seed, confidence=confidence
    )
    alone = slack * label_design_effect(y, group)
    tail = (1.0 - confidence) / 2.0
    ends: FloatArray = stats.beta.ppf(
        np.array([tail, 1.0 - tail]), y.sum() / alone + 0.5, (len(y) - y.sum()) / alone + 0.5
    )
    return estimated(base, float(found.value), float(found.low), float(found.high), ends, effect)


def corrected_mean(
    gold: Sequence[Value | None],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    strata: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Corrected:
    """The mean that people would give, by PPI++ (see `ppi_mean`), over groups and with Student's t.

    Rows without a verdict take the mean verdict as their prediction: any prediction is valid that does not
    look at the labels.

    Args:
        gold, judged, groups: as in `corrected_rate`.
        strata: something known of every row before labels were drawn (a slice, a source): the estimate is
            then made in each and put together by the strata's shares (Fisch et al. 2024, arXiv 2406.04291).
            Each needs two labelled groups. A group must not stand in two strata.

    Raises:
        DataError: the columns differ in length, a value is not of the value type, or a group stands in
            two strata.
        UsageError: the labels have no numeric scale.
    """
    check_lengths(gold=gold, judged=judged, groups=groups, strata=strata or gold)
    if value_type.scale in ("free", "nominal") and value_type != BOOL:
        raise UsageError(
            "A mean needs labels on a numeric scale.", "Use corrected_rate for one label's share."
        )
    check_values([gold], judged, value_type)
    f = np.array(
        [value_type.number_of(j.value) if isinstance(j, Scored) else np.nan for j in judged], dtype=np.float64
    )
    has = np.array([label is not None for label in gold], dtype=bool)
    y = np.array([value_type.number_of(label) if label is not None else 0.0 for label in gold], np.float64)
    group, part = codes(groups), codes(list(strata) if strata is not None else ["all"] * len(gold))
    scored = np.isfinite(f)
    base = Corrected(
        method="PPI++" if strata is None else "stratified PPI++",
        confidence=confidence,
        n_rows=len(gold),
        n_labelled=int(has.sum()),
        n_groups=len(np.unique(group[has])),
        n_unscored=int((~scored).sum()),
        judge_alone=float(f[scored].mean()) if scored.any() else None,
    )
    if reason := unusable(base):
        return base.model_copy(update={"reason": reason})
    if len(np.unique(np.stack([group, part]), axis=1).T) > len(np.unique(group)):
        raise DataError("A group stands in two strata.", "Give every row of a group one stratum.")
    f = np.where(scored, f, f[scored].mean() if scored.any() else 0.0)
    value, variance, slack = 0.0, 0.0, 0.0
    share_of = np.bincount(part) / len(part)
    means = np.zeros(len(share_of))
    for s, share in enumerate(share_of):
        here = part == s
        n_groups = len(np.unique(group[here & has]))
        if n_groups < 2:
            where = "" if strata is None else f" in stratum {sorted(set(strata))[s]!r}"
            return base.model_copy(update={"reason": f"There are fewer than two labelled groups{where}."})
        means[s], own = clustered_ppi(y[here], f[here], has[here], group[here])
        value += share * means[s]
        variance += share**2 * own
        slack += (share**2 * own) ** 2 / (n_groups - 1)
    variance += float((share_of * (means - value) ** 2).sum()) / len(np.unique(group))
    alone, alone_se = clustered_mean(y[has], group[has])
    effect = alone_se**2 / max(float(y[has].var(ddof=1)) / has.sum(), 1e-300) if y[has].var() > 0 else 1.0
    if variance <= 0.0:
        return base.model_copy(
            update={
                "value": value,
                "reason": "Labels and verdicts do not vary, so the spread cannot be seen.",
            }
        )
    dof = variance**2 / slack if slack > 0 else float(base.n_groups - 1)
    half = float(stats.t.ppf((1.0 + confidence) / 2.0, dof)) * variance**0.5
    reach = float(stats.t.ppf((1.0 + confidence) / 2.0, base.n_groups - 1)) * alone_se
    return estimated(
        base,
        value,
        value - half,
        value + half,
        (alone - reach, alone + reach),
        max(1.0, effect),
        is_rate=value_type == BOOL,
    )


def transferred_rate(
    gold: Sequence[Value],
    calibration: Sequence[Judgement],
    target: Sequence[Judgement],
    value_type: ValueType,
    *,
    positive: Value = True,
    confidence: float = 0.95,
) -> Corrected:
    """The share of `positive` in a stream without labels, whose mix of classes differs: `rogan_gladen`.

    It takes the judge to err as often on a positive row here as there, and likewise on a negative one; rows
    to be independent; and unscored rows to be like the others (they are left out on both sides).

    Args:
        gold, calibration: labelled rows from elsewhere and their judgements, in one order.
        target: the judgements of the stream.

    Raises:
        DataError: the columns differ in length, or a value is not of the value type.
        UsageError: `positive` is no label of the value type.
    """
    wanted = checked_label(positive, value_type)
    pairs = encode(gold, calibration, ["all"] * len(gold), value_type)
    check_values([], target, value_type)
    at = pairs.labels.index(wanted)
    truth, said = pairs.gold == at, pairs.judged == at
    verdicts = [value_type.text_of(j.value) == wanted for j in target if isinstance(j, Scored)]
    base = Corrected(
        method="Rogan-Gladen",
        confidence=confidence,
        n_rows=len(target),
        n_labelled=pairs.n,
        n_groups=pairs.n,
        n_unscored=len(target) - len(verdicts),
        judge_alone=float(np.mean(verdicts)) if verdicts else None,
    )
    if not verdicts or not truth.any() or truth.all():
        what = (
            "No row of the stream was scored." if not verdicts else "The labelled rows hold one class only."
        )
        return base.model_copy(update={"reason": what})
    counts = (sum(verdicts), len(verdicts), (truth & said).sum(), truth.sum())
    negative = ((~truth & ~said).sum(), (~truth).sum())
    found = rogan_gladen(
        *(np.asarray(x, dtype=np.float64) for x in (*counts, *negative)), confidence=confidence
    )
    if not np.isfinite(found.low):
        why = "On the labelled rows the judge is no better than chance, so its verdicts say nothing of the rate."
        return base.model_copy(update={"reason": why})
    return estimated(base, float(found.value), float(found.low), float(found.high), None, 1.0)
