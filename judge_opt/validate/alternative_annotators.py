"""May this judge replace a rater? The alternative annotator test.

    found = alt_test(votes, judged, groups, BOOL, epsilon=0.2)   # raters are experts
    print(found.winning_rate, found.advantage, found.passed)

Calderon, Reichart & Dror, "The Alternative Annotator Test for LLM-as-a-Judge", ACL 2025 (arXiv 2501.10970).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import stats

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.clustered import clustered_mean
from judge_opt.validate.figures import Strict
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths

Scoring = Literal["accuracy", "rmse"]

EPSILON: Mapping[str, float] = {"experts": 0.2, "skilled": 0.15, "crowd": 0.1}
"""The authors' suggestions (section 3.2): the dearer the raters, the more a judge may be worse than one."""

WINNING_RATE = 0.5
"""The judge passes if it beats at least this share of the raters."""

_TIE = 1e-12


class RaterTest(Strict):
    """The judge against one rater, on the rows that this rater, at least one other rater, and the judge have.

    Attributes:
        n, n_groups: rows and their groups.
        advantage: share of rows on which the judge is as near to the other raters as this rater, or nearer.
        rater_advantage: the share on which the rater is as near as the judge, or nearer.
        p_value: one-sided, of "the rater is better by epsilon or more".
        method: `t` (over groups; over rows where every row is its own group), or `exact` where all
            differences are equal and a t-test has no spread.
        wins: the judge is shown to be less than epsilon worse, at the corrected level.
    """

    rater: str
    n: int
    n_groups: int
    advantage: float
    rater_advantage: float
    p_value: float
    method: Literal["t", "exact"]
    wins: bool


class AltTest(Strict):
    """What `alt_test` found.

    Attributes:
        winning_rate: share of the tested raters that the judge beats, in [0, 1].
        advantage: mean over raters of `RaterTest.advantage`, in [0, 1]: what the authors rank judges by.
        passed: the winning rate is at least `WINNING_RATE`; None where nothing could be tested.
        raters: in the order of their names.
        skipped: raters with too few rows, and how many they had.
        reason: why there is no result; None where there is one.
    """

    epsilon: float
    q: float
    scoring: Scoring
    winning_rate: float | None = None
    advantage: float | None = None
    passed: bool | None = None
    raters: list[RaterTest] = Field(default_factory=list)
    skipped: dict[str, int] = Field(default_factory=dict)
    reason: str | None = None


def alt_test(
    votes: Sequence[Mapping[str, Value]],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    epsilon: float = 0.2,
    q: float = 0.05,
    scoring: Scoring | None = None,
    min_rows: int = 30,
) -> AltTest:
    """Leave out one rater at a time: is the judge nearer to the others than that rater is?

    For each row, the judge and the left-out rater are scored against the others: the share that says the
    same (`accuracy`), or minus the root mean squared distance (`rmse`). The share of rows that the rater
    wins, less the share that the judge wins, is tested to be below epsilon, ties counting for both; the
    p-values are corrected by Benjamini & Yekutieli (2001) at false discovery rate `q`.

    What differs from the paper: the t-test is over groups where rows share one (the authors take rows as
    independent); and where all differences are equal, an exact bound stands in for a t-test without
    spread: the chance of that under the least favourable distribution with mean epsilon,
    ((1 - epsilon) / (1 - c))^G for differences that are all c, in G groups.

    Args:
        votes: for each row, rater to value.
        judged: the judgement of each row; unscored rows are left out.
        epsilon: how much worse than a rater the judge may be, in [0, 1); see `EPSILON`.
        q: false discovery rate, in (0, 1).
        scoring: `accuracy` unless the labels are numbers; ordered labels may be scored by `rmse` of their ranks.
        min_rows: raters with fewer shared rows are skipped (the authors ask for 30).

    Raises:
        DataError: the columns differ in length, or a value is not of the value type.
        UsageError: `rmse` for labels without numbers; epsilon or q out of range.
    """
    check_lengths(votes=votes, judged=judged, groups=groups)
    if not 0.0 <= epsilon < 1.0 or not 0.0 < q < 1.0:
        raise UsageError(
            f"epsilon={epsilon}, q={q}: out of range.", "Take epsilon in [0, 1) and q in (0, 1)."
        )
    numeric = value_type.scale not in ("nominal", "free")
    scoring = scoring or ("rmse" if numeric and value_type.kind in ("int", "float") else "accuracy")
    if scoring == "rmse" and not numeric:
        raise UsageError("The labels are no numbers, so there is no distance.", 'Use scoring="accuracy".')
    names = sorted({name for by_rater in votes for name in by_rater})
    check_values([[by_rater.get(name) for by_rater in votes] for name in names], judged, value_type)
    base = AltTest(epsilon=epsilon, q=q, scoring=scoring)
    shared: dict[str, list[int]] = {}
    for i, (by_rater, judgement) in enumerate(zip(votes, judged, strict=True)):
        if isinstance(judgement, Scored) and len(by_rater) > 1:
            for rater in by_rater:
                shared.setdefault(rater, []).append(i)
    least = max(min_rows, 2)
    base = base.model_copy(
        update={"skipped": {r: len(rows) for r, rows in sorted(shared.items()) if len(rows) < least}}
    )
    tested = {rater: rows for rater, rows in sorted(shared.items()) if len(rows) >= least}
    if not tested:
        why = f"No rater has {least} rows that another rater and the judge have too."
        return base.model_copy(update={"reason": why})
    found = []
    for rater, rows in tested.items():
        wins = np.array([_wins(rater, votes[i], judged[i], scoring, value_type) for i in rows], np.float64)
        group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
        if int(group.max()) == 0:
            base = base.model_copy(update={"skipped": {**base.skipped, rater: len(rows)}})
            continue
        p_value, method = _below(wins[:, 1] - wins[:, 0], group, epsilon)
        found.append((rater, len(rows), int(group.max()) + 1, wins.mean(axis=0), p_value, method))
    if not found:
        return base.model_copy(
            update={"reason": "Every rater's rows are in one group: no spread can be seen."}
        )
    rejected = benjamini_yekutieli([p for *_, p, _ in found], q)
    raters = [
        RaterTest(
            rater=rater, n=n, n_groups=n_groups, advantage=float(mean[0]), rater_advantage=float(mean[1]),
            p_value=p_value, method=method, wins=wins_it,
        )
        for (rater, n, n_groups, mean, p_value, method), wins_it in zip(found, rejected, strict=True)
    ]  # fmt: skip
    rate = float(np.mean(rejected))
    return base.model_copy(
        update={
            "winning_rate": rate,
            "advantage": float(np.mean([one.advantage for one in raters])),
            "passed": rate >= WINNING_RATE,
            "raters": raters,
        }
    )


def benjamini_yekutieli(p_values: Sequence[float], q: float) -> list[bool]:
    """Which hypotheses are rejected at false discovery rate `q`, whatever their dependence (2001)."""
    from statsmodels.stats.multitest import multipletests

    return [bool(x) for x in multipletests(list(p_values), alpha=q, method="fdr_by")[0]]


def _wins(
    rater: str, by_rater: Mapping[str, Value], judgement: Judgement, scoring: Scoring, value_type: ValueType
) -> tuple[float, float]:
    """Whether the judge is at least as near to the others as the rater, and the converse."""
    assert isinstance(judgement, Scored)
    others = [value for name, value in by_rater.items() if name != rater]

    def near(value: Value) -> float:
        if scoring == "accuracy":
            return float(np.mean([value_type.text_of(value) == value_type.text_of(o) for o in others]))
        numbers = np.array([value_type.number_of(v) for v in (value, *others)], dtype=np.float64)
        return -float(np.sqrt(np.mean((numbers[0] - numbers[1:]) ** 2)))

    gap = near(judgement.value) - near(by_rater[rater])
    return float(gap >= -_TIE), float(gap <= _TIE)


def _below(difference: FloatArray, group: IntArray, epsilon: float) -> tuple[float, Literal["t", "exact"]]:
    """One-sided p-value of "the mean is at least epsilon"."""
    mean, error = clustered_mean(difference, group)
    groups = int(group.max()) + 1
    if error > _TIE:
        return float(stats.t.cdf((mean - epsilon) / error, groups - 1)), "t"
    if mean >= epsilon:
        return 1.0, "exact"
    return ((1.0 - epsilon) / (1.0 - mean)) ** groups, "exact"
