"""Let the judge decide where it is sure, and people (or a stronger judge) the rest.

    curve = risk_coverage(gold, judged)                           # what sureness is worth
    rule = accept_threshold(gold, judged, target=0.9, groups=groups)
    mine = [j for j in new if rule.accepts(j)]                     # the rest is escalated

`accept_threshold` gives a guarantee: with probability at least 1 - delta over the labelled rows, accepted
rows agree with people at a rate of at least `target`. Where the labels cannot show that, there is no threshold.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy import stats

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.validate.figures import Strict
from judge_opt.validate.pairs import FloatArray, check_lengths

STEPS = 20
"""Numbers of accepted rows that are tried, strict to loose; fewer tries stop less often by bad luck."""


class CurvePoint(Strict):
    """Accepting every row whose confidence is at least `threshold`.

    Attributes:
        n, coverage: accepted rows, and their share of all rows, scored or not.
        agreement, low, high: on the accepted rows, with Wilson's 95 %; at one point, not for a threshold
            that was picked by looking at the curve. Rows are taken as independent.
    """

    threshold: float
    n: int
    coverage: float
    agreement: float
    low: float
    high: float


class RiskCoverage(Strict):
    """The risk-coverage curve (El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017).

    Attributes:
        n_rows, n_usable: rows, and those with a verdict and a confidence.
        points: strict to loose, one for each confidence that occurs.
        area: mean over the usable rows, in the order of their confidence, of the share of errors so far
            (AURC); with ties, at the whole tie. 0 is best; the share of errors is what confidence without
            any worth has.
        reason: why there is no curve; None where there is one.
    """

    n_rows: int
    n_usable: int
    points: list[CurvePoint] = Field(default_factory=list)
    area: float | None = None
    reason: str | None = None


class AcceptRule(Strict):
    """When to take the judge's word.

    Attributes:
        threshold: least confidence; None where no threshold could be certified, and then `reason` says why
            and `accepts` takes nothing.
        target, delta: agreement on accepted rows is at least `target`, but for a chance of at most `delta`
            in the draw of the labelled rows.
        n_tested: rows that entered: with a label, one from each group.
        n_accepted, errors, coverage: of those rows (unscored ones among them), the accepted ones.
        agreement, low: on the accepted rows; and Clopper and Pearson's one-sided lower end at 1 - delta.
    """

    target: float
    delta: float
    n_tested: int
    threshold: float | None = None
    n_accepted: int = 0
    errors: int = 0
    coverage: float = 0.0
    agreement: float | None = None
    low: float | None = None
    reason: str | None = None

    def accepts(self, judgement: Judgement) -> bool:
        """True where the verdict may stand; an unscored row, or one without a confidence, never may."""
        sure = judgement.confidence if isinstance(judgement, Scored) else None
        return self.threshold is not None and sure is not None and sure >= self.threshold


def risk_coverage(gold: Sequence[Value], judged: Sequence[Judgement]) -> RiskCoverage:
    """Agreement against the share of rows that is accepted, by falling confidence.

    Args:
        gold, judged: one entry for each row; a verdict agrees where it equals the label.

    Raises:
        DataError: the columns differ in length.
    """
    check_lengths(gold=gold, judged=judged)
    sure, right = _usable(gold, judged)
    if len(sure) == 0:
        return RiskCoverage(n_rows=len(gold), n_usable=0, reason=_nothing(judged))
    thresholds, first, sizes = _steps(sure)
    hits = np.cumsum(right[np.argsort(-sure, kind="stable")])[first]
    points = []
    for threshold, n, hit in zip(thresholds, sizes, hits, strict=True):
        ends = stats.binomtest(int(hit), int(n)).proportion_ci(0.95, method="wilson")
        points.append(
            CurvePoint(
                threshold=float(threshold), n=int(n), coverage=int(n) / len(gold), agreement=int(hit) / int(n),
                low=float(ends.low), high=float(ends.high),
            )
        )  # fmt: skip
    added = np.diff(sizes, prepend=0)
    area = float((added * (1.0 - hits / sizes)).sum() / sizes[-1])
    return RiskCoverage(n_rows=len(gold), n_usable=len(sure), points=points, area=area)


def accept_threshold(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    *,
    target: float,
    groups: Sequence[str] | None = None,
    delta: float = 0.1,
    seed: int = 0,
) -> AcceptRule:
    """The loosest confidence that labels can certify, by fixed-sequence testing.

    From strict to loose, "agreement above this confidence is below `target`" is tested at level `delta` by
    the exact binomial chance of so few errors; the walk ends at the first that is not rejected, and the last
    rejected one is the threshold. No correction is needed, since each test is made only where all stricter
    ones were rejected (Bauer 1991; Jung, Brahman & Choi, ICLR 2025, arXiv 2407.18370, section 2).

    What differs: the sizes that are tried are fixed before any label is looked at (`STEPS` of them), from
    the least that could pass with an error allowed up to all rows, instead of a grid of confidences; and of
    rows that share a group one is drawn, since the binomial takes rows as independent. The guarantee is for rows
    like the labelled ones, drawn by lot.

    Args:
        gold, judged: labelled rows that were not used to align the judge or to fit its confidence.
        target: wanted agreement on accepted rows, in (0, 1).
        groups: the group of each row; None where every row stands alone.
        delta: allowed chance of a wrong certificate, in (0, 1).
        seed: of the draw of one row a group.

    Raises:
        DataError: the columns differ in length.
        UsageError: `target` or `delta` is not between 0 and 1.
    """
    for name, value in (("target", target), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise UsageError(f"{name}={value} is not between 0 and 1.", "Give a share such as 0.9.")
    check_lengths(gold=gold, judged=judged, groups=gold if groups is None else groups)
    rows = list(range(len(gold))) if groups is None else _one_a_group(groups, seed)
    kept = [gold[i] for i in rows], [judged[i] for i in rows]
    sure, right = _usable(*kept)
    rule = AcceptRule(target=target, delta=delta, n_tested=len(rows))
    if len(sure) == 0:
        return rule.model_copy(update={"reason": _nothing(kept[1])})
    least = rows_needed(target, delta)
    if len(sure) < least:
        why = (
            f"There are {len(sure)} independent rows with a confidence; {least} without any error are the "
            f"least that can certify {100 * target:g} % at delta {delta:g}."
        )
        return rule.model_copy(update={"reason": why})
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(1.0 - right[order])
    thresholds, first, sizes = _steps(sure)
    found = None
    for size in _sizes(target, delta, len(sure)):
        # A tie in confidence is accepted as a whole: the smallest set that holds `size` rows.
        at = int(np.searchsorted(sizes, size))
        n, errors = int(sizes[at]), int(wrong[first[at]])
        if stats.binom.cdf(errors, n, 1.0 - target) > delta:
            break
        found = float(thresholds[at]), n, errors
    if found is None:
        why = f"The rows that the judge is surest of do not show {100 * target:g} % agreement."
        return rule.model_copy(update={"reason": why})
    threshold, n, errors = found
    return rule.model_copy(
        update={
            "threshold": threshold,
            "n_accepted": n,
            "errors": errors,
            "coverage": n / len(rows),
            "agreement": 1.0 - errors / n,
            "low": float(stats.beta.ppf(delta, n - errors, errors + 1)) if errors < n else 0.0,
        }
    )


def rows_needed(target: float, delta: float, errors: int = 0) -> int:
    """The fewest accepted rows that certify `target` with that many errors: for none, target^n <= delta."""
    n = errors + 1
    while stats.binom.cdf(errors, n, 1.0 - target) > delta:
        n += 1
    return n


def _sizes(target: float, delta: float, n: int) -> list[int]:
    """What is tried: from the size at which one error is allowed (or none, where rows are few) to all."""
    start = min(rows_needed(target, delta, errors=1), n)
    return sorted({round(float(x)) for x in np.linspace(start, n, STEPS)})


def _usable(gold: Sequence[Value], judged: Sequence[Judgement]) -> tuple[FloatArray, FloatArray]:
    """Confidence, and whether the verdict is the label, of the rows that have both."""
    rows = [
        (j.confidence, float(j.value == label))
        for label, j in zip(gold, judged, strict=True)
        if isinstance(j, Scored) and j.confidence is not None
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _steps(sure: FloatArray) -> tuple[FloatArray, "np.ndarray[tuple[int], np.dtype[np.int64]]", FloatArray]:
    """Each confidence that occurs, falling; where its last row stands in that order; rows at least so sure."""
    values, counts = np.unique(-sure, return_counts=True)
    sizes = np.cumsum(counts)
    return -values, (sizes - 1).astype(np.int64), sizes.astype(np.float64)


def _one_a_group(groups: Sequence[str], seed: int) -> list[int]:
    of: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        of.setdefault(name, []).append(i)
    rng = np.random.default_rng(seed)
    return [of[name][int(rng.integers(len(of[name])))] for name in sorted(of)]


def _nothing(judged: Sequence[Judgement]) -> str:
    if all(isinstance(j, Unscored) for j in judged):
        return "No row was scored."
    return "The judge gave no confidence: its endpoint gives no label probabilities."
