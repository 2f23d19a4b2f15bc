"""One alignment in progress: what every optimizer needs and none should write again.

    with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
        rows = run.rows(train)                               # checked, before a call is bought
        said = run.judge(judge, rows, "judge the labelled rows")
        ...
        return run.result(better, metric=..., history=...)

Inside the block the current session is this alignment's own part of the run: its budget holds, its ledger
has a name that is the same for the same work, so that a stopped alignment that is run again goes on where it
was, and Ctrl-C ends in an `Interrupted` that carries the best so far.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from judge_opt.align.contract import AlignmentResult, Callback, CandidateResult, Interrupted
from judge_opt.align.lineage import lineage_of, name_of
from judge_opt.align.rows import check_training
from judge_opt.align.work import Work
from judge_opt.core.errors import DataError, ModelError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.llm.session import use_session


class Alignment(Work):
    """Made by `alignment`.

    Attributes:
        judge, train, valid, seed: as given.
        session: this alignment's own.
        lineage: of its result.
    """

    def __init__(
        self,
        optimizer: Any,
        judge: Judge,
        train: Sequence[LabelledExample],
        valid: Sequence[LabelledExample] | None,
        budget: Budget | None,
        seed: int,
        callbacks: Sequence[Callback],
    ) -> None:
        self.judge_given = judge
        self.train = tuple(train)
        self.valid = tuple(valid or ())
        self.lineage = lineage_of(optimizer, judge, train, valid, seed)
        super().__init__(name_of(self.lineage), budget, seed, callbacks)
        self._candidates: list[CandidateResult] = []
        self._so_far: AlignmentResult | None = None

    # -- rows and judgements -------------------------------------------------------------------------------

    def rows(self, given: Sequence[LabelledExample] | None = None) -> list[LabelledExample]:
        """The training rows that can be learned from, sorted by id; see `rows.check_training`. Warns of those
        that were left out.

        Raises:
            DataError: too few, one class only, a part is missing; no call was bought.
        """
        given = self.train if given is None else given
        checked = [example for example, _ in check_training(self.judge_given, given)]
        if contested := len(given) - len(checked):
            self.warn(f"{contested} rows without a majority among their raters were left out")
        return checked

    def judge(
        self,
        judge: Judge,
        rows: Sequence[LabelledExample],
        phase: str,
        concurrency: int = 8,
        *,
        hold_out: bool = True,
    ) -> list[Judgement]:
        """What `judge` says of `rows`, in their order; a failure is an Unscored. Where it has a memory, no row
        is shown examples of its own group, unless `hold_out` is off."""
        groups = [row.group for row in rows] if hold_out and judge.memory is not None else None
        told = judge.batch(
            [row.fields for row in rows],
            not_groups=groups,
            concurrency=concurrency,
            progress=self.tell(phase),
        )
        return [feedback.result for feedback in told]

    def untouched(
        self, judge: Judge, rows: Sequence[LabelledExample], phase: str, concurrency: int = 8
    ) -> list[Judgement]:
        """As `judge`, of the judge that everything is compared with.

        Raises:
            ModelError: it could judge none of the rows; the first reason is named.
        """
        said = self.judge(judge, rows, phase, concurrency)
        if not any(isinstance(j, Scored) for j in said):
            first = said[0]
            reason = f"{first.reason}: {first.detail}" if isinstance(first, Unscored) else ""
            raise ModelError(
                f"The judge {judge.name!r} could judge none of {len(said)} rows ({printable(reason)[:200]}).",
                f"Try one row by hand, and look at the model {judge.model}.",
            )
        return said

    def tried(self, candidate: CandidateResult) -> None:
        """A judge that was tried, for the result."""
        self._candidates.append(candidate)

    # -- the end -------------------------------------------------------------------------------------------

    def keep(self, so_far: AlignmentResult) -> None:
        """The best result until now: what Ctrl-C leaves in `Interrupted.so_far`."""
        self._so_far = so_far

    def result(self, judge: Judge, chosen: str = "", **found: Any) -> AlignmentResult:
        """The result with ledger, lineage, warnings and candidates filled in.

        Args:
            judge: the aligned one, or the one that was given.
            chosen: the name of the candidate that it is.
            **found: further fields of `AlignmentResult`.
        """
        candidates = [*self._candidates, *found.pop("candidates", ())]
        warnings = dict.fromkeys([*self._warnings, *found.pop("warnings", ())])
        return AlignmentResult(
            judge=judge,
            optimizer=self.lineage.optimizer,
            changed=found.pop("changed", judge is not self.judge_given),
            settings=found.pop("settings", self.lineage.settings | {"seed": self.seed}),
            candidates=tuple(
                replace(one, chosen=one.name == chosen) if chosen else one for one in candidates
            ),
            warnings=tuple(warnings),
            ledger=tuple(self.session.ledger()),
            lineage=self.lineage,
            **found,
        )

    def finish(self, result: AlignmentResult) -> AlignmentResult:
        """A result that was made without `result`, with what this alignment knows added."""
        warnings = dict.fromkeys([*self._warnings, *result.warnings])
        return replace(
            result,
            candidates=result.candidates or tuple(self._candidates),
            warnings=tuple(warnings),
            ledger=tuple(self.session.ledger()),
            lineage=self.lineage,
        )

    def interrupted(self) -> Interrupted:
        """What Ctrl-C becomes."""
        spent = self.bought
        best = "the best judge so far is in `so_far`; " if self._so_far is not None else ""
        how = (
            f"Stopped: {spent} calls of this alignment are bought and kept; {best}run it again with the same "
            "rows, settings and seed to go on."
        )
        return Interrupted(how, self._so_far)


@contextmanager
def alignment(
    optimizer: Any,
    judge: Judge,
    train: Sequence[LabelledExample],
    valid: Sequence[LabelledExample] | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> Iterator[Alignment]:
    """An alignment by `optimizer`, from the arguments of its `align`.

    Raises:
        DataError: a row has a label that this judge cannot give.
        BudgetExceeded: in the block, where the budget is used up; an optimizer that has something to show for
            what was spent catches it and returns that, with `stopped="budget"`.
        Interrupted: Ctrl-C came; what was in flight has ended and is stored.
    """
    check_labels(judge, [*train, *(valid or ())])
    run = Alignment(optimizer, judge, train, valid, budget, seed, callbacks)
    with run.session, use_session(run.session):
        try:
            yield run
        except Interrupted:
            raise
        except KeyboardInterrupt as stop:
            raise run.interrupted() from stop


def check_labels(judge: Judge, rows: Sequence[LabelledExample]) -> None:
    """Raises:
    DataError: a vote is none of the judge's values, or is not written as they are; the row is named.
    """
    value_type = judge.value_type
    if value_type.scale == "free":
        return
    for row in rows:
        for vote in row.votes:
            value = value_type.check_label(vote.value, f"Row {row.id!r}")
            if value_type.text_of(value) != value_type.text_of(vote.value):
                raise DataError(
                    f"Row {row.id!r}: the label {vote.value!r} is written as {value!r} by {judge.name!r}.",
                    "Load labels with judge_opt.load_examples, which puts them right.",
                )
