"""Power: equal to statsmodels, to simulation, and to the published sizes."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judge_opt.core.errors import UsageError
from judge_opt.validate.compare import mcnemar
from judge_opt.validate.power import (
    agreement_width,
    design_effect,
    gain_power,
    kappa_width,
    labels_for_agreement,
    labels_for_gain,
    labels_for_kappa,
)


@pytest.mark.parametrize(("k", "n"), [(8, 10), (80, 100), (450, 500)])
def test_agreement_width_is_wilsons(k: int, n: int) -> None:
    low, high = proportion_confint(k, n, method="wilson")
    assert agreement_width(k / n, n) == pytest.approx(high - low)


def test_labels_for_agreement_is_the_first_that_is_enough() -> None:
    n = labels_for_agreement(0.8, 0.1)
    assert agreement_width(0.8, n) <= 0.1 < agreement_width(0.8, n - 1)
    assert 240 <= n <= 250  # 4 * 1.96^2 * .8 * .2 / .1^2 = 246
    assert labels_for_agreement(0.8, 0.1, effect=3) == pytest.approx(3 * n, rel=0.01)


@pytest.mark.parametrize(
    ("shares", "widths"),
    [
        ((0.5, 0.5), (0.44, 0.31, 0.22, 0.16, 0.11)),
        ((0.8, 0.2), (0.57, 0.40, 0.28, 0.20, 0.14)),
    ],
)
def test_kappa_widths_of_the_simulated_table(shares: tuple[float, ...], widths: tuple[float, ...]) -> None:
    """SCIENCE.md, "Sample size/power": kappa .6 at 50, 100, 200, 400 and 800 rows, by simulation there (which
    found .61 at 80/20 and 50 rows, where the large-sample variance is a little small)."""
    for n, width in zip((50, 100, 200, 400, 800), widths, strict=True):
        assert kappa_width(0.6, shares, n) == pytest.approx(width, abs=0.012)


def test_kappa_width_equals_the_spread_of_simulated_kappas() -> None:
    """Five labels, uneven, 4,000 samples of 200 rows;"""
    rng = np.random.default_rng(4)
    s = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    table = 0.6 * np.diag(s) + 0.4 * np.outer(s, s)
    counts = rng.multinomial(200, table.ravel(), 4000).reshape(-1, 5, 5) / 200
    observed = np.trace(counts, axis1=1, axis2=2)
    chance = (counts.sum(1) * counts.sum(2)).sum(1)
    spread = ((observed - chance) / (1 - chance)).std()
    assert kappa_width(0.6, list(s), 200) == pytest.approx(2 * 1.96 * spread, rel=0.04)


def test_kappa_balanced_by_hand() -> None:
    """Two balanced labels: the variance is (1 - kappa^2) / n, here .64 / n."""
    assert kappa_width(0.6, (1, 1), 100) == pytest.approx(2 * stats.norm.ppf(0.975) * 0.08)
    assert labels_for_kappa(0.6, (1, 1), 0.2) == 246
    assert labels_for_kappa(0.6, (1, 1), 0.2, effect=2) == 492


def test_gain_power_equals_simulation() -> None:
    rng = np.random.default_rng(0)
    n, gain, discordance = 150, 0.1, 0.25
    table = rng.multinomial(n, [(discordance + gain) / 2, (discordance - gain) / 2, 1 - discordance], 4000)
    found = np.mean([(mcnemar(int(g), int(x)) or 1.0) <= 0.05 and g > x for g, x, _ in table])
    assert gain_power(gain, discordance, n, two_sided=True) == pytest.approx(found, abs=0.025)
    one = np.mean(
        [stats.binomtest(int(g), int(g + x), 0.5, "greater").pvalue <= 0.05 for g, x, _ in table if g + x]
    )
    assert gain_power(gain, discordance, n) == pytest.approx(one, abs=0.025)


def test_sizes_for_a_gain() -> None:
    """SCIENCE.md: two-sided at .05, 80 % power, 20 % discordant: about 620 rows for 5 points, 155 for 10."""
    assert labels_for_gain(0.05, 0.2, two_sided=True) == pytest.approx(640, abs=25)
    assert labels_for_gain(0.1, 0.2, two_sided=True) == pytest.approx(160, abs=12)
    n = labels_for_gain(0.1, 0.2)
    assert n < labels_for_gain(0.1, 0.2, two_sided=True)
    assert all(gain_power(0.1, 0.2, m) >= 0.8 for m in range(n, int(1.05 * n)))


def test_few_rows_can_show_nothing() -> None:
    assert gain_power(0.2, 0.2, 4) == 0.0
    assert gain_power(1.0, 1.0, 5) == pytest.approx(1.0)  # five of five: p = 1/32
    assert gain_power(0.2, 0.2, 10, effect=20) == 0.0


def test_design_effect() -> None:
    assert design_effect(1, 0.5) == 1.0
    assert design_effect(5, 0.25) == 2.0
    with pytest.raises(UsageError, match="no design effect"):
        design_effect(0.5, 0.2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: labels_for_agreement(1.2, 0.1),
        lambda: labels_for_agreement(0.8, 0.0),
        lambda: labels_for_agreement(0.8, 1e-6),
        lambda: labels_for_kappa(1.0, (1, 1), 0.1),
        lambda: labels_for_kappa(0.5, (1,), 0.1),
        lambda: labels_for_gain(0.3, 0.2),
        lambda: labels_for_gain(0.0, 0.2),
        lambda: labels_for_gain(0.1, 0.2, power=1.0),
        lambda: gain_power(0.1, 0.2, 0),
        lambda: kappa_width(0.5, (1, 1), 10, confidence=1.0),
    ],
)
def test_impossible_wishes_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError):
        call()
