"""SIMBA, stochastic introspective mini-batch ascent, after DSPy's published algorithm (dspy.teleprompt.SIMBA), as
a search of our own.

In each step: look at a mini-batch, find the items on which tries of the judge differ most, and make new forms of
the judge from well-scoring ones, each by adding rules that a reflection model wrote from comparing the better
with the worse tries, or a labelled item as a demo; keep what does better.

Why not a wrapper: DSPy's chooses on the rows that it learned from, scores candidates on different batches and
compares them, buys the same prompt again where a cache or a temperature that does not reach the model makes it
so, swallows every error, and can neither be stopped at a budget nor resumed. None of this can be put right from
outside. What differs besides: tries that are known already (of other forms, on the same row) cost nothing, and
a new one is sampled, at a real temperature and as a repeat of its own, only where the judge is in doubt; the
reflection model compares several items at once and sees the experts' verdicts and reasons; a form is measured
on rows that it did not learn from; the next strategy is drawn by how often each has helped; the untouched judge
comes back where no form is likely to help. DSPy's own runs as `AnyDSPy(dspy.SIMBA)`.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from judge_opt.align.board import MIN_CLEAN, Form
from judge_opt.align.contract import AlignmentResult, Callback
from judge_opt.align.fit import fit
from judge_opt.align.reflecting import Record
from judge_opt.align.running import alignment
from judge_opt.align.sampling import better_of, demo_of, sample_to_learn, tries
from judge_opt.align.search import TRIAL, Search, cannot_change, searched
from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget

SAMPLED = 10
"""One call of so many may buy a sampled try."""
RULES = "Rules that the experts follow:"
"""The line under which rules are listed in the instructions."""


@dataclass(frozen=True, slots=True)
class SIMBA:
    """The optimizer.

    Attributes:
        reflection_lm: URI of the model that writes rules; None: the judge's own.
        metric: of agreement, see `objective.metric_for`.
        minibatch: rows of one step; None: a quarter of the rows, from 4 to 16.
        max_calls: model calls at most, reflections included; None: the budget's, or 200 and 4 for each row.
        steps: mini-batches at most.
        candidates: new forms tried in a step.
        patience: new forms without one that does better in a row, after which the search ends.
        samples: tries bought for an item of which all known tries say the same; 0 for none.
        temperature: of those.
        rules: written in one reflection at most.
        demos: in the prompt at most; 0 switches them off.
        pick: temperature of the softmax over gains by which forms are drawn.
        max_chars, sure, concurrency: as of `GEPA`.
    """

    reflection_lm: str | None = None
    metric: str = "auto"
    minibatch: int | None = None
    max_calls: int | None = None
    steps: int = 16
    candidates: int = 4
    patience: int = 12
    samples: int = 2
    temperature: float = 1.0
    rules: int = 4
    demos: int = 4
    pick: float = 0.1
    max_chars: int = 4000
    sure: float = 0.6
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "simba"

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
        """Search for rules and demos. `valid` is only for choosing; without it `train` is cross-fitted, or split
        where it is large.

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
            minibatch = self.minibatch or max(4, min(16, len(rows) // 4))
            return searched(search, _Ascent(self, search, minibatch).climb)


class _Ascent:
    """The steps."""

    def __init__(self, settings: SIMBA, search: Search, minibatch: int) -> None:
        self.settings = settings
        self.search = search
        self.board = search.board
        self.minibatch = minibatch
        self.rng = random.Random(f"{search.run.seed} simba")
        self.strategies = ("rule", "demo") if settings.demos else ("rule",)
        self.record = {name: [1, 2] for name in self.strategies}
        """Strategy to (forms that did better, forms tried), begun at one of two."""
        self.buy = search.buys(minibatch)
        self.number = 0
        self.fruitless = 0
        self.sampled = 0

    def climb(self) -> str:
        """Every step.

        Returns:
            why it stopped: "budget", "no progress", or "" where it made all its steps.
        """
        for _ in range(self.settings.steps):
            parents = [self.draw() for _ in range(self.settings.candidates)]
            seen: dict[int, list[tuple[int, list[Judgement]]]] = {}
            for parent in parents:
                if not self.search.affords(
                    (self.minibatch if self.buy else 0) + 1 + TRIAL + self.search.reserve
                ):
                    return "budget"
                if self.fruitless >= self.settings.patience:
                    return "no progress"
                if parent.number not in seen:
                    seen[parent.number] = self.look(parent)
                self.grow(parent, seen[parent.number])
        return ""

    def draw(self) -> Form:
        """A form of the pool, by softmax over estimated gains; the untouched judge is always among them."""
        gains = self.search.worth()
        numbers = sorted(gains)
        top = max(gains.values())
        odds = [math.exp((gains[number] - top) / self.settings.pick) for number in numbers]
        return self.board.forms[self.rng.choices(numbers, odds)[0]]

    def look(self, parent: Form) -> list[tuple[int, list[Judgement]]]:
        """A mini-batch with what tries of the judge say of each item, those that differ most first."""
        places = sample_to_learn(self.board, parent, self.minibatch, self.rng, self.buy)
        known = tries(
            self.board, parent, places, self.settings.samples, self.settings.temperature, self.may_sample
        )
        return sorted(known, key=lambda one: self._order(*one))

    def may_sample(self, calls: int) -> bool:
        """True where sampled tries stay a small part of the budget: a form that is tried says more."""
        if not self.search.affords(calls) or self.sampled + calls > self.search.limit // SAMPLED:
            return False
        self.sampled += calls
        return True

    def _order(self, place: int, said: Sequence[Judgement]) -> tuple[float, float, float, int]:
        """DSPy's order of buckets: by largest gap, then best score, then gap to the mean."""
        worth = [
            fit(self.board.rows[place], one, self.board.value_type, self.board.metric)
            if isinstance(one, Scored)
            else 0.0
            for one in said
        ]
        if not worth:
            return 0.0, 0.0, 0.0, place
        best, mean = max(worth), sum(worth) / len(worth)
        return min(worth) - best, -best, mean - best, place

    def grow(self, parent: Form, seen: Sequence[tuple[int, list[Judgement]]]) -> None:
        """One new form of `parent`, tried, and taken into the pool where it does better."""
        self.number += 1
        self.fruitless += 1
        odds = [self.record[name][0] / self.record[name][1] for name in self.strategies]
        # The first is a rule: it comes from many items, a demo from one.
        strategy = self.rng.choices(self.strategies, odds)[0] if self.number > 1 else "rule"
        form = self.with_rules(parent, seen) if strategy == "rule" else self.with_demo(parent, seen)
        if form is None:
            return
        self.record[strategy][1] += 1
        better = self.search.trial(form, parent)
        if not better or not self.search.affords(len(self.search.to_settle(form))):
            return
        self.record[strategy][0] += 1
        self.search.settle(form)
        self.search.keep()
        self.fruitless = 0

    def with_rules(self, parent: Form, seen: Sequence[tuple[int, list[Judgement]]]) -> Form | None:
        """Rules from comparing tries, added to the instructions."""
        # Another part of the mini-batch for each form, the items that differ most kept by most of them.
        chosen = [
            one for k, one in enumerate(seen) if self.rng.random() < (0.95 if 2 * k < len(seen) else 0.6)
        ]
        chosen = chosen or list(seen)
        records = []
        for place, said in chosen:
            if not said:
                records.append(Record(self.board.rows[place], None))
                continue
            better, worse = said[0], said[0]
            for one in said[1:]:
                better = better_of(self.board, place, better, one)[0]
                worse = better_of(self.board, place, worse, one)[1]
            records.append(Record(self.board.rows[place], better, None if worse is better else worse))
        rules = self.search.reflector.rules(parent.text, records, self.settings.rules, self.number)
        if not rules:
            return None
        form = self.board.make(
            with_rules(parent.text, rules),
            learned=[place for place, _ in chosen],
            parents=[parent],
            origin="rule",
        )
        if form is not None:
            self.search.calls[form.number] = 1
        return form

    def with_demo(self, parent: Form, seen: Sequence[tuple[int, list[Judgement]]]) -> Form | None:
        """An item on which tries differ, with the experts' verdict and reason, as one more demo; some of the
        older demos are dropped, at a rate that grows with their number."""
        kept = list(parent.judge.predict.demos)
        while len(kept) >= self.settings.demos or (kept and self.rng.random() < len(kept) / 8):
            kept.pop(self.rng.randrange(len(kept)))
        for place, said in seen:
            row = self.board.rows[place]
            right = next((one for one in said if isinstance(one, Scored) and one.value == row.gold), None)
            reason = row.rationale or (right.rationale if right is not None else None)
            demo = demo_of(self.board, place, reason)
            if demo is None or demo in kept or self.rng.random() < 0.5:
                continue
            return self.board.make(
                parent.text, learned=[place], parents=[parent], origin="demo", demos=[*kept, demo]
            )
        return None


def with_rules(text: str, rules: Sequence[str]) -> str:
    """Instructions with more rules, under one heading."""
    have = {line.strip() for line in text.splitlines()}
    lines = [f"- {rule}" for rule in rules if f"- {rule}" not in have]
    head = [] if RULES in text else ["", RULES]
    return "\n".join([text.rstrip(), *head, *lines])
