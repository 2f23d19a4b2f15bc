"""What forms of a judge are worth, from gains on rows that differ from form to form.

A form is measured on the rows that it did not learn from, and perhaps on a part of them only; and on some rows every
form gains, since the untouched judge is wrong there. So means over the rows of each form cannot be compared. Here a
gain is the sum of four parts: what forms of this judge gain in general, what this one gains besides, what everyone
gains on the row, and noise. The last three are random, with variances that the gains themselves tell (a linear mixed
model with two crossed factors, by EM; Laird & Ware, 1982; Searle, Casella & McCulloch, 1992, chapter 8). A form that
was measured on few rows is drawn towards the others, and all are drawn towards no gain.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]
GENERAL = 0.05
"""Variance, before anything is known, of what forms gain in general: they may help or harm by .2."""
_LEAST = 1e-4
"""Variance that is taken for granted of each part."""
_ROUNDS = 50
_CLOSE = 0.01
"""Relative change of the variances at which EM ends."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a form gains over the untouched judge on a row that is not known yet.

    Attributes:
        gain, error: mean and standard deviation of what is believed of it.
        sure: the probability that it is above 0.
    """

    gain: float
    error: float
    sure: float


def estimate(gains: Mapping[int, Mapping[Any, float]]) -> dict[int, Worth]:
    """Args:
    gains: form to row (or group of rows) to gain over the untouched judge, in [-1, 1]; forms without
        any are left out of the result.
    """
    forms = [form for form, found in gains.items() if found]
    rows = sorted({row for form in forms for row in gains[form]}, key=repr)
    if not forms:
        return {}
    at = {row: k for k, row in enumerate(rows)}
    values, there = np.zeros((len(forms), len(rows))), np.zeros((len(forms), len(rows)))
    for k, form in enumerate(forms):
        for row, value in gains[form].items():
            values[k, at[row]], there[k, at[row]] = value, 1.0
    mean, cover = _believed(values, there)
    found = {}
    for k, form in enumerate(forms, start=1):
        error = math.sqrt(max(cover[0, 0] + cover[k, k] + 2 * cover[0, k], 1e-12))
        gain = float(mean[0] + mean[k])
        found[form] = Worth(gain, error, 0.5 * (1 + math.erf(gain / error / math.sqrt(2))))
    return found


def _believed(values: Table, there: Table) -> tuple[Table, Table]:
    """Posterior mean and covariance of (general, each form), at the likeliest variances.

    Args:
        values, there: forms by rows; the gain, and 1 where there is one.
    """
    forms = len(values)
    count = float(there.sum())
    # Sums over the observations of the products of (general, forms) with themselves, with the rows, with the gains.
    fixed = np.zeros((1 + forms, 1 + forms))
    fixed[0, 0] = count
    fixed[0, 1:] = fixed[1:, 0] = there.sum(axis=1)
    fixed[1:, 1:] = np.diag(there.sum(axis=1))
    crossed = np.vstack([there.sum(axis=0), there])
    of_row = there.sum(axis=0)
    to_fixed = np.concatenate([[values.sum()], values.sum(axis=1)])
    to_row = values.sum(axis=0)
    squares = float((values**2).sum())

    noise = max(squares / count - (float(values.sum()) / count) ** 2, _LEAST)
    form_var = row_var = max(noise / 4, _LEAST)
    for _ in range(_ROUNDS):
        before = np.array([form_var, row_var, noise])
        prior = np.full(1 + forms, 1.0 / form_var)
        prior[0] = 1.0 / GENERAL
        own = of_row / noise + 1.0 / row_var  # the rows' part is diagonal, and taken out first
        half = crossed / noise / own
        cover = np.linalg.inv(fixed / noise + np.diag(prior) - half @ crossed.T / noise)
        mean = cover @ (to_fixed - half @ to_row) / noise
        with_rows = -cover @ half
        row_mean = (to_row - crossed.T @ mean) / noise / own
        row_cover = 1.0 / own - (half * with_rows).sum(axis=0)
        form_var = max(float((mean[1:] ** 2 + np.diag(cover)[1:]).mean()), _LEAST)
        row_var = max(float((row_mean**2 + row_cover).mean()), _LEAST)
        left = np.where(there > 0, values - mean[0] - mean[1:, None] - row_mean[None, :], 0.0)
        spread = (fixed * cover).sum() + 2 * (crossed * with_rows).sum() + (of_row * row_cover).sum()
        noise = max(float((left**2).sum() + spread) / count, _LEAST)
        if np.all(np.abs(np.array([form_var, row_var, noise]) / before - 1) < _CLOSE):
            break
    return mean, cover
