"""What the searches over forms of a judge (SIMBA, GEPA) share: rows, budget, trials, and the end."""

from collections.abc import Callable, Sequence
from typing import Any

from judge_opt.align.board import Board, Form, panel
from judge_opt.align.choosing import Choice, choose_form, coverage, standings
from judge_opt.align.contract import AlignmentResult, CandidateResult, Component
from judge_opt.align.fit import mean_and_error
from judge_opt.align.objective import metric_for
from judge_opt.align.reflecting import Reflector
from judge_opt.align.running import Alignment
from judge_opt.core.errors import BudgetExceeded, DataError, ModelError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.judges.judge import Judge
from judge_opt.judges.jury import Jury
from judge_opt.labels.examples import LabelledExample

TRIAL = 8
"""Rows that are judged before a trial is looked at."""
TRIALS = 3
"""Looks at a trial at most."""
SETTLE = 24
"""Rows that a form which did well is judged on before the search goes on; see `Search.race`."""


class Search:
    """One search.

    Args:
        run: the alignment.
        judge: the untouched one.
        reflection_lm, metric, max_chars, max_calls, sure, concurrency: see `GEPA`.
    """

    def __init__(
        self,
        run: Alignment,
        judge: Judge,
        *,
        reflection_lm: str | None,
        metric: str,
        max_chars: int,
        max_calls: int | None,
        sure: float,
        concurrency: int,
    ) -> None:
        self.run = run
        self.judge = judge
        self.sure = sure
        train = run.rows()
        valid = _usable(run, judge, run.valid)
        self.limit = self._limit(max_calls, len(train) + len(valid))
        if valid:
            rows: list[LabelledExample] = [*train, *valid]
            learn, choose = list(range(len(train))), list(range(len(train), len(rows)))
        else:
            rows = train
            learn, choose = panel(rows, judge, self.limit, run.seed)
        self.metric = metric_for(judge.value_type, rows, metric)
        self.board = Board(run, judge, rows, learn, choose, self.metric, concurrency)
        self.pool: list[Form] = [self.board.untouched]
        most = max(max_chars, 2 * len(judge.instructions))
        self.reflector = Reflector(run, judge, reflection_lm, most)
        self.calls: dict[int, int] = {}
        self._worth: tuple[tuple[int, int], dict[int, float]] = ((0, 0), {0: 0.0})

    def _limit(self, max_calls: int | None, rows: int) -> int:
        """Calls to ask at most."""
        budget = self.run.budget.calls if self.run.budget is not None else None
        limits = [limit for limit in (budget, max_calls) if limit is not None]
        return min(limits) if limits else 200 + 4 * rows

    def affords(self, calls: int) -> bool:
        """True where so many more calls fit in the limit; counted by what was asked, so that a resumed search
        makes the same plan."""
        return self.run.spent.asked + calls <= self.limit

    def buys(self, minibatch: int) -> bool:
        """True where the limit has room to judge rows that are only learned from."""
        if self.board.crossed:
            return True
        return self.limit >= len(self.board.choose) + 3 * (minibatch + 1 + 2 * TRIAL)

    def begin(self) -> None:
        """Judge the rows for choosing.

        Raises:
            ModelError: none of them could be judged.
        """
        untouched = self.board.untouched
        self.board.judge(untouched, self.board.choose, "judge the labelled rows")
        untouched.settled = True
        said = [untouched.said[i] for i in self.board.choose]
        if not any(isinstance(one, Scored) for one in said):
            first = said[0]
            reason = f"{first.reason}: {first.detail}" if isinstance(first, Unscored) else ""
            raise ModelError(
                f"The judge {self.judge.name!r} could judge none of {len(said)} rows "
                f"({printable(reason)[:200]}).",
                f"Try one row by hand, and look at the model {self.judge.model}.",
            )

    @property
    def nothing_wrong(self) -> bool:
        """True where the untouched judge agrees with every label that it was held against."""
        untouched = self.board.untouched
        return not any(self.board.wrong(untouched, i) for i in untouched.said)

    def trial(self, form: Form, over: Form) -> bool:
        """Is `form` better than the one that it was made from? Its rows are judged a few at a time, until the
        mean gain is further from 0 than its error, or at `TRIALS` looks. A form that fails is left where it is
        and costs no more."""
        places = self.board.clean(form)
        cost, mean = 0, 0.0
        for look in range(1, TRIALS + 1):
            some = places[: look * TRIAL]
            more = sum(i not in one.said for one in (form, over) for i in some)
            if not self.affords(more):
                break
            cost += self.board.judge(over, some, "try a new form")
            cost += self.board.judge(form, some, "try a new form")
            mean, error = mean_and_error(list(self.board.gains(form, over).values()))
            if abs(mean) > error or len(some) == len(places):
                break
        self.calls[form.number] = self.calls.get(form.number, 0) + cost
        return mean > 0

    def to_settle(self, form: Form) -> list[int]:
        """Rows that `settle` has judged."""
        return [i for i in self.board.clean(form)[:SETTLE] if i not in form.said]

    def settle(self, form: Form) -> None:
        """Judge a good part of the form's rows, and take it into the pool."""
        self._judge(form, self.to_settle(form), "judge with the new form")
        form.settled = True
        self.pool.append(form)

    def race(self) -> None:
        """Spend what is left on the rows of those forms that may yet prove to be the best, a few at a time."""
        while True:
            table = standings(self.board, self.pool)
            left = {n: self._unsaid(self.board.forms[n]) for n in table}
            top = max((one.gain for one in table.values()), default=0.0)
            open_ = [n for n, one in table.items() if left[n] and one.gain + one.error > max(top, 0.0)]
            if not open_:
                return
            number = max(open_, key=lambda n: (table[n].gain + table[n].error, -n))
            some = left[number][:TRIAL]
            if not self.affords(len(some)):
                return
            self._judge(self.board.forms[number], some, "race the best forms")

    @property
    def reserve(self) -> int:
        """Calls that are kept for the race."""
        return min(self.limit // 5, 2 * len(self.board.choose))

    def _unsaid(self, form: Form) -> list[int]:
        return [i for i in self.board.clean(form) if i not in form.said]

    def _judge(self, form: Form, places: Sequence[int], phase: str) -> None:
        cost = self.board.judge(form, places, phase)
        self.calls[form.number] = self.calls.get(form.number, 0) + cost

    def best(self) -> Form:
        """Of the pool, by what it is worth; the untouched judge where none gains."""
        worth = self.worth()
        return self.board.forms[max(worth, key=lambda n: (worth[n], -n))]

    def worth(self) -> dict[int, float]:
        """Number to estimated gain, of every form in the pool that was measured; 0 for the untouched judge."""
        said = sum(len(form.said) for form in self.board.forms)
        if self._worth[0] != (said, len(self.pool)):
            table = standings(self.board, self.pool)
            worth = {0: 0.0} | {number: one.gain for number, one in table.items()}
            self._worth = ((said, len(self.pool)), worth)
        return self._worth[1]

    def keep(self) -> None:
        """The best so far, for Ctrl-C."""
        if self.best() is self.pool[-1]:
            self.run.keep(self.result(""))

    def result(self, stopped: str) -> AlignmentResult:
        """What the search found."""
        choice = choose_form(self.board, self.pool, self.sure)
        form, metric = choice.form, self.metric.name
        tried = [self._candidate(one, choice) for one in self.board.forms if one.said]
        history = [(one.name, metric, one.score) for one in tried if one.score is not None]
        judged = [self.board.untouched.said[i] for i in self.board.choose if i in self.board.untouched.said]
        return self.run.result(
            form.judge if form.number else self.run.judge_given,
            name_of(form),
            changed=form.number > 0,
            candidates=tuple(tried),
            components=(
                Component(
                    "instructions",
                    form.number > 0,
                    metric,
                    choice.after,
                    choice.before,
                    choice.rows,
                    choice.why,
                ),
            ),
            history=tuple(history),
            coverage=sum(isinstance(one, Scored) for one in judged) / len(judged) if judged else 1.0,
            metric=metric,
            stopped=stopped,
        )

    def _candidate(self, form: Form, choice: Choice) -> CandidateResult:
        places = [i for i in self.board.clean(form) if i in form.said]
        judged = sum(isinstance(form.said[i], Scored) for i in places)
        demos = len(form.judge.predict.demos)
        return CandidateResult(
            name_of(form),
            self.board.score(form, places),
            judged,
            coverage(self.board, form),
            self.calls.get(form.number, 0),
            form.text + (f"\n({demos} demos)" if demos else ""),
            form is choice.form,
        )


def name_of(form: Form) -> str:
    """Of a candidate."""
    return "untouched" if form.number == 0 else f"{form.origin} {form.number}"


def searched(search: Search, steps: Callable[[], str]) -> AlignmentResult:
    """Run `steps`, which say why they stopped, to the end or to the budget's.

    Raises:
        BudgetExceeded: not even the untouched judge could be measured.
    """
    try:
        search.begin()
        stopped = "" if search.nothing_wrong else steps()
        search.race()
    except BudgetExceeded:
        if not search.board.untouched.settled:
            raise
        stopped = "budget"
    return search.result(stopped)


def cannot_change(judge: Judge) -> str:
    """Why rewriting instructions cannot change this judge; "" where it can."""
    if not judge.model:
        return "this judge asks no model, so other instructions would change nothing"
    if isinstance(judge, Jury):
        return "a jury has no instructions of its own: align its jurors, and put them together again"
    return ""


def _usable(run: Alignment, judge: Judge, given: Sequence[LabelledExample]) -> list[LabelledExample]:
    """Rows for choosing, sorted by id; contested ones are left out.

    Raises:
        DataError: a row lacks a part that the template names.
    """
    rows = sorted((row for row in given if row.gold is not None), key=lambda row: row.id)
    if contested := len(given) - len(rows):
        run.warn(f"{contested} rows for choosing without a majority among their raters were left out")
    for row in rows:
        parts: Any = judge.parts(row.fields)
        if isinstance(parts, Unscored):
            raise DataError(
                f"Row {row.id!r}: {parts.detail}, which the judge's template names.",
                "Add it to the rows, or take the variable out of the template.",
            )
    return rows
