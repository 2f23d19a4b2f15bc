"""The Goodhart guard: does a gain stand before a judge that was not optimized against?

A prompt that is rewritten to please a judge can find what the judge likes and nobody wants. Another judge (of another
model, or with other instructions) does not share that liking, unless the two were made alike. So the runs of the seed
and of the best prompt are shown to it, and the gain is confirmed where it sees one too, and a fair share of it.
Outputs that became much longer or shorter are a warning of their own. What the guard does not confirm is not refuted:
it is a question for people, and the rows to show them are named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.scorers import Scorer, make_scorers
from judge_opt.judges.rendering import value_text
from judge_opt.judges.stored import dump_judge
from judge_opt.prompts.board import Board, Candidate, Rollout, fallen, gains
from judge_opt.prompts.objectives import Aim, Objective, aims_of
from judge_opt.prompts.paired import Gain, HeldOut, paired
from judge_opt.validate.figures import Strict

_ASKED = 20
"""Rows for people at most."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a gain is held against.

    Attributes:
        judges: judges or functions that nothing is optimized against; each must confirm.
        objectives: as of `optimize_prompts`, for these judges.
        min_share: of the gain that each guard must see, where both scales have ends.
        alpha: a gain with a p-value above it is not shown, the optimized judges' and the guards' alike.
        max_length: how many times longer, or shorter, outputs may become on average.
    """

    judges: Sequence[Any] = ()
    objectives: Mapping[str, Objective | float] | None = None
    min_share: float = 0.5
    alpha: float = 0.05
    max_length: float = 2.0


class GuardReport(Strict):
    """What the guard found.

    Attributes:
        confirmed: every check held.
        gains: guard's name to what it sees.
        shares: guard's name to its gain as a share of the optimized judges'; left out where it has no meaning.
        length_before, length_after: mean characters of an output.
        reasons: why it is not confirmed, in words; empty where it is.
        doubtful: ids of rows on which the optimized judges see a gain and a guard sees none, the largest first:
            what to show to people.
    """

    confirmed: bool
    gains: dict[str, Gain]
    shares: dict[str, float]
    length_before: float
    length_after: float
    reasons: tuple[str, ...]
    doubtful: tuple[str, ...]


def guard_of(given: Any) -> Guard:
    """The guard that `optimize_prompts` was given: one, a judge, several, or None."""
    if isinstance(given, Guard):
        return given
    if given is None:
        return Guard()
    return Guard(tuple(given) if isinstance(given, (list, tuple)) else (given,))


def scorers_of(guard: Guard, optimized: Sequence[Scorer]) -> tuple[list[Scorer], list[Aim]]:
    """The guards, and what their verdicts are worth.

    Args:
        optimized: the judges that are optimized against.

    Raises:
        UsageError: a guard is one of those, under whatever name; see also `make_scorers` and `aims_of`.
    """
    if not guard.judges:
        return [], []
    scorers = make_scorers(list(guard.judges))
    for one in scorers:
        if twin := next((other.name for other in optimized if _face(other) == _face(one)), None):
            raise UsageError(
                f"The guard {one.name!r} is the judge {twin!r}: it would agree with whatever pleases that.",
                "Give a judge of another model, or with other instructions.",
            )
    return scorers, [aim for one in scorers for aim in aims_of([one], _own(guard.objectives, one.name))]


def _face(scorer: Scorer) -> Any:
    """What a scorer is, its name aside."""
    subject = getattr(scorer, "subject", None)
    if subject is None:
        return getattr(scorer, "function", scorer)
    try:
        state, blobs = dump_judge(subject)
    except JudgeOptError:  # it cannot be stored: then it is itself
        return subject
    return content_hash(
        [{**state, "name": ""}, {key: content_hash(data.hex()) for key, data in blobs.items()}]
    )


def examine(
    guard: Guard,
    scorers: Sequence[Scorer],
    aims: Sequence[Aim],
    board: Board,
    best: Candidate,
    rows: Sequence[Row],
    found: HeldOut,
) -> GuardReport:
    """Show the guards the runs of the seed and of `best` on `rows`, which both were run on.

    Raises:
        BudgetExceeded, ModelError: a guard cannot be asked.
    """
    olds, news = ([one.rolled[row.id] for row in rows] for one in (board.seed, best))
    before = board.judged_by(scorers, olds, "ask the guard") if scorers else []
    after = board.judged_by(scorers, news, "ask the guard") if scorers else []
    seen: dict[str, Gain] = {}
    shares: dict[str, float] = {}
    unmoved: set[str] = set()
    whole = found.total.gain.value or 0.0
    for k, aim in enumerate(aims):
        old, new = [aim.score(one[k]) for one in before], [aim.score(one[k]) for one in after]
        seen[aim.name] = paired(rows, old, new)
        gain = seen[aim.name].gain.value
        if gain is not None and whole > 0 and aim.bounded and all(one.bounded for one in board.aims):
            shares[aim.name] = gain / whole
        unmoved |= {
            row.id
            for row, a, b in zip(rows, old, new, strict=True)
            if a is not None and b is not None and b <= a
        }
    up = gains(board.seed, best, rows)
    doubtful = sorted((i for i in unmoved if up.get(i, 0.0) > 0), key=lambda i: (-up[i], i))
    lengths = _length(olds), _length(news)
    reasons = _reasons(guard, found, seen, shares, lengths)
    if name := fallen(board.seed, best, rows, board.aims):
        reasons.append(f"{name} fell, which must not ({found.judges[name].words()})")
    return GuardReport(
        confirmed=not reasons,
        gains=seen,
        shares=shares,
        length_before=lengths[0],
        length_after=lengths[1],
        reasons=tuple(reasons),
        doubtful=tuple(doubtful[:_ASKED]),
    )


def _reasons(
    guard: Guard,
    found: HeldOut,
    seen: Mapping[str, Gain],
    shares: Mapping[str, float],
    lengths: tuple[float, float],
) -> list[str]:
    said = []
    if not found.shown(guard.alpha):
        said.append(f"the gain is not shown on the {found.split} rows")
    if not seen:
        said.append("there is no guard: give a judge that is not optimized against")
    for name, gain in seen.items():
        if not gain.up(guard.alpha):
            said.append(f"the guard {name} does not see it ({gain.words()})")
        elif shares.get(name, 1.0) < guard.min_share:
            said.append(f"the guard {name} sees {shares[name]:.0%} of it, less than {guard.min_share:.0%}")
    before, after = lengths
    if before > 0 and not 1 / guard.max_length <= after / before <= guard.max_length:
        said.append(f"outputs went from {before:.0f} to {after:.0f} characters on average")
    return said


def _own(objectives: Mapping[str, Objective | float] | None, name: str) -> dict[str, Objective | float]:
    return {name: objectives[name]} if objectives and name in objectives else {}


def _length(rolled: Sequence[Rollout]) -> float:
    sizes = [len(value_text(one.ran.outputs)) for one in rolled if one.ran.error is None]
    return float(np.mean(sizes)) if sizes else 0.0
