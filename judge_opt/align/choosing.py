"""Which form of a judge to keep, and whether to keep any.

The best of several forms looks better than it is, and each was measured on other rows. So what a form gains is
estimated from all gains of all forms that were tried, those that were dropped included (see `estimate`): the form
with the best estimate is kept where it is probably better than the untouched judge, and where the agreement itself
is not worse, since a form that only makes the judge less sure gains in log probability and agrees no better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from judge_opt.align.board import MIN_CLEAN, Board, Form
from judge_opt.align.estimate import Worth, estimate
from judge_opt.align.scoring import no_harm
from judge_opt.core.results import Scored


@dataclass(frozen=True, slots=True)
class Choice:
    """Attributes:
    form: the one to keep; the untouched judge where none is likely to help.
    why: in words.
    standings: of the forms that were measured, by number.
    before, after, rows: agreement of the untouched judge and of the best form, and on how many rows.
    """

    form: Form
    why: str
    standings: dict[int, Worth]
    before: float | None = None
    after: float | None = None
    rows: int = 0


def by_group(board: Board, form: Form, over: Form | None = None) -> dict[str, float]:
    """Group of rows to the form's mean gain in it."""
    found: dict[str, list[float]] = {}
    for place, value in board.gains(form, over).items():
        found.setdefault(board.rows[place].group, []).append(value)
    return {group: sum(values) / len(values) for group, values in found.items()}


def standings(board: Board, forms: Sequence[Form]) -> dict[int, Worth]:
    """What those of `forms` are worth that were measured on enough rows."""
    gains = {form.number: by_group(board, form) for form in board.forms if form.number}
    least = min(MIN_CLEAN, len(board.choose))
    found = estimate(gains)
    return {f.number: found[f.number] for f in forms if len(gains.get(f.number, ())) >= least}


def choose_form(board: Board, forms: Sequence[Form], sure: float) -> Choice:
    """The form that is worth most, where it passes both tests; else the untouched judge.

    Args:
        sure: least probability that the form is better than the untouched judge.
    """
    table = standings(board, forms)
    ranked = sorted(table, key=lambda number: (-table[number].gain, number))
    first: Choice | None = None
    for number in ranked:
        form, found = board.forms[number], table[number]
        if found.gain <= 0:
            break
        places = [i for i in board.clean(form) if i in form.said and i in board.untouched.said]
        harm = no_harm(
            board.metric,
            [board.rows[i] for i in places],
            [board.untouched.said[i] for i in places],
            [form.said[i] for i in places],
            board.value_type,
            seed=board.run.seed,
            sure=0.5,
        )
        why = f"{harm.why}; probably better: {found.sure:.0%}"
        kept = harm.keep and found.sure >= sure
        choice = Choice(
            form if kept else board.untouched,
            why if kept else f"not likely enough to help: {why}",
            table,
            harm.before,
            harm.after,
            harm.rows,
        )
        if kept:
            return choice
        first = first or choice
        if found.sure < sure:
            break
    return first or Choice(board.untouched, "no form looked better than the untouched judge", table)


def coverage(board: Board, form: Form) -> float:
    """Share of the rows given to the form that it judged."""
    said = list(form.said.values())
    return sum(isinstance(j, Scored) for j in said) / len(said) if said else 1.0
