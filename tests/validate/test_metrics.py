"""Every statistic equals a library's or a published worked example, weighted resamples included."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.inter_rater import cohens_kappa

from judge_opt.core.results import Scored
from judge_opt.core.values import BOOL, ValueType, ordered, scale
from judge_opt.validate.figures import figure
from judge_opt.validate.metrics import MetricName, metrics_for, primary_metric, statistic
from judge_opt.validate.pairs import Pairs, encode

RNG = np.random.default_rng(7)
FIVE = scale(1, 5)


def random_pairs(n: int = 80, value_type: ValueType = FIVE) -> Pairs:
    gold = RNG.integers(1, 6, n)
    judged = np.clip(gold + RNG.integers(-1, 2, n), 1, 5)
    scored = [Scored(int(j)) for j in judged]
    return encode([int(g) for g in gold], scored, [str(i // 2) for i in range(n)], value_type)


def table(counts: list[list[int]], labels: tuple[str, ...]) -> Pairs:
    rows = [(g, j) for i, g in enumerate(labels) for k, j in enumerate(labels) for _ in range(counts[i][k])]
    judged = [Scored(j) for _, j in rows]
    return encode([g for g, _ in rows], judged, [str(i) for i in range(len(rows))], ordered(*labels))


REFERENCE = {
    "agreement": lambda x, y: sk.accuracy_score(x, y),
    "balanced_accuracy": lambda x, y: sk.balanced_accuracy_score(x, y),
    "kappa": lambda x, y: sk.cohen_kappa_score(x, y),
    "kappa_linear": lambda x, y: sk.cohen_kappa_score(x, y, weights="linear", labels=[1, 2, 3, 4, 5]),
    "kappa_quadratic": lambda x, y: sk.cohen_kappa_score(x, y, weights="quadratic", labels=[1, 2, 3, 4, 5]),
    "mcc": lambda x, y: sk.matthews_corrcoef(x, y),
    "mae": lambda x, y: sk.mean_absolute_error(x, y),
    "bias": lambda x, y: np.mean(y) - np.mean(x),
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "kendall": lambda x, y: stats.kendalltau(x, y).statistic,
}


@pytest.mark.parametrize("metric", REFERENCE)
def test_equals_the_library_on_rows_and_on_resamples(metric: MetricName) -> None:
    pairs = random_pairs()
    counts = RNG.integers(0, 4, size=(20, pairs.n))
    ours = statistic(metric, pairs)(np.vstack([np.ones(pairs.n), counts]).astype(float))
    x, y = pairs.gold_number, pairs.judged_number
    theirs = [REFERENCE[metric](np.repeat(x, c), np.repeat(y, c)) for c in [np.ones(pairs.n, int), *counts]]
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_kappa_of_the_published_example() -> None:
    """Cohen 1960 as retold in the literature: 20, 5, 10, 15 of 50 give kappa 0.40."""
    pairs = table([[20, 5], [10, 15]], ("yes", "no"))
    assert statistic("kappa", pairs)(np.ones((1, 50)))[0] == pytest.approx(0.4)


def test_weighted_kappa_equals_statsmodels() -> None:
    counts = [[10, 3, 1], [2, 12, 4], [0, 5, 13]]
    pairs = table(counts, ("low", "mid", "high"))
    for metric, weights in (("kappa_linear", "linear"), ("kappa_quadratic", "quadratic")):
        theirs = cohens_kappa(np.array(counts), wt=weights).kappa
        assert statistic(metric, pairs)(np.ones((1, 50)))[0] == pytest.approx(theirs)


def test_concordance_equals_its_definition() -> None:
    x, y = RNG.normal(size=40), RNG.normal(size=40)
    pairs = encode(list(x), [Scored(float(v)) for v in y], [str(i) for i in range(40)], ValueType("float"))
    direct = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert statistic("ccc", pairs)(np.ones((1, 40)))[0] == pytest.approx(direct)


@pytest.mark.parametrize(
    ("value_type", "metric"),
    [
        (BOOL, "kappa"),
        (ordered("a", "b"), "kappa_quadratic"),
        (FIVE, "kappa_quadratic"),
        (ValueType("float"), "ccc"),
    ],
)
def test_primary_metric(value_type: ValueType, metric: str) -> None:
    assert primary_metric(value_type) == metric
    assert metric in metrics_for(value_type)


ONE_LABEL = "one human label"
ONE_ROW = "one scored row"
ONE_VERDICT = "one verdict"
NONE = "No row was scored"


@pytest.mark.parametrize(
    ("gold", "judged", "metric", "expected"),
    [
        ([], [], "agreement", NONE),
        ([], [], "kappa", NONE),
        ([True], [True], "agreement", 1.0),
        ([True], [True], "kappa", ONE_ROW),
        ([True], [False], "agreement", 0.0),
        ([True] * 4, [True, False, True, True], "agreement", 0.75),
        ([True] * 4, [True, False, True, True], "kappa", ONE_LABEL),
        ([True] * 4, [True, False, True, True], "balanced_accuracy", ONE_LABEL),
        ([True] * 4, [True] * 4, "kappa", ONE_LABEL),
        ([True, False] * 2, [True] * 4, "kappa", 0.0),
        ([True, False] * 2, [True] * 4, "balanced_accuracy", 0.5),
        ([True, False] * 2, [True] * 4, "mcc", ONE_VERDICT),
        ([True, False] * 2, [True, False] * 2, "kappa", 1.0),
        ([True, False] * 2, [False, True] * 2, "kappa", -1.0),
    ],
)
def test_degenerate_rows_give_a_value_or_a_reason(
    gold: list[bool], judged: list[bool], metric: MetricName, expected: float | str
) -> None:
    pairs = encode(gold, [Scored(j) for j in judged], [str(i) for i in range(len(gold))], BOOL)
    found = figure(metric, pairs, BOOL, n_boot=200)
    if isinstance(expected, str):
        assert found.value is None
        assert found.reason is not None
        assert expected in found.reason
    else:
        assert found.value == pytest.approx(expected)
    if found.low is None:
        assert found.reason
    else:
        assert found.high is not None
        assert found.low < found.high
