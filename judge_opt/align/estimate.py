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
    at = {row: 1 + len(forms) + k for k, row in enumerate(rows)}
    places = [(1 + k, at[row]) for k, form in enumerate(forms) for row in gains[form]]
    seen = np.array([value for form in forms for value in gains[form].values()])
    design = np.zeros((len(seen), 1 + len(forms) + len(rows)))
    design[:, 0] = 1.0
    for line, (form_at, row_at) in enumerate(places):
        design[line, form_at] = design[line, row_at] = 1.0
    mean, cover = _believed(design, seen, len(forms))
    found = {}
    for k, form in enumerate(forms, start=1):
        error = math.sqrt(max(cover[0, 0] + cover[k, k] + 2 * cover[0, k], 1e-12))
        gain = float(mean[0] + mean[k])
        found[form] = Worth(gain, error, 0.5 * (1 + math.erf(gain / error / math.sqrt(2))))
    return found


def _believed(design: np.ndarray, seen: np.ndarray, forms: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and covariance of (general, each form, each row), at the likeliest variances."""
    of_forms, of_rows = slice(1, 1 + forms), slice(1 + forms, design.shape[1])
    squares, weighted = design.T @ design, design.T @ seen
    noise = max(float(seen.var()), _LEAST)
    form_var = row_var = max(noise / 4, _LEAST)
    for _ in range(_ROUNDS):
        before = np.array([form_var, row_var, noise])
        prior = np.full(design.shape[1], 1.0 / row_var)
        prior[0], prior[of_forms] = 1.0 / GENERAL, 1.0 / form_var
        cover = np.linalg.inv(squares / noise + np.diag(prior))
        mean = cover @ weighted / noise
        spread = mean**2 + np.diag(cover)
        form_var = max(float(spread[of_forms].mean()), _LEAST)
        row_var = max(float(spread[of_rows].mean()), _LEAST)
        left = seen - design @ mean
        noise = max(float(left @ left + (squares * cover).sum()) / len(seen), _LEAST)
        if np.all(np.abs(np.array([form_var, row_var, noise]) / before - 1) < _CLOSE):
            break
    return mean, cover
