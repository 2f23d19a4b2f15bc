"""Which form of a judge to keep, and whether to keep any: shrunken gains, a test over all forms, no harm.

The best of several forms looks better than it is. So each form's mean gain over the untouched judge is drawn
towards none in proportion to its error (empirical Bayes), a form must stand out from what the best of as many
useless forms would show (sign-flip test with the largest statistic; Westfall & Young, 1993), and the agreement
itself must be better too, since a form that only makes the judge less sure gains in log probability and agrees
no better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judge_opt.align.board import MIN_CLEAN, Board, Form
from judge_opt.align.fit import mean_and_error
from judge_opt.align.scoring import no_harm
from judge_opt.core.results import Scored

DRAWS = 999
LEAST_SPREAD = 0.01
"""Variance of forms' true gains that is taken for granted: even where none was seen, forms are not all alike."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One form against the untouched judge, on rows that count for it.

    Attributes:
        gain, error: mean over groups of rows, and its standard error.
        rows: how many rows both judged.
        shrunk: `gain` drawn towards 0.
        chance: probability that the best of as many useless forms would show as much.
    """

    gain: float
    error: float
    rows: int
    shrunk: float
    chance: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Attributes:
    form: the one to keep; the untouched judge where none is shown to help.
    why: in words.
    standings: of the forms that were measured, by number.
    before, after, rows: agreement of the untouched judge and of the best form, and on how many rows.
    """

    form: Form
    why: str
    standings: dict[int, Standing]
    before: float | None = None
    after: float | None = None
    rows: int = 0


def by_group(board: Board, form: Form, over: Form | None = None) -> dict[str, float]:
    """Group of rows to the form's mean gain in it."""
    found: dict[str, list[float]] = {}
    for place, value in board.gains(form, over).items():
        found.setdefault(board.rows[place].group, []).append(value)
    return {group: sum(values) / len(values) for group, values in found.items()}


def standings(board: Board, forms: Sequence[Form], *, test: bool = True) -> dict[int, Standing]:
    """Of those forms that can be measured.

    Args:
        test: work out `chance` (else it is 1).
    """
    gains = {f.number: by_group(board, f) for f in forms if f.number}
    gains = {number: one for number, one in gains.items() if len(one) >= min(MIN_CLEAN, len(board.choose))}
    if not gains:
        return {}
    moments = {number: mean_and_error(list(one.values())) for number, one in gains.items()}
    finite = [(mean, error) for mean, error in moments.values() if np.isfinite(error)]
    seen = float(np.mean([mean**2 - error**2 for mean, error in finite])) if finite else 0.0
    spread = max(seen, LEAST_SPREAD)
    chances = _chances(gains, board.run.seed) if test else {}
    return {
        number: Standing(
            mean,
            error,
            len(board.gains(board.forms[number])),
            mean * spread / (spread + error**2) if np.isfinite(error) else 0.0,
            chances.get(number, 1.0),
        )
        for number, (mean, error) in moments.items()
    }


def choose_form(board: Board, forms: Sequence[Form], sure: float) -> Choice:
    """The form with the best shrunken gain that passes both tests, else the untouched judge.

    Args:
        sure: 1 less the chance at which a useless form may pass; also the share of resamples in which the
            agreement must be better, but there no more than 0.8: kappa of a few dozen rows is coarse.
    """
    table = standings(board, forms)
    ranked = sorted(table, key=lambda number: (-table[number].shrunk, number))
    first: Choice | None = None
    for number in ranked:
        form, found = board.forms[number], table[number]
        if found.shrunk <= 0:
            break
        places = [i for i in board.clean(form) if i in form.said and i in board.untouched.said]
        harm = no_harm(
            board.metric,
            [board.rows[i] for i in places],
            [board.untouched.said[i] for i in places],
            [form.said[i] for i in places],
            board.value_type,
            seed=board.run.seed,
            sure=min(sure, 0.8),
        )
        why = f"{harm.why}; chance that a useless form shows as much: {found.chance:.2f}"
        kept = harm.keep and found.chance <= 1.0 - sure
        choice = Choice(
            form if kept else board.untouched,
            why if kept else f"not shown to help: {why}",
            table,
            harm.before,
            harm.after,
            harm.rows,
        )
        if kept:
            return choice
        first = first or choice
        if found.chance > 1.0 - sure:
            break
    return first or Choice(board.untouched, "no form looked better than the untouched judge", table)


def coverage(board: Board, form: Form) -> float:
    """Share of the rows given to the form that it judged."""
    said = list(form.said.values())
    return sum(isinstance(j, Scored) for j in said) / len(said) if said else 1.0


def _chances(gains: dict[int, dict[str, float]], seed: int) -> dict[int, float]:
    groups = sorted({group for one in gains.values() for group in one})
    at = {group: k for k, group in enumerate(groups)}
    table = np.zeros((len(gains), len(groups)))
    for line, one in enumerate(gains.values()):
        for group, value in one.items():
            table[line, at[group]] = value
    scale = np.sqrt((table**2).sum(axis=1))
    scale[scale == 0] = np.inf
    seen = table.sum(axis=1) / scale
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(DRAWS, len(groups)))
    largest = (signs @ table.T / scale).max(axis=1)
    return {
        number: float((1 + (largest >= seen[line] - 1e-12).sum()) / (DRAWS + 1))
        for line, number in enumerate(gains)
    }
