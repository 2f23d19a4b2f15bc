"""The seed and the best prompt on the same rows: what each judge sees, with an interval and a test."""

from collections.abc import Sequence

import numpy as np

from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.statistics import group_codes
from judge_opt.prompts.board import Candidate, coverage
from judge_opt.prompts.objectives import Aim
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.means import mean_figure, sign_flip_test


class Gain(Strict):
    """What one judge, or all together, say of two prompts on the rows where both have a score.

    Attributes:
        before, after: mean scores, in [0, 1] where the judge's scale has ends; None without such rows.
        gain: after less before, with its interval over groups.
        p_value: two-sided, of "the prompts do not differ", flipping whole groups; None without such rows.
    """

    before: float | None
    after: float | None
    gain: Figure
    p_value: float | None

    def up(self, alpha: float) -> bool:
        """It went up, and that is no chance."""
        return bool((self.gain.value or 0.0) > 0 and self.p_value is not None and self.p_value <= alpha)

    def words(self) -> str:
        """ "0.42 -> 0.71, +0.29 (0.15 to 0.43), p = 0.002"."""
        if self.gain.value is None or self.before is None or self.after is None:
            return "nothing to compare"
        p = "" if self.p_value is None else f", p = {self.p_value:.2g}"
        return f"{self.before:.2f} -> {self.after:.2f}, change {self.gain.text()}{p}"


class HeldOut(Strict):
    """The comparison.

    Attributes:
        split: "test": nothing was learned from these rows or chosen by them; "valid": the prompt was chosen by
            them, so that the interval is too kind; the p-value is multiplied by the prompts that were in the choice.
        rows: that both prompts have a score on.
        total: the score of a row, all judges together.
        judges: by name.
        coverage_before, coverage_after: share of the rows that have a score.
        tokens_before, tokens_after: of one request to the agent on average, in and out; 0 where its calls are not seen.
    """

    split: str
    rows: int
    total: Gain
    judges: dict[str, Gain]
    coverage_before: float
    coverage_after: float
    tokens_before: float = 0.0
    tokens_after: float = 0.0

    def shown(self, alpha: float) -> bool:
        """A gain that is no chance, and not bought with outputs that cannot be judged."""
        return self.total.up(alpha) and self.coverage_after >= 0.9 * self.coverage_before


def held_out(
    seed: Candidate, best: Candidate, rows: Sequence[Row], aims: Sequence[Aim], split: str, choices: int
) -> HeldOut:
    """Compare two candidates that were run on `rows`.

    Args:
        choices: how many prompts were chosen among by these rows; 1 for a test split.
    """
    both = [
        row for row in rows if seed.rolled[row.id].score is not None and best.rolled[row.id].score is not None
    ]
    olds = [seed.rolled[row.id] for row in both]
    news = [best.rolled[row.id] for row in both]
    judges = {
        aim.name: paired(both, [one.scores[k] for one in olds], [one.scores[k] for one in news], choices)
        for k, aim in enumerate(aims)
    }
    return HeldOut(
        split=split,
        rows=len(both),
        total=paired(both, [one.score for one in olds], [one.score for one in news], choices),
        judges=judges,
        coverage_before=coverage(seed, rows),
        coverage_after=coverage(best, rows),
        tokens_before=float(np.mean([seed.rolled[row.id].tokens for row in rows])),
        tokens_after=float(np.mean([best.rolled[row.id].tokens for row in rows])),
    )


def paired(
    rows: Sequence[Row], before: Sequence[float | None], after: Sequence[float | None], choices: int = 1
) -> Gain:
    """The gain on the rows where both columns have a score; see `Gain`."""
    found = [
        (row.group, old, new)
        for row, old, new in zip(rows, before, after, strict=True)
        if old is not None and new is not None
    ]
    if not found:
        nothing = Figure(value=None, reason="No row has a score of both prompts.")
        return Gain(before=None, after=None, gain=nothing, p_value=None)
    group = group_codes([one[0] for one in found])
    old, new = (np.asarray([one[k] for one in found], dtype=np.float64) for k in (1, 2))
    p_value = sign_flip_test(new - old, group)
    return Gain(
        before=float(old.mean()),
        after=float(new.mean()),
        gain=mean_figure(new - old, group) if (new != old).any() else _none(len(found), int(group.max()) + 1),
        p_value=None if p_value is None else min(1.0, p_value * max(1, choices)),
    )


def _none(n: int, n_groups: int) -> Figure:
    return Figure(value=0.0, n=n, n_groups=n_groups, reason="No row differs.")
