"""Does a preference survive the other order of the two?

Each pair is judged twice, once in each order, and both verdicts are said of the pair as it was. Where they
differ, the judge prefers a place and not an output.
"""

from collections.abc import Sequence

import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.means import mean_figure, sign_flip_test
from judge_opt.validate.pairs import check_lengths


class PositionFigures(Strict):
    """A pairwise judge in both orders, on the pairs that it judged in both.

    Attributes:
        n, n_groups, n_unscored: pairs, their groups, and pairs without a verdict in some order.
        consistent: share of pairs with one verdict in both orders.
        first: share of the pairs whose verdict is the output shown first in both orders, less the share
            with the one shown second: above 0 the judge leans to the first place. In [-1, 1].
        p_value: two-sided, of "neither place is preferred".
        agreement_first, agreement_both: agreement with the labels in the order as given, and of the
            verdicts that survive both orders, a pair that turns counting as a tie where ties are allowed and
            as no agreement elsewhere. None without labels.
    """

    n: int
    n_groups: int
    n_unscored: int
    consistent: Figure
    first: Figure
    p_value: float | None
    agreement_first: Figure | None = None
    agreement_both: Figure | None = None


def position_figures(
    as_given: Sequence[Judgement],
    exchanged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    gold: Sequence[Value | None] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
) -> PositionFigures:
    """Compare a judge's verdicts in both orders.

    Args:
        as_given: of the pair as it is.
        exchanged: of the exchanged pair, said of the pair as it was ("1" is the same output in both).
        gold: the preferences of people, None where there is none.

    Raises:
        UsageError: the value type is no preference (two labels, and perhaps a tie).
        DataError: columns of different lengths, or a value that is not of the value type.
    """
    if value_type.kind != "pairwise":
        raise UsageError(
            "Only preferences have an order to exchange.", "Use preference(one, other, tie=...)."
        )
    check_lengths(as_given=as_given, exchanged=exchanged, groups=groups)
    for judged in (as_given, exchanged):
        check_values([] if gold is None else [gold], judged, value_type)
    one, other = value_type.labels[:2]
    rows = [
        (i, str(a.value), str(b.value))
        for i, (a, b) in enumerate(zip(as_given, exchanged, strict=True))
        if isinstance(a, Scored) and isinstance(b, Scored)
    ]
    group = np.unique([groups[i] for i, *_ in rows], return_inverse=True)[1].astype(np.int64)
    same = np.array([float(a == b) for _, a, b in rows])
    # As given, `one` stands first; exchanged, `other` does.
    lean = np.array([float((a, b) == (one, other)) - float((a, b) == (other, one)) for _, a, b in rows])
    boot = {"n_boot": n_boot, "seed": seed}
    before = after = None
    if gold is not None:
        known = [(k, str(gold[i]), a, b) for k, (i, a, b) in enumerate(rows) if gold[i] is not None]
        place = group[[k for k, *_ in known]]
        tie = value_type.labels[2] if len(value_type.labels) == 3 else None
        before = mean_figure(np.array([float(a == label) for _, label, a, _ in known]), place, **boot)
        after = mean_figure(
            np.array([float((a if a == b else tie) == label) for _, label, a, b in known]), place, **boot
        )
    return PositionFigures(
        n=len(rows),
        n_groups=len(np.unique(group)),
        n_unscored=len(as_given) - len(rows),
        consistent=mean_figure(same, group, **boot),
        first=mean_figure(lean, group, **boot),
        p_value=sign_flip_test(lean, group, seed=seed),
        agreement_first=before,
        agreement_both=after,
    )
