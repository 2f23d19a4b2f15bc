"""Watch a judge's agreement as labels come in, and look as often as you like.

A test that is repeated after every label rejects sooner or later, whatever is true. This one may be read after
every label for ever: the chance of a false alarm at any time is at most alpha.

The bet: a gambler stakes on each row that the agreement is below the floor, at odds that are fair if it is at
the floor. While it is not below, his capital has no upward drift, so by Ville's inequality it ever reaches
1 / alpha with chance at most alpha (Waudby-Smith & Ramdas 2024, JRSS B 86, 1-27, section 4).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy import special, stats

from judge_opt.core.errors import DataError, UsageError
from judge_opt.validate.figures import Strict

_STAKES = 40
"""Stakes that are played side by side; the capital is their mean, so none has to be chosen."""


class Watch(Strict):
    """What the bet has come to.

    Attributes:
        floor, alpha: an alarm says that agreement has been below `floor`; chance of a false one, ever.
        n: rows (or groups) that were bet on, in order of time.
        capital: after each of them, from a start of 1.
        alarm: the first (from 1) after which the capital was at least 1 / alpha; None for no alarm.
    """

    floor: float
    alpha: float
    n: int
    capital: list[float] = Field(default_factory=list)
    alarm: int | None = None

    def text(self) -> str:
        """For people."""
        if self.alarm is None:
            return f"No alarm in {self.n} labels: nothing shows that agreement fell below {self.floor:.2f}."
        return (
            f"Alarm after {self.alarm} labels: agreement has been below {self.floor:.2f} "
            f"(chance of a false alarm, ever, at most {self.alpha:g})."
        )


def watch_agreement(right: Sequence[float], floor: float, *, alpha: float = 0.05) -> Watch:
    """Bet that agreement is below `floor`.

    Args:
        right: in order of time, 1 where the judge gave the human label, 0 where not; where rows come in
            groups the mean of each group, since rows of a group are not independent of each other.
        floor: in (0, 1), declared beforehand; see `floor_from`.
        alpha: in (0, 1).

    Raises:
        UsageError: floor or alpha out of range.
        DataError: a number outside of [0, 1].
    """
    if not 0.0 < floor < 1.0 or not 0.0 < alpha < 1.0:
        raise UsageError(f"floor={floor}, alpha={alpha}: out of range.", "Take both between 0 and 1.")
    x = np.asarray(right, dtype=np.float64)
    if len(x) and (not np.isfinite(x).all() or x.min() < 0 or x.max() > 1):
        raise DataError("Agreement of a row is between 0 and 1.", "Give 1 for right, 0 for wrong.")
    # A stake of 1 / (1 - floor) would lose everything on one right row.
    stakes = np.linspace(0.0, 1.0, _STAKES + 2)[1:-1] / (1.0 - floor)
    growth = np.cumsum(np.log1p(stakes[None, :] * (floor - x)[:, None]), axis=0)
    capital = special.logsumexp(growth, axis=1) - np.log(_STAKES)
    over = np.flatnonzero(capital >= -np.log(alpha))
    return Watch(
        floor=floor,
        alpha=alpha,
        n=len(x),
        capital=[float(c) for c in np.exp(np.minimum(capital, 700.0))],
        alarm=int(over[0]) + 1 if len(over) else None,
    )


def floor_from(right: int, n: int, *, alpha: float = 0.05, slack: float = 0.0) -> float:
    """A floor from reference labels: Clopper and Pearson's lower end at `alpha`, less `slack`.

    Watching it at the same alpha, the chance of a false alarm is at most 2 alpha: alpha that the end lies
    above the truth, and alpha of the bet.

    Args:
        right, n: independent reference rows that agreed, and all.
        slack: what may be lost before it matters.

    Raises:
        UsageError: no rows, or nothing is left of the floor.
    """
    low = float(stats.beta.ppf(alpha, right, n - right + 1)) - slack if n and right else 0.0
    if low <= 0.0:
        raise UsageError("The reference rows give no floor.", "Label more of them, or take less slack.")
    return low
