"""How many labels? Asked before anybody labels, answered for an interval's width or for a comparison.

    labels_for_agreement(0.8, width=0.1)            # rows until the 95 % interval is that wide
    labels_for_kappa(0.6, [0.5, 0.5], width=0.2)
    labels_for_gain(0.05, discordance=0.2)          # rows until a gain of 5 points is found 4 times in 5

All widths are from end to end. Rows of one group count for less: divide by `design_effect`, as each function
does where it is given.
"""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
from scipy import stats

from judge_opt.core.errors import UsageError
from judge_opt.validate.pairs import FloatArray

MOST = 1_000_000


def design_effect(rows_a_group: float, correlation: float) -> float:
    """1 + (m - 1) rho: by how many times more rows are needed where each group has m rows and two rows of a
    group correlate at rho (Kish 1965).

    Raises:
        UsageError: fewer than one row a group, or a correlation outside [0, 1].
    """
    if rows_a_group < 1 or not 0 <= correlation <= 1:
        raise UsageError(
            f"{rows_a_group} rows a group and a correlation of {correlation} make no design effect.",
            "Give at least 1 row a group and a correlation in [0, 1].",
        )
    return 1.0 + (rows_a_group - 1.0) * correlation


def agreement_width(agreement: float, labels: int, *, effect: float = 1.0, confidence: float = 0.95) -> float:
    """The width of Wilson's interval of an agreement of about `agreement` on `labels` rows."""
    _share("agreement", agreement, closed=True)
    n, z = _rows(labels) / effect, float(stats.norm.ppf((1 + _level(confidence)) / 2))
    return float(2 * z * np.sqrt(agreement * (1 - agreement) / n + z**2 / (4 * n**2)) / (1 + z**2 / n))


def labels_for_agreement(
    agreement: float, width: float, *, effect: float = 1.0, confidence: float = 0.95
) -> int:
    """The fewest rows for which `agreement_width` is at most `width`."""
    _share("width", width)
    return _first(lambda n: agreement_width(agreement, n, effect=effect, confidence=confidence) <= width)


def kappa_width(
    kappa: float, shares: Sequence[float], labels: int, *, effect: float = 1.0, confidence: float = 0.95
) -> float:
    """The width of the large-sample interval of Cohen's kappa on `labels` rows.

    The variance is that of Fleiss, Cohen & Everitt 1969, as statsmodels has it, at the table in which people
    and the judge both give the labels in these shares and agree by kappa: kappa diag(s) + (1 - kappa) s s'.

    Args:
        kappa: the expected kappa, in [0, 1).
        shares: of each label, positive, at least two; they are scaled to sum to 1.

    Raises:
        UsageError: a value is out of range.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    if not 0 <= kappa < 1:
        raise UsageError(f"kappa={kappa} is not in [0, 1).", "Give the kappa that you expect, such as 0.6.")
    if len(shares) < 2 or min(shares) <= 0:
        raise UsageError("Kappa needs two labels that occur.", "Give their shares, such as 0.8,0.2.")
    s: FloatArray = np.array(shares, dtype=np.float64) / sum(shares)
    table = kappa * np.diag(s) + (1 - kappa) * np.outer(s, s)
    n = _rows(labels) / effect
    variance = float(cohens_kappa(table * n).var_kappa)
    return float(2 * stats.norm.ppf((1 + _level(confidence)) / 2) * variance**0.5)


def labels_for_kappa(
    kappa: float, shares: Sequence[float], width: float, *, effect: float = 1.0, confidence: float = 0.95
) -> int:
    """The fewest rows for which `kappa_width` is at most `width`."""
    _share("width", width, most=2.0)
    per_row = kappa_width(kappa, shares, 1, effect=effect, confidence=confidence)  # falls with the root of n
    return _bounded(max(2, ceil((per_row / width) ** 2 - 1e-9)))


def gain_power(
    gain: float,
    discordance: float,
    labels: int,
    *,
    effect: float = 1.0,
    alpha: float = 0.05,
    two_sided: bool = False,
) -> float:
    """The chance that the exact McNemar test finds a gain, rows independent.

    The number of discordant rows is binomial, and so are the gained ones among them; every outcome is
    enumerated (Duffy 1984), so that the test's own caution on few rows is in the figure. The gate's group-swap
    test is this test where every group is one row and the metric is agreement.

    Args:
        gain: agreement of the new judge less that of the old one, in (0, discordance].
        discordance: share of rows on which exactly one of the two agrees with people, in (0, 1].
        two_sided: as reports of others test; the gate tests one side.

    Raises:
        UsageError: a value is out of range.
    """
    if not 0 < gain <= discordance <= 1:
        raise UsageError(
            f"gain={gain} and discordance={discordance} do not fit: 0 < gain <= discordance <= 1 must hold.",
            "The discordance is the share of rows on which exactly one of the two judges is right.",
        )
    _share("alpha", alpha)
    n = int(_rows(labels) / effect)
    if n < 1:
        return 0.0
    better = (gain / discordance + 1) / 2
    level = alpha / 2 if two_sided else alpha
    spread = 8 * (n * discordance * (1 - discordance)) ** 0.5 + 10  # beyond it the chance is below 1e-12
    d = np.arange(max(0, int(n * discordance - spread)), min(n, int(n * discordance + spread)) + 1)
    # The least number of gained rows that rejects; d + 1 where none does.
    least = stats.binom.isf(level, d, 0.5) + 1
    return float((stats.binom.pmf(d, n, discordance) * stats.binom.sf(least - 1, d, better)).sum())


def labels_for_gain(
    gain: float,
    discordance: float,
    *,
    power: float = 0.8,
    effect: float = 1.0,
    alpha: float = 0.05,
    two_sided: bool = False,
) -> int:
    """The fewest rows from which on `gain_power` is at least `power`: it goes up and down by a little from one
    number of rows to the next, and this number is past all that within 5 %."""
    _share("power", power)

    def enough(n: int) -> bool:
        return gain_power(gain, discordance, n, effect=effect, alpha=alpha, two_sided=two_sided) >= power

    n = _first(enough)
    at = n
    step = max(1, n // 200)
    while at <= 1.05 * n:
        at += step
        if not enough(at):
            n = at + 1
            while not enough(n):
                n += 1
            at = n
    return n


def _first(enough: Callable[[int], bool]) -> int:
    """The least n that is enough, by doubling and halving."""
    high = 1
    while not enough(high):
        high = _bounded(high * 2)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _bounded(n: int) -> int:
    if n > MOST:
        raise UsageError(f"More than {MOST:,} labels would be needed.", "Ask for less.")
    return n


def _rows(labels: int) -> int:
    if labels < 1:
        raise UsageError(f"{labels} labels are none.", "Give a number of rows.")
    return labels


def _level(confidence: float) -> float:
    return _share("confidence", confidence)


def _share(name: str, value: float, *, most: float = 1.0, closed: bool = False) -> float:
    if not (0 <= value <= most if closed else 0 < value < most):
        raise UsageError(f"{name}={value} is not between 0 and {most:g}.", "Give a share such as 0.1.")
    return value
