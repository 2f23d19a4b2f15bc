"""One optimization at work: measure the seed, search, choose, compare, ask the guard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from judge_opt.align.contract import Callback, Interrupted
from judge_opt.align.work import Work
from judge_opt.core.errors import BudgetExceeded, JudgeOptError, ModelError
from judge_opt.core.text import printable
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.scorers import Scorer
from judge_opt.llm.budget import Budget
from judge_opt.llm.session import use_session
from judge_opt.prompts.board import (
    Board,
    Candidate,
    any_scored,
    coverage,
    fallen,
    gains,
    mean_gains,
    mean_score,
    why_none,
)
from judge_opt.prompts.evolving import Evolution
from judge_opt.prompts.guard import Guard, GuardReport, examine
from judge_opt.prompts.objectives import Aim
from judge_opt.prompts.paired import HeldOut, held_out
from judge_opt.prompts.people import ComparedRow
from judge_opt.prompts.result import PromptCandidate, PromptResult
from judge_opt.prompts.rows import Rows, open_test
from judge_opt.prompts.targets import Program, PromptedAgent

LOOKED_AT = 12
"""Rows whose outputs are judged again, to see whether the judges waver."""
WAVERS, REPEATS = 0.1, 3
"""Above this share of changed scores each output is judged so many times."""


class PromptWork(Work):
    """Attributes:
    so_far: what Ctrl-C leaves.
    """

    so_far: PromptResult | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)


@contextmanager
def working(
    name: str, budget: Budget | None, seed: int, callbacks: Sequence[Callback]
) -> Iterator[PromptWork]:
    """The session's part in which an optimization works.

    Raises:
        Interrupted: Ctrl-C came in the block.
    """
    work = PromptWork(name, budget, seed, callbacks)
    with work.session, use_session(work.session):
        try:
            yield work
        except Interrupted:
            raise
        except KeyboardInterrupt as stop:
            best = "the best prompts so far are in `so_far`; " if work.so_far is not None else ""
            raise Interrupted(
                f"Stopped: {work.bought} calls of this optimization are bought and kept; {best}run it again with "
                "the same rows, settings and seed to go on.",
                work.so_far,
            ) from stop


class Job:
    """One optimization at work."""

    def __init__(
        self,
        work: PromptWork,
        board: Board,
        target: PromptedAgent | Program,
        rows: Rows,
        guard: Guard,
        lineage: Mapping[str, Any],
    ) -> None:
        self.work = work
        self.board = board
        self.target = target
        self.rows = rows
        self.guard = guard
        self.lineage = lineage
        self.noise: float | None = None
        for text in rows.warnings:
            work.warn(text)

    def begin(self, repeats: int | None) -> None:
        """Run the seed on the rows for choosing, and find out what its texts are, and whether the judges waver.

        Args:
            repeats: see `optimize_prompts`.

        Raises:
            JudgeOptError, ModelError: the agent fails on every row; none of them could be judged.
        """
        rolled = self.board.roll(self.board.seed, self.rows.valid, "run the seed")
        failed = [one.ran.error for one in rolled if one.ran.error is not None]
        if len(failed) == len(rolled):
            raise JudgeOptError(
                f"{self.target.name} failed on each of {len(rolled)} rows, the first time with: "
                f"{printable(failed[0])[:300]}.",
                "Correct it and run again: calls that were bought are not bought twice.",
            )
        if failed:
            self.work.warn(f"the agent failed on {len(failed)} of {len(rolled)} rows for choosing")
        self.board.seed.texts = self.target.components()
        if not any_scored(rolled):
            raise ModelError(
                f"None of {len(rolled)} rows could be judged ({printable(why_none(rolled))[:200]}).",
                "Judge one output by hand, and look at the judge's model.",
            )
        if isinstance(self.target, PromptedAgent) and (others := self.target.others()):
            self.work.warn(f"loaded and not rewritten: {', '.join(others)}")
        self.board.look()
        self._settle_repeats(repeats)
        if self.board.blind:
            self.work.warn(
                "the agent asks no model through this session: its calls are not in the ledger, the budget or the "
                "cache. Let it ask current_session().lm(...)"
            )

    def _settle_repeats(self, repeats: int | None) -> None:
        if repeats is None:
            self.noise = self.board.wavering(self.rows.valid[:LOOKED_AT])
            repeats = REPEATS if (self.noise or 0.0) > WAVERS else 1
        if repeats > 1:
            self.board.repeats = repeats
            self.board.judge_again(self.rows.valid)

    def search(self, evolution: Evolution, method: Callable[[Evolution], None]) -> None:
        """Let it run, to its end or the budget's."""
        try:
            method(evolution)
        except BudgetExceeded:
            evolution.stopped = "budget"

    def best(self) -> Candidate:
        """The settled candidate with the largest mean gain on the rows for choosing, and about as many rows with a
        score as the seed has, where nothing fell that must not; the seed where none gains."""
        seed, rows = self.board.seed, self.rows.valid
        floor = 0.9 * coverage(seed, rows)
        found = {0: 0.0}
        for one in self.board.candidates[1:]:
            over = gains(seed, one, rows)
            if not one.settled or not over:
                continue
            if coverage(one, rows) < floor:
                one.why = "fewer of its outputs could be judged"
            elif name := fallen(seed, one, rows, self.board.aims):
                one.why = f"{name} fell, which must not"
            else:
                found[one.number] = sum(over.values()) / len(over)
        return self.board.candidates[max(found, key=lambda n: (found[n], -n))]

    def keep(self) -> None:
        """The best so far, for Ctrl-C."""
        self.work.so_far = self._result(self.best(), None, None, "")

    def finish(self, scorers: Sequence[Scorer], aims: Sequence[Aim], stopped: str) -> PromptResult:
        """Compare seed and best, ask the guard, and say what came of it."""
        best = self.best()
        compared: HeldOut | None = None
        report: GuardReport | None = None
        if best.number:
            self.keep()
            rows, split = self.rows.compared, "test" if self.rows.test else "valid"
            if self.rows.test and (times := open_test(self.rows.test, self.work.name)):
                self.work.warn(
                    f"the test rows were opened by {times} other runs before: a gain on them proves less"
                )
            try:
                for one in (self.board.seed, best):
                    self.board.roll(one, rows, "run the test rows")
                choices = sum(one.settled for one in self.board.candidates[1:]) if split == "valid" else 1
                compared = held_out(self.board.seed, best, rows, self.board.aims, split, choices)
                report = examine(self.guard, scorers, aims, self.board, best, rows, compared)
            except BudgetExceeded:
                stopped = "budget"
        return self._result(best, compared, report, stopped)

    def _result(
        self, best: Candidate, compared: HeldOut | None, report: GuardReport | None, stopped: str
    ) -> PromptResult:
        target, texts = self.target, dict(best.texts)
        prompts = {}
        if isinstance(target, PromptedAgent):
            made = target.templates(texts)
            prompts = {uri: one.with_template(made[uri]) for uri, one in target.prompts().items()}
        return PromptResult(
            texts=texts,
            seed_texts=dict(self.board.seed.texts),
            changed=best.number > 0,
            prompts=prompts,
            program=target.with_texts(texts) if isinstance(target, Program) else None,
            held_out=compared,
            guard=report,
            verdict=_verdict(best, compared, report, len(self.board.candidates) - 1, len(self.rows.valid)),
            rows=()
            if compared is None
            else tuple(self._side_by_side(row, best) for row in self.rows.compared),
            candidates=self._candidates(best),
            warnings=self.work.warnings,
            stopped=stopped,
            noise=self.noise,
            repeats=self.board.repeats,
            ledger=tuple(self.work.session.ledger()),
            lineage=self.lineage,
        )

    def _side_by_side(self, row: Row, best: Candidate) -> ComparedRow:
        old, new = self.board.seed.rolled[row.id], best.rolled[row.id]
        return ComparedRow(
            row.id,
            row.group,
            row.fields.get("inputs"),
            row.fields.get("expectations"),
            old.ran.outputs,
            new.ran.outputs,
            old.score,
            new.score,
        )

    def _candidates(self, best: Candidate) -> tuple[PromptCandidate, ...]:
        seed, rows = self.board.seed, self.rows.valid
        measured = {
            one.number: mean_gains(seed, one, rows, self.board.aims)
            for one in self.board.candidates
            if one.settled or one.number == 0
        }
        return tuple(self._told(one, best, measured) for one in self.board.candidates)

    def _told(
        self, one: Candidate, best: Candidate, measured: Mapping[int, Mapping[str, float]]
    ) -> PromptCandidate:
        over = list(gains(self.board.seed, one, self.rows.valid).values())
        own = measured.get(one.number)
        return PromptCandidate(
            name=_name(one.number),
            parent="" if one.parent is None else _name(one.parent),
            component=one.component,
            texts=dict(one.texts),
            learned_from=one.learned,
            score=None if own is None else mean_score(one, self.rows.valid),
            gain=sum(over) / len(over) if own is not None and over else None,
            judges=own or {},
            front=bool(own) and not any(_dominates(other, own or {}) for other in measured.values()),
            coverage=coverage(one, self.rows.valid),
            why=one.why,
            chosen=one is best,
        )


def _dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """At least as good for every judge, and better for one."""
    names = one.keys() & other.keys()
    pairs = [(one[name], other[name]) for name in names]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _verdict(
    best: Candidate, compared: HeldOut | None, report: GuardReport | None, tried: int, valid: int
) -> str:
    if not best.number and not tried:
        return "The seed is kept: no other prompt was tried."
    if not best.number:
        return (
            f"The seed is kept: of {tried} prompts tried none does better on the {valid} rows for choosing."
        )
    if compared is None:
        return "Not confirmed: the budget had no room to compare the new prompt with the seed."
    kind = "" if compared.split == "test" else ", by which it was chosen"
    told = f"{compared.total.words()}, on {compared.rows} {compared.split} rows{kind}"
    if report is None:
        return f"Not confirmed: {told}; the budget had no room to ask the guard."
    if report.confirmed:
        seen = "; ".join(
            f"{name} sees {gain.words()}"
            + (f", {report.shares[name]:.0%} of it" if name in report.shares else "")
            for name, gain in report.gains.items()
        )
        return f"Confirmed: {told}. The guard agrees: {seen}."
    return f"Not confirmed: {told}. Why: {'; '.join(report.reasons)}."


def _name(number: int) -> str:
    return "seed" if number == 0 else f"prompt {number}"
