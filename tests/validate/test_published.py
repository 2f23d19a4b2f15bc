"""M1: each statistic against a published worked example, named, or a second implementation."""

import krippendorff
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.inter_rater import fleiss_kappa as their_fleiss
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from judge_opt.core.results import Scored
from judge_opt.core.values import BOOL, categories, ordered
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.kappa import fleiss_kappa
from judge_opt.labels.raters.ratings import Ratings
from judge_opt.validate.agreement import measure_agreement
from judge_opt.validate.calibration import measure_calibration
from judge_opt.validate.compare import holm, mcnemar
from judge_opt.validate.intervals import proportion_interval, wilson_interval
from judge_opt.validate.metrics import statistic
from judge_opt.validate.pairs import Pairs, encode

RNG = np.random.default_rng(11)


def table(counts: list[list[int]]) -> Pairs:
    """Rows: the first rater. Columns: the second."""
    labels = tuple("abcdefgh"[: len(counts)])
    rows = [
        (labels[i], labels[k]) for i, row in enumerate(counts) for k, n in enumerate(row) for _ in range(n)
    ]
    judged = [Scored(b) for _, b in rows]
    return encode([a for a, _ in rows], judged, [str(i) for i in range(len(rows))], ordered(*labels))


def value(metric: str, pairs: Pairs) -> float:
    return float(statistic(metric, pairs)(np.ones((1, pairs.n)))[0])  # type: ignore[arg-type]


def test_kappa_of_cohen_1960_table_1() -> None:
    """Cohen 1960, Educational and Psychological Measurement 20, table 1: proportions times 200; kappa .492."""
    pairs = table([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert value("kappa", pairs) == pytest.approx(0.492, abs=5e-4)


def test_weighted_kappa_of_fleiss_levin_paik() -> None:
    """Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, table 18.1: kappa .68."""
    pairs = table([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    assert value("kappa", pairs) == pytest.approx(0.68, abs=5e-3)


def test_alpha_of_krippendorff_2011() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C: nominal .743, ordinal .815,
    interval .849."""
    raters = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    rows = [[r.split()[k] for r in raters] for k in range(12)]
    examples = [
        LabelledExample(str(k), str(k), {}, tuple(Vote(f"r{i}", v) for i, v in enumerate(row) if v != "."))
        for k, row in enumerate(rows)
    ]
    ratings = Ratings.of(examples, ordered("1", "2", "3", "4", "5"))
    for level, published in (("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)):
        assert krippendorff_alpha(ratings, level).value == pytest.approx(published, abs=5e-4)  # type: ignore[arg-type]
        by_weights = alpha_of_weights(ratings, level)  # type: ignore[arg-type]
        assert by_weights is not None
        data = [[np.nan if v == "." else float(v) for v in r.split()] for r in raters]
        theirs = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
        assert float(by_weights(np.ones((1, 12)))[0]) == pytest.approx(theirs)


def test_fleiss_kappa_of_fleiss_1971() -> None:
    """Fleiss 1971 as retold since: ten subjects, fourteen raters, five labels; kappa .210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    examples = []
    for k, row in enumerate(counts):
        said = [label for label, n in zip("abcde", row, strict=True) for _ in range(n)]
        votes = tuple(Vote(f"r{i:02}", v) for i, v in enumerate(said))
        examples.append(LabelledExample(str(k), str(k), {}, votes))
    ours = fleiss_kappa(Ratings.of(examples, categories(*"abcde"))).value
    assert ours == pytest.approx(0.210, abs=5e-4)
    assert ours == pytest.approx(their_fleiss(np.array(counts)))


def test_wilson_and_exact_of_newcombe_1998() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 15 of 148 and 81 of 263."""
    assert wilson_interval(81, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert wilson_interval(81, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert wilson_interval(15, 148).low == pytest.approx(0.0624, abs=5e-5)
    for hits, n in ((0, 20), (1, 29), (13, 14)):
        ours = proportion_interval(hits, n)
        assert (ours.low, ours.high) == pytest.approx(proportion_confint(hits, n, method="beta"))
        assert ours.method == "exact"


def test_tau_b_and_rho_of_a_tied_example_equal_scipy() -> None:
    x, y = RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)
    labels = ("a", "b", "c", "d")
    pairs = encode(
        [labels[i] for i in x], [Scored(labels[j]) for j in y], list(map(str, range(60))), ordered(*labels)
    )
    assert value("kendall", pairs) == pytest.approx(stats.kendalltau(x, y).statistic)
    assert value("spearman", pairs) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_mcnemar_of_agresti_and_of_statsmodels() -> None:
    """Agresti 2013, Categorical Data Analysis, table 11.1: 150 and 86 approve once; far below .001."""
    assert mcnemar(86, 150) == pytest.approx(their_mcnemar([[794, 150], [86, 570]], exact=True).pvalue)
    assert (mcnemar(86, 150) or 1.0) < 1e-4


def test_holm_equals_statsmodels() -> None:
    """Holm 1979; the p-values are Benjamini & Hochberg's fifteen (1995, section 4)."""
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    ours = holm(p)
    assert ours == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert sum(x <= 0.05 for x in ours) == 3


def test_class_figures_equal_scikit_learn() -> None:
    gold, said = RNG.integers(0, 3, 90), RNG.integers(0, 3, 90)
    names = "abc"
    judged = [Scored(names[j]) for j in said]
    groups = list(map(str, range(90)))
    found = measure_agreement([names[i] for i in gold], judged, groups, categories(*names), n_boot=0)
    p, r, f, n = sk.precision_recall_fscore_support(gold, said)
    for k, one in enumerate(found.classes):
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx((p[k], r[k], f[k], n[k]))
    assert found.metrics["mcc"].value == pytest.approx(sk.matthews_corrcoef(gold, said))


def test_brier_parts_add_up_and_equal_scikit_learn() -> None:
    """Murphy 1973: reliability - resolution + uncertainty, exact where each bin has one confidence."""
    sure = RNG.choice([0.6, 0.8, 0.9], 400)
    right = RNG.random(400) < np.where(sure == 0.6, 0.7, sure)
    judged = [Scored(True, probabilities={"true": float(c), "false": float(1 - c)}) for c in sure]
    found = measure_calibration([bool(x) for x in right], judged, BOOL)
    parts = found.parts
    assert parts is not None
    assert parts.score == pytest.approx(sk.brier_score_loss(right, sure))
    assert parts.within == pytest.approx(0.0, abs=1e-9)
    assert parts.score == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty)
    by_hand = [((sure == c).sum(), (right[sure == c].mean() - c) ** 2) for c in (0.6, 0.8, 0.9)]
    assert parts.reliability == pytest.approx(sum(n * gap for n, gap in by_hand) / 400)


def test_an_honest_judge_has_the_error_that_is_told() -> None:
    sure = RNG.uniform(0.5, 1.0, 120)
    judged = [Scored(True, probabilities={"true": float(c), "false": float(1 - c)}) for c in sure]
    told, seen, small = [], [], 0
    for _ in range(60):
        found = measure_calibration([bool(x) for x in RNG.random(120) < sure], judged, BOOL)
        told.append(found.ece_honest or 0.0)
        seen.append(found.ece or 0.0)
        small += (found.p_honest or 0.0) <= 0.1
    assert np.mean(seen) == pytest.approx(np.mean(told), abs=0.006)
    assert small <= 13  # 6 expected, three standard errors
