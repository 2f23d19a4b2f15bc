"""Does the judge say the same when it is asked again? And how much of an improvement is only that?

    repeats = repeat_judgements(judge, items, 3)          # real calls, none answered from another's cache
    found = stability(repeats, groups, judge.value_type, gold=gold)
    print(found.same.text("percent"), found.floor)

A judge that contradicts itself cannot agree with people better than with itself: repeated judging bounds every
other figure, and two scores closer than the noise floor are no improvement.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.ratings import Ratings
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.means import mean_figure
from judge_opt.validate.metrics import MetricName, primary_metric, statistic, undefined_reason
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths, encode

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge

_PICKS = 2000


class Stability(Strict):
    """How a judge agrees with itself.

    Attributes:
        n_rows, n_groups: rows that at least two repeats scored, and their groups.
        n_repeats: times that each row was asked.
        n_unscored: judgements without a verdict, of all repeats; they are left out.
        same: two repeats of a row, drawn by lot, say the same (test-retest agreement).
        alpha: Krippendorff's alpha of the repeats as raters; 1 is a judge that never wavers.
        wavering: share of the rows on which not all repeats say the same.
        metric, deviation: the metric of one pass against the labels, and its standard deviation from pass to
            pass on the same rows; None without labels or where the metric is not defined.
        floor: two passes of the very same judge differ by less than this in 95 % of the cases: the noise
            floor of a comparison of two single passes. None like `deviation`.
        reason: why there is nothing; None where there is.
    """

    n_rows: int
    n_groups: int
    n_repeats: int
    n_unscored: int
    same: Figure
    alpha: Figure
    wavering: float | None = None
    metric: MetricName | None = None
    deviation: float | None = None
    floor: float | None = None
    reason: str | None = None

    def text(self) -> str:
        """For people, one or two sentences."""
        if self.reason:
            return self.reason
        said = f"Asked {self.n_repeats} times, the judge repeats itself on {self.same.text('percent')} of the rows."
        if self.floor is not None:
            said += f" From pass to pass alone, two scores differ by up to {self.floor:.3f} (95 %)."
        return said


def repeat_judgements(
    judge: "Judge",
    items: Sequence[Any],
    repeats: int,
    *,
    concurrency: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Judgement]]:
    """Judge each item `repeats` times with calls of its own: N repeats are N calls, also at temperature 0.
    The first repeat is the pass that everything else uses, so it is bought once.

    Args:
        progress: told of judgements done and in all.

    Returns:
        for each repeat, the judgement of each item.

    Raises:
        UsageError: fewer than two repeats.
        JudgeOptError: see `Judge.batch`.
    """
    from judge_opt.llm.keys import repeat

    if repeats < 2:
        raise UsageError(f"{repeats} repeats show no stability.", "Give 2 or more; 3 is a start.")
    total = repeats * len(items)
    out: list[list[Judgement]] = []
    for k in range(repeats):

        def told(done: int, _: int, before: int = k * len(items)) -> None:
            if progress is not None:
                progress(before + done, total)

        with repeat(k):
            said = judge.batch(items, concurrency=concurrency, progress=told)
        out.append([one.result for one in said])
    return out


def stability(
    repeats: Sequence[Sequence[Judgement]],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    gold: Sequence[Value | None] | None = None,
    metric: MetricName | None = None,
    n_boot: int = 2000,
    seed: int = 0,
) -> Stability:
    """Measure repeated judgements of the same rows.

    The deviation is that of a pass made of one repeat a row, drawn by lot for each row on its own, times
    sqrt(R / (R - 1)): R repeats spread that much less than the judge.

    Args:
        repeats: for each repeat, the judgement of each row.
        gold: the human labels, for the noise floor of the score; None in it where there is none.
        metric: of the score; default: `primary_metric`.

    Raises:
        DataError: columns of different lengths, or a value that is not of the value type.
        UsageError: fewer than two repeats.
    """
    if len(repeats) < 2:
        raise UsageError(f"{len(repeats)} repeats show no stability.", "Give 2 or more.")
    for one in repeats:
        check_lengths(repeat=one, groups=groups)
    votes = [
        {f"repeat {k}": one[i].value for k, one in enumerate(repeats) if isinstance(one[i], Scored)}  # type: ignore[union-attr]
        for i in range(len(groups))
    ]
    kept = [i for i, said in enumerate(votes) if len(said) > 1]
    base: dict[str, Any] = {
        "n_rows": len(kept),
        "n_groups": len({groups[i] for i in kept}),
        "n_repeats": len(repeats),
        "n_unscored": sum(not isinstance(j, Scored) for one in repeats for j in one),
    }
    if not kept:
        why = "No row was scored twice."
        nothing = Figure(value=None, reason=why)
        return Stability(**base, same=nothing, alpha=nothing, reason=why)
    group = np.unique([groups[i] for i in kept], return_inverse=True)[1].astype(np.int64)
    texts = [[value_type.text_of(value) for value in votes[i].values()] for i in kept]
    pairs = np.array([_same_pairs(said) for said in texts])
    score, deviation = _deviation(repeats, gold, groups, value_type, metric, seed)
    return Stability(
        **base,
        same=mean_figure(pairs, group, n_boot=n_boot, seed=seed),
        alpha=_alpha([votes[i] for i in kept], group, value_type, n_boot, seed),
        wavering=float(np.mean([len(set(said)) > 1 for said in texts])),
        metric=score,
        deviation=deviation,
        floor=None if deviation is None else float(stats.norm.ppf(0.975) * 2**0.5 * deviation),
    )


def below_floor(difference: float, found: Stability) -> bool:
    """True where a difference of two single passes is no larger than the judge's own wavering."""
    return found.floor is not None and abs(difference) <= found.floor


def _same_pairs(said: Sequence[str]) -> float:
    """The share of pairs of repeats that agree."""
    counts = [said.count(one) for one in set(said)]
    return sum(c * (c - 1) for c in counts) / (len(said) * (len(said) - 1))


def _alpha(
    votes: Sequence[dict[str, Value]], group: IntArray, value_type: ValueType, n_boot: int, seed: int
) -> Figure:
    ratings = Ratings.of(
        [
            LabelledExample(str(i), str(group[i]), {}, tuple(Vote(who, value) for who, value in said.items()))
            for i, said in enumerate(votes)
        ],
        value_type,
    )
    found = krippendorff_alpha(ratings)
    if found.value is None:
        return Figure(value=None, reason=found.reason, n=len(votes))
    of_weights = alpha_of_weights(ratings)
    base: dict[str, Any] = {"value": found.value, "n": len(votes), "n_groups": len(np.unique(group))}
    if of_weights is None or n_boot == 0:
        return Figure(**base, reason="No interval was made.")
    ends = cluster_interval(of_weights, group, n_boot=n_boot, seed=seed)
    return Figure(
        **base, low=ends.low, high=ends.high, method=ends.method, resamples=ends.resamples,
        degenerate=ends.degenerate, reason=ends.reason,
    )  # fmt: skip


def _deviation(
    repeats: Sequence[Sequence[Judgement]],
    gold: Sequence[Value | None] | None,
    groups: Sequence[str],
    value_type: ValueType,
    metric: MetricName | None,
    seed: int,
) -> tuple[MetricName | None, float | None]:
    if gold is None:
        return None, None
    check_lengths(gold=gold, groups=groups)
    name = metric or primary_metric(value_type)
    rows = [
        (i, [one[i] for one in repeats])
        for i, label in enumerate(gold)
        if label is not None and all(isinstance(one[i], Scored) for one in repeats)
    ]
    if not rows:
        return name, None
    count = len(repeats)
    truth = [gold[i] for i, _ in rows for _ in range(count)]
    pairs = encode(
        [label for label in truth if label is not None],
        [j for _, said in rows for j in said],
        [groups[i] for i, _ in rows for _ in range(count)],
        value_type,
    )
    if undefined_reason(name, pairs, value_type):
        return name, None
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, count, size=(_PICKS, len(rows)))
    weights: FloatArray = np.zeros((_PICKS, len(rows), count))
    np.put_along_axis(weights, picks[:, :, None], 1.0, axis=2)
    values = statistic(name, pairs)(weights.reshape(_PICKS, -1))
    values = values[np.isfinite(values)]
    if len(values) < _PICKS // 2:
        return name, None
    return name, float(values.std() * (count / (count - 1)) ** 0.5)
