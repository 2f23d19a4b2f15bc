"""Every run of the agent and every verdict of an optimization, once: candidate and row to what came of it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from judge_opt.align.work import Work
from judge_opt.core.hashing import content_hash
from judge_opt.core.killpoints import reach
from judge_opt.core.results import Judgement, Unscored
from judge_opt.evaluation.agent import Ran
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.scorers import Scorer
from judge_opt.evaluation.tally import listen, tallied
from judge_opt.llm.keys import repeat
from judge_opt.llm.parallel import map_threads
from judge_opt.prompts.loading import outside
from judge_opt.prompts.objectives import Aim, combined
from judge_opt.prompts.targets import Target, Texts


@dataclass(frozen=True, slots=True)
class Rollout:
    """One run of the agent on a row, and what the judges say of it.

    Attributes:
        ran: its output, or why there is none.
        tokens: in and out, of the agent's calls that were seen, from the cache too.
        said: by judge, in their order.
        scores: what each is worth; None where it says nothing.
        score: of the row; None where any is missing: such a row changes no comparison.
    """

    row: Row
    ran: Ran
    said: tuple[Judgement, ...]
    scores: tuple[float | None, ...]
    score: float | None
    tokens: int = 0


@dataclass(slots=True)
class Candidate:
    """Texts that were tried.

    Attributes:
        number: 0 for the seed.
        parent: the candidate that it was made from.
        component: what was rewritten.
        learned: ids of the rows that the reflection model saw.
        rolled: row id to what came of it.
        settled: it was judged on all rows for choosing.
        why: why it was not taken; "" where it was.
    """

    number: int
    texts: Texts
    parent: int | None
    component: str
    learned: tuple[str, ...]
    rolled: dict[str, Rollout]
    settled: bool = False
    why: str = ""

    @property
    def key(self) -> str:
        """Of the texts."""
        return content_hash(self.texts)


class Board:
    """The runs.

    Args:
        work: that pays.
        scorers, aims: the judges, in one order.
        concurrency: rows at a time.

    Attributes:
        candidates: in the order in which they were made; the seed first.
        runs: of the agent.
        repeats: times that each output is judged; its scores are the means.
        blind: the session has seen no call of the agent's; found out by `look`.
    """

    def __init__(
        self, work: Work, target: Target, scorers: Sequence[Scorer], aims: Sequence[Aim], concurrency: int
    ) -> None:
        self.work = work
        self.target = target
        self.scorers = list(scorers)
        self.aims = list(aims)
        self.concurrency = concurrency
        self.candidates: list[Candidate] = [Candidate(0, {}, None, "", (), {})]
        self.runs = 0
        self.repeats = 1
        self.blind = False
        self._judging = 0
        self._cost = (1.0, 0.0)
        self._lock = threading.Lock()
        listen(work.session)

    @property
    def seed(self) -> Candidate:
        return self.candidates[0]

    @property
    def asked(self) -> int:
        """Calls so far by which an optimization plans: model calls that were answered, from the cache too, and
        one for each run of an agent whose calls are not seen."""
        return self.work.spent.asked + (self.runs if self.blind else 0)

    def look(self) -> None:
        """Find out whether the agent's calls are seen, when nothing but the agent and the judges was asked yet."""
        self.blind = self.work.spent.asked <= self._judging
        agents = self.runs if self.blind else self.work.spent.asked - self._judging
        self._cost = agents / max(1, self.runs), self._judging / max(1, self.runs)

    @property
    def cost(self) -> float:
        """Calls of one run with its verdicts; known after `look`."""
        agent, judges = self._cost
        return max(1.0, agent + judges * self.repeats)

    def add(self, texts: Texts, parent: Candidate, component: str, learned: Sequence[str]) -> Candidate:
        """A new candidate; the one with these texts where there is one already."""
        made = Candidate(len(self.candidates), dict(texts), parent.number, component, tuple(learned), {})
        for one in self.candidates:
            if one.key == made.key:
                return one
        self.candidates.append(made)
        return made

    def find(self, texts: Mapping[str, str]) -> Candidate:
        """The candidate with these texts."""
        key = content_hash(dict(texts))
        return next(one for one in self.candidates if one.key == key)

    def roll(self, candidate: Candidate, rows: Sequence[Row], phase: str) -> list[Rollout]:
        """What comes of `rows`, in their order; run and judged where it was not yet.

        Raises:
            BudgetExceeded, ModelError: nothing further can be asked; what was asked is kept.
        """
        todo = [row for row in dict.fromkeys(row.id for row in rows) if row not in candidate.rolled]
        by_id = {row.id: row for row in rows}
        told, texts = self.work.tell(phase), candidate.texts if candidate.number else None
        told(0, len(todo))
        with outside(), self.target.running(texts) as run:

            def one(row_id: str) -> None:
                candidate.rolled[row_id] = self._rolled(by_id[row_id], run)
                told(sum(name in candidate.rolled for name in todo), len(todo))

            map_threads(one, todo, self.concurrency)
        return [candidate.rolled[row.id] for row in rows]

    def judged_by(
        self, scorers: Sequence[Scorer], rolled: Sequence[Rollout], phase: str
    ) -> list[list[Judgement]]:
        """What further judges say of runs: a list a run, in the order of the judges."""
        told = self.work.tell(phase)
        told(0, len(rolled))

        def one(rollout: Rollout) -> list[Judgement]:
            return [_judged(scorer, rollout.row, rollout.ran) for scorer in scorers]

        with outside():
            said = map_threads(one, rolled, self.concurrency)
        told(len(rolled), len(rolled))
        return said

    def wavering(self, rows: Sequence[Row]) -> float | None:
        """Share of the rows on which the seed's output has another score when it is judged again: the judges' noise
        floor. None where no row has two scores."""

        def again(row: Row) -> bool | None:
            rollout = self.seed.rolled[row.id]
            with repeat(1):
                score = combined(self._scores(self._said(row, rollout.ran)), self.aims)
            return None if score is None or rollout.score is None else score != rollout.score

        with outside():
            found = [one for one in map_threads(again, rows, self.concurrency) if one is not None]
        return sum(found) / len(found) if found else None

    def judge_again(self, rows: Sequence[Row]) -> None:
        """Judge the seed's outputs as often as `repeats` says; the first verdicts come from the cache."""

        def again(row: Row) -> Rollout:
            known = self.seed.rolled[row.id]
            return self._rollout(row, known.ran, known.tokens)

        with outside():
            for row, rollout in zip(rows, map_threads(again, rows, self.concurrency), strict=True):
                self.seed.rolled[row.id] = rollout

    def _rolled(self, row: Row, run: Any) -> Rollout:
        with tallied() as spent:
            ran: Ran = run(row)
        reach("prompts.agent_done")
        with tallied() as tally:
            rollout = self._rollout(row, ran, spent.prompt_tokens + spent.completion_tokens)
        reach("prompts.judged")
        with self._lock:
            self.runs += 1
            self._judging += tally.calls + tally.cached
        return rollout

    def _rollout(self, row: Row, ran: Ran, tokens: int) -> Rollout:
        first = self._said(row, ran)
        passes = [self._scores(first)]
        for number in range(1, self.repeats):
            with repeat(number):
                passes.append(self._scores(self._said(row, ran)))
        scores = tuple(
            float(np.mean(known)) if (known := [one for one in column if one is not None]) else None
            for column in zip(*passes, strict=True)
        )
        return Rollout(row, ran, first, scores, combined(scores, self.aims), tokens)

    def _said(self, row: Row, ran: Ran) -> tuple[Judgement, ...]:
        return tuple(_judged(scorer, row, ran) for scorer in self.scorers)

    def _scores(self, said: Sequence[Judgement]) -> tuple[float | None, ...]:
        return tuple(aim.score(one) for aim, one in zip(self.aims, said, strict=True))


def _judged(scorer: Scorer, row: Row, ran: Ran) -> Judgement:
    if ran.error is not None:
        return Unscored("missing_input", f"the agent failed: {ran.error}"[:300])
    fields = {name: value for name, value in row.fields.items() if name in ("inputs", "expectations")}
    said, _ = scorer.judge({**fields, "outputs": ran.outputs}, row.group)
    return said if isinstance(said, Unscored) else replace(said, raw=None)


def gains(before: Candidate, after: Candidate, rows: Sequence[Row]) -> dict[str, float]:
    """Row id to how much better `after` is, on the rows where both have a score."""
    found = {}
    for row in rows:
        old, new = before.rolled.get(row.id), after.rolled.get(row.id)
        if old is not None and new is not None and old.score is not None and new.score is not None:
            found[row.id] = new.score - old.score
    return found


def judge_gains(before: Rollout, after: Rollout) -> list[float | None]:
    """By judge, how much better `after` is; None where one of the two has no score of it."""
    pairs = zip(before.scores, after.scores, strict=True)
    return [None if old is None or new is None else new - old for old, new in pairs]


def mean_gains(
    before: Candidate, after: Candidate, rows: Sequence[Row], aims: Sequence[Aim]
) -> dict[str, float]:
    """Judge's name to the mean gain over the rows where both have its score; left out where there is none."""
    columns: list[list[float]] = [[] for _ in aims]
    for row in rows:
        old, new = before.rolled.get(row.id), after.rolled.get(row.id)
        if old is not None and new is not None:
            for column, gain in zip(columns, judge_gains(old, new), strict=True):
                column += [] if gain is None else [gain]
    found = zip(aims, columns, strict=True)
    return {aim.name: float(np.mean(column)) for aim, column in found if column}


def fallen(before: Candidate, after: Candidate, rows: Sequence[Row], aims: Sequence[Aim]) -> str:
    """The first judge that must not fall and did, in the mean; "" for none."""
    found = mean_gains(before, after, rows, aims)
    held = [aim.name for aim in aims if aim.objective.must_not_fall]
    return next((name for name in held if found.get(name, 0.0) < -1e-12), "")


def coverage(candidate: Candidate, rows: Sequence[Row]) -> float:
    """Share of the rows that have a score, of those that were run."""
    rolled = [candidate.rolled[row.id] for row in rows if row.id in candidate.rolled]
    return sum(one.score is not None for one in rolled) / len(rolled) if rolled else 0.0


def mean_score(candidate: Candidate, rows: Sequence[Row]) -> float | None:
    """Of the rows with a score; None where there is none."""
    scores = [one.score for row in rows if (one := candidate.rolled.get(row.id)) and one.score is not None]
    return float(np.mean(scores)) if scores else None


def any_scored(rolled: Sequence[Rollout]) -> bool:
    """True where a row has a score."""
    return any(one.score is not None for one in rolled)


def why_none(rolled: Sequence[Rollout]) -> str:
    """Of rows without a score: the first reason."""
    for one in rolled:
        for said in one.said:
            if isinstance(said, Unscored):
                return f"{said.reason}: {said.detail}"
    return "no verdict has a place on a scale"
