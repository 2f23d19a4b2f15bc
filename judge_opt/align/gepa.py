"""GEPA: instructions that evolve by reflection on a Pareto frontier (Agrawal et al., 2025, arXiv 2507.19457), on
`gepa.optimize`.

What differs from its defaults, and why. The reflection model sees the experts' verdicts and reasons and the
judge's own. A candidate is measured on rows that its line of descent did not learn from (see `board`), by the
probability that the judge gives to what the experts said; a new one is tried on few such rows against its
parent before more are judged. Three in ten proposals start at the untouched judge again: with few labels a good
first draft is worth more than a long line of descent. The lines of two candidates are put together where
enough rows are left to measure the result. In the end a candidate must be likely to help, or the untouched judge
comes back. Nothing is resumed from gepa's own state: calls that were bought come from the call store, and the
same seed makes the same plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from judge_opt.align.board import MIN_CLEAN
from judge_opt.align.contract import AlignmentResult, Callback
from judge_opt.align.running import alignment
from judge_opt.align.search import TRIAL, Search, cannot_change, searched
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget


@dataclass(frozen=True, slots=True)
class GEPA:
    """The optimizer.

    Attributes:
        reflection_lm: URI of the model that rewrites instructions; None: the judge's own.
        metric: of agreement, see `objective.metric_for`.
        minibatch: rows of one reflection; None: a quarter of the rows, from 4 to 24.
        max_calls: model calls at most, reflections included; None: the budget's, or 200 and 4 for each row.
        proposals: new candidates at most.
        patience: proposals without a new candidate in a row, after which the search ends.
        restart: probability that a proposal starts at the untouched judge.
        merge: put the lines of two candidates together where that can be measured.
        max_chars: of instructions; twice the length of the judge's own is always allowed.
        sure: least probability, by what was measured, that the best candidate is better than the untouched judge.
        concurrency: calls in flight.
    """

    reflection_lm: str | None = None
    metric: str = "auto"
    minibatch: int | None = None
    max_calls: int | None = None
    proposals: int = 60
    patience: int = 12
    restart: float = 0.3
    merge: bool = True
    max_chars: int = 4000
    sure: float = 0.6
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "gepa"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """(fewest, most) model calls for `n_train` rows."""
        most = 200 + 4 * n_train if self.max_calls is None else self.max_calls
        return min(n_train, 2 * MIN_CLEAN, most), most

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult:
        """Search for better instructions. `valid` is only for choosing; without it `train` is cross-fitted, or
        split where it is large.

        Raises:
            DataError, ModelError, BudgetExceeded: see `rows.check_training`, `search.Search.begin`,
                `search.searched`.
        """
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            rows = run.rows()
            if why := cannot_change(judge):
                return run.result(judge, changed=False, warnings=(why,))
            search = Search(
                run,
                judge,
                reflection_lm=self.reflection_lm,
                metric=self.metric,
                max_chars=self.max_chars,
                max_calls=self.max_calls,
                sure=self.sure,
                concurrency=self.concurrency,
            )
            minibatch = self.minibatch or max(4, min(24, len(rows) // 4))
            cost = minibatch * (search.buys(minibatch) and not search.board.crossed) + 1 + TRIAL
            if (room := (search.limit - len(search.board.choose)) // cost) < 3:
                run.warn(
                    f"{search.limit} calls leave room for {max(room, 0)} proposals: a search wants at least 3, "
                    f"about {len(search.board.choose) + 3 * cost + len(search.board.choose)} calls"
                )
            from judge_opt.align.evolving import evolve

            return searched(
                search,
                lambda: evolve(
                    search,
                    minibatch=minibatch,
                    proposals=self.proposals,
                    patience=self.patience,
                    restart=self.restart,
                    merge=self.merge,
                ),
            )
