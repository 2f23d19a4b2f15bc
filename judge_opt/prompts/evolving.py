"""The adapter between an optimization's board and `gepa.optimize`.

gepa keeps the pool, the Pareto frontier over rows and the loop, and picks parents, rows and components. It hands us
candidates and rows, and gets a score a row: the gain over the seed, and 0 where one of the two has no score, so that
a row which was not judged speaks for nobody. Of several judges each has a frontier of its own beside that of the rows:
a prompt which is best for one of them stays a parent.

Whether a candidate is good enough to be judged on all rows for choosing is decided by the gains over its parent on rows
for learning, a few at a time. gepa's evaluation cache is off (it mixes up the two sets of rows), and nothing is resumed
from its own state: calls come from the call store, and the same seed makes the same plan.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch

from judge_opt.align.fit import mean_and_error
from judge_opt.core.killpoints import reach
from judge_opt.evaluation.rows import Row
from judge_opt.prompts.board import Board, Candidate, Rollout, coverage, gains, judge_gains
from judge_opt.prompts.reflecting import Rewriter
from judge_opt.prompts.targets import Texts

logger = logging.getLogger(__name__)
LOOKS = 3
"""Times that a candidate is tried on a further few rows before all rows for choosing are run."""


class Evolution:
    """gepa's adapter, acceptance criterion, stopper and logger in one.

    Args:
        train, valid: rows to learn from, and to choose by.
        minibatch: rows of one reflection, and of one look at a candidate.
        proposals: at most.
        patience: proposals in a row without a new candidate after which it ends.
        limit: of `board.asked`.
        keep: told when a candidate was taken.

    Attributes:
        stopped: why it ended: "budget", "no progress", or "" where it made all its proposals.
    """

    def __init__(
        self,
        board: Board,
        rewriter: Rewriter,
        train: Sequence[Row],
        valid: Sequence[Row],
        *,
        minibatch: int,
        proposals: int,
        patience: int,
        limit: int,
        seed: int,
        keep: Callable[[], None],
    ) -> None:
        self.board = board
        self.rewriter = rewriter
        self.train = list(train)
        self.order = random.Random(f"{seed} looks").sample(self.train, len(self.train))
        self.valid = list(valid)
        self.minibatch = minibatch
        self.proposals = proposals
        self.patience = patience
        self.limit = limit
        self.seed = seed
        self.keep = keep
        self.number = 0
        self.fruitless = 0
        self.stopped = ""
        self.failed: Exception | None = None
        self.cost = board.cost

    @property
    def wanted(self) -> float:
        """`board.asked` after one more proposal that goes well."""
        return self.board.asked + 1 + (2 * self.minibatch + len(self.valid)) * self.cost

    @property
    def room(self) -> bool:
        """There is room for one more proposal."""
        return self.wanted <= self.limit

    def run(self) -> None:
        """Search. What must end it is raised when gepa has come back.

        Raises:
            BudgetExceeded, ModelError: what was found until then is on the board.
        """
        gepa.optimize(
            seed_candidate=dict(self.board.seed.texts),
            trainset=self.train,
            valset=self.valid,
            adapter=self,
            frontier_type="hybrid" if len(self.board.aims) > 1 else "instance",
            skip_perfect_score=False,
            reflection_minibatch_size=self.minibatch,
            use_merge=False,
            acceptance_criterion=self,
            stop_callbacks=[self.stop],
            logger=self,
            run_dir=None,
            track_best_outputs=False,
            cache_evaluation=False,
            seed=self.seed,
            raise_on_exception=True,
        )
        if self.failed is not None:
            raise self.failed

    # -- gepa's logger and stopper -------------------------------------------------------------------------

    def log(self, message: str) -> None:
        logger.debug("%s", message)

    def stop(self, state: Any) -> bool:
        """True where there is no room for another proposal."""
        if self.failed is not None:
            return True
        if not self.room:
            self.stopped = "budget"
        elif self.fruitless >= self.patience:
            self.stopped = "no progress"
        return bool(self.stopped) or self.number >= self.proposals

    def _affords(self, runs: int) -> bool:
        return self.board.asked + 1 + runs * self.cost <= self.limit

    # -- gepa's adapter ------------------------------------------------------------------------------------

    def evaluate(
        self, batch: list[Row], candidate: Texts, capture_traces: bool = False
    ) -> EvaluationBatch[Any, Any]:
        """Run and judge a candidate on rows."""
        one = self.board.find(candidate)
        try:
            rolled = self.board.roll(one, batch, "run the seed" if one.number == 0 else "run a new prompt")
        except Exception as error:
            self.failed = error
            raise
        over = gains(self.board.seed, one, batch)
        if all(row.id in one.rolled for row in self.valid) and not one.settled:
            one.settled = True
            if one.number:
                self.fruitless = 0
                self.keep()
        return EvaluationBatch(
            outputs=[None] * len(batch),
            scores=[over.get(row.id, 0.0) for row in batch],
            objective_scores=[self._by_judge(one, row) for row in batch],
            trajectories=list(rolled) if capture_traces else None,
            num_metric_calls=len(batch),
        )

    def _by_judge(self, one: Candidate, row: Row) -> dict[str, float]:
        """What each judge's frontier goes by: its gain over the seed, 0 where one of the two has no score."""
        old, new = self.board.seed.rolled.get(row.id), one.rolled[row.id]
        found = [0.0] * len(self.board.aims) if old is None else judge_gains(old, new)
        return {aim.name: gain or 0.0 for aim, gain in zip(self.board.aims, found, strict=True)}

    def make_reflective_dataset(
        self, candidate: Texts, eval_batch: EvaluationBatch[Any, Any], components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The runs, for `propose_new_texts`."""
        records = [{"rollout": one} for one in eval_batch.trajectories or ()]
        return dict.fromkeys(components_to_update, records)

    def propose_new_texts(
        self,
        candidate: Texts,
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> Texts:
        """The new texts; nothing where there is none that can be tried. gepa swallows what is raised here and
        asks again, so what must end the search is kept, and raised when it is over."""
        if self.failed is not None:
            raise self.failed
        self.number += 1
        self.fruitless += 1
        parent = self.board.find(candidate)
        try:
            new = {}
            for component in components_to_update:
                rolled: list[Rollout] = [one["rollout"] for one in reflective_dataset[component]]
                text = self.rewriter.rewrite(component, candidate[component], rolled, self.number)
                reach("prompts.reflected")
                if text is not None and text != candidate[component]:
                    new[component] = text
        except Exception as error:
            self.failed = error
            raise
        if not new or any(one.texts == candidate | new for one in self.board.candidates):
            return {}
        learned = [one["rollout"].row.id for one in reflective_dataset[components_to_update[0]]]
        self.board.add(candidate | new, parent, ", ".join(new), learned)
        return new

    # -- gepa's acceptance criterion -----------------------------------------------------------------------

    def should_accept(self, proposal: Any, state: Any) -> bool:
        """True where the candidate is better than its parent on a few rows for learning, by more than chance
        would have it or after `LOOKS` looks, judges about as many, and there is room for the rows to choose by."""
        one = self.board.find(proposal.candidate)
        if one.number == 0 or one.parent is None or one.settled:
            return False
        parent = self.board.candidates[one.parent]
        try:
            mean = self._tried(one, parent)
        except Exception as error:  # noqa: BLE001 - raised again when gepa has come back
            self.failed = error
            return False
        if mean <= 0:
            one.why = "not better than the prompt that it was made from, on rows for learning"
        elif not self._affords(len(self.valid)):
            one.why = "no room in the budget to run it on the rows for choosing"
            self.stopped = "budget"
        return not one.why

    def _tried(self, one: Candidate, parent: Candidate) -> float:
        rows = [row for row in self.train if row.id in one.rolled]
        others = [row for row in self.order if row.id not in one.rolled]
        for look in range(1, LOOKS + 1):
            found = list(gains(parent, one, rows).values())
            mean, error = mean_and_error(found) if found else (0.0, 0.0)
            more = others[(look - 1) * self.minibatch : look * self.minibatch]
            if abs(mean) > error or look == LOOKS or not more:
                break
            if not self._affords(2 * len(more) + len(self.valid)):
                break
            self.board.roll(parent, more, "try a new prompt")
            self.board.roll(one, more, "try a new prompt")
            rows += more
        if coverage(one, rows) < 0.9 * coverage(parent, rows):
            one.why = "fewer of its outputs could be judged"
        return mean
