"""The adapter between a search's board and `gepa.optimize`.

gepa keeps the pool, the Pareto frontier over rows, and the loop. It hands us candidates (texts) and rows
(places on the board), and we answer with scores in (0, 1): one half and half of what the candidate gains over
the untouched judge on that row. A row that the candidate learned from, or on which one of the two gave no
verdict, scores one half: neither for nor against. So failures change no candidate, and no ancestor ever scores
zero, which gepa's merge cannot take (ours is another: by lines of text).
"""

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch
from gepa.strategies.candidate_selector import ParetoCandidateSelector
from gepa.strategies.proposal_sampling import ProposalTask

from judge_opt.align.board import Form
from judge_opt.align.reflecting import Record, record_text
from judge_opt.align.sampling import sample_to_learn
from judge_opt.align.search import TRIAL, Search

logger = logging.getLogger(__name__)
TEXT = "instructions"
"""gepa's name for the one text that evolves."""
Texts = dict[str, str]
MERGE_EVERY = 3
"""One proposal of so many is a merge, where one is possible."""


def evolve(
    search: Search, *, minibatch: int, proposals: int, patience: int, restart: float, merge: bool
) -> str:
    """Run gepa on the search's board until its budget, its proposals or its patience are used up.

    Returns:
        why it stopped: "budget", "no progress", or "" where it made all its proposals.
    """
    evolution = _Evolution(search, minibatch, proposals, patience, restart, merge)
    board = search.board
    gepa.optimize(
        seed_candidate={TEXT: board.untouched.text},
        trainset=board.learn,
        valset=board.choose,
        adapter=evolution,
        frontier_type="instance",
        skip_perfect_score=False,
        use_merge=False,
        sampling_strategy=evolution,
        acceptance_criterion=evolution,
        stop_callbacks=[evolution.stop],
        logger=evolution,
        run_dir=None,
        track_best_outputs=False,
        cache_evaluation=False,
        seed=search.run.seed,
        raise_on_exception=True,
    )
    if evolution.failed is not None:
        raise evolution.failed
    return evolution.stopped


class _Evolution:
    """gepa's adapter, sampling strategy, acceptance criterion, stopper and logger in one: they share which
    proposal is under way."""

    def __init__(
        self,
        search: Search,
        minibatch: int,
        proposals: int,
        patience: int,
        restart: float,
        merge: bool,
    ) -> None:
        self.search = search
        self.board = search.board
        self.minibatch = minibatch
        self.proposals = proposals
        self.patience = patience
        self.restart = restart
        self.merge = merge
        self.rng = random.Random(f"{search.run.seed} gepa")
        self.pareto = ParetoCandidateSelector(self.rng)
        self.forms: dict[str, Form] = {self.board.untouched.text: self.board.untouched}
        self.merged: set[tuple[int, int]] = set()
        self.partner: Form | None = None
        self.passed: set[int] = set()
        self.buy = search.buys(minibatch)
        self.number = 0
        self.fruitless = 0
        self.stopped = ""
        self.failed: BaseException | None = None

    # -- gepa's logger and stopper -------------------------------------------------------------------------

    def log(self, message: str) -> None:
        logger.debug("%s", message)

    def stop(self, state: Any) -> bool:
        """True where there is no room for another proposal."""
        cost = (
            1 + TRIAL + (self.minibatch if self.buy and not self.board.crossed else 0) + self.search.reserve
        )
        if self.failed is not None:
            return True
        if not self.search.affords(cost):
            self.stopped = "budget"
        elif self.fruitless >= self.patience:
            self.stopped = "no progress"
        return bool(self.stopped) or self.number >= self.proposals

    # -- gepa's sampling strategy: what to propose from ----------------------------------------------------

    def sample_tasks(
        self, state: Any, candidate_selector: Any, batch_sampler: Any, trainset: Any
    ) -> list[ProposalTask[Any, Any]]:
        """One task: a parent and the rows to reflect on; or a pair to merge, and no rows."""
        self.number += 1
        self.fruitless += 1
        pair = self._pair(state) if self.merge and self.number % MERGE_EVERY == 0 else None
        if pair is not None:
            self.merged.add((pair[0].number, pair[1].number))
            parent, self.partner = pair
            rows = self.board.clean(parent)[:1]
        else:
            self.partner = None
            parent = self._parent(state)
            rows = sample_to_learn(self.board, parent, self.minibatch, self.rng, self.buy)
        index = next(k for k, c in enumerate(state.program_candidates) if c[TEXT] == parent.text)
        ids = [trainset.all_ids()[self.board.learn.index(i)] for i in rows if i in set(self.board.learn)]
        if not ids:  # a merge where rows for choosing are apart: any row stands for the parent's evaluation
            ids = [trainset.all_ids()[0]]
        return [ProposalTask(index, state.program_candidates[index], ids, trainset.fetch(ids))]

    def _parent(self, state: Any) -> Form:
        if self.rng.random() < self.restart:
            return self.board.untouched
        index = self.pareto.select_candidate_idx(state)
        return self.forms[state.program_candidates[index][TEXT]]

    def _pair(self, state: Any) -> tuple[Form, Form] | None:
        """The best form and the one that is better than it on most, neither descended from the other, not
        merged before, with rows left that neither learned from."""
        worth = self.search.worth()
        pool = [form for form in self.search.pool[1:] if worth.get(form.number, 0.0) > 0]
        found: list[tuple[float, int, int]] = []
        gains = {form.number: self.board.gains(form) for form in pool}
        for one in pool:
            for other in pool:
                apart = not (self.board.descends(one, other) or self.board.descends(other, one))
                if worth[one.number] < worth[other.number] or one is other or not apart:
                    continue
                if (one.number, other.number) in self.merged or (other.number, one.number) in self.merged:
                    continue
                if not self.board.measurable(one.learned | other.learned):
                    continue
                both = set(gains[one.number]) & set(gains[other.number])
                if both:
                    best = sum(max(gains[one.number][i], gains[other.number][i]) for i in both) / len(both)
                    found.append((best, one.number, other.number))
        if not found:
            return None
        _, one_number, other_number = max(found)
        return self.board.forms[one_number], self.board.forms[other_number]

    # -- gepa's adapter ------------------------------------------------------------------------------------

    def evaluate(
        self, batch: list[int], candidate: Texts, capture_traces: bool = False
    ) -> EvaluationBatch[Any, Any]:
        """What a candidate is worth on rows. A new one is tried first, on rows of our choice; when gepa asks
        again, it has accepted it, and the rest is judged."""
        form = self.forms[candidate[TEXT]]
        asked = 0
        if form.number and not form.settled:
            before = len(form.said)
            if form.number not in self.passed:
                if self.search.trial(form, self.board.forms[form.parents[0]]):
                    self.passed.add(form.number)
            elif self.search.affords(len(self.search.to_settle(form))):
                self.search.settle(form)
                self.search.keep()
                self.fruitless = 0
            asked = len(form.said) - before
        gains = self.board.gains(form)
        scores = [0.5 + 0.5 * max(-0.99, min(0.99, gains.get(i, 0.0))) for i in batch]
        return EvaluationBatch(
            outputs=[None] * len(batch),
            scores=scores,
            trajectories=list(batch) if capture_traces else None,
            num_metric_calls=asked,
        )

    def make_reflective_dataset(
        self, candidate: Texts, eval_batch: EvaluationBatch[Any, Any], components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Each row as the reflection model reads it."""
        form = self.forms[candidate[TEXT]]
        records = [
            {
                "row": place,
                "text": record_text(
                    n, Record(self.board.rows[place], form.said.get(place)), self.search.judge
                ),
            }
            for n, place in enumerate(eval_batch.trajectories or (), start=1)
        ]
        return dict.fromkeys(components_to_update, records)

    def propose_new_texts(
        self,
        candidate: Texts,
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> Texts:
        """The new text; nothing where there is none that can be tried. gepa swallows what is raised here and
        asks again, so a failure that concerns every call is kept, and ends the search."""
        if self.failed is not None:
            raise self.failed
        try:
            form = (
                self._merge(candidate)
                if self.partner is not None
                else self._reflect(candidate, [record["row"] for record in reflective_dataset[TEXT]])
            )
        except Exception as error:
            self.failed = error
            raise
        if form is None:
            return {}
        self.forms[form.text] = form
        return {TEXT: form.text}

    def _reflect(self, candidate: Texts, rows: Sequence[int]) -> Form | None:
        parent = self.forms[candidate[TEXT]]
        records = [Record(self.board.rows[i], parent.said.get(i)) for i in rows]
        text = self.search.reflector.rewrite(parent.text, records, self.number)
        if text is None:
            return None
        form = self.board.make(text, learned=rows, parents=[parent], origin="reflection")
        if form is not None:
            self.search.calls[form.number] = 1
        return form

    def _merge(self, candidate: Texts) -> Form | None:
        one, other = self.forms[candidate[TEXT]], self.partner
        assert other is not None
        text = merged_text(one.text, other.text, self.board.untouched.text)
        return self.board.make(text, learned=(), parents=[one, other], origin="merge")

    # -- gepa's acceptance criterion -----------------------------------------------------------------------

    def should_accept(self, proposal: Any, state: Any) -> bool:
        """True where the candidate's trial went well and there is room to judge the rest of its rows."""
        form = self.forms[proposal.candidate[TEXT]]
        return form.number in self.passed and self.search.affords(len(self.search.to_settle(form)))


def merged_text(one: str, other: str, base: str) -> str:
    """`one`, followed by the lines of `other` that neither it nor `base` has."""
    have = {line.strip() for text in (one, base) for line in text.splitlines()}
    more = [line for line in other.splitlines() if line.strip() and line.strip() not in have]
    return "\n".join([one.rstrip(), *more])
