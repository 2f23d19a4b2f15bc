"""M1: agreement figures equal published worked examples and a second implementation."""

import numpy as np
import pytest
from published_ratings import (
    ANAESTHETISTS,
    COHEN_1960,
    COHEN_1968_WEIGHTS,
    FLEISS,
    KRIPPENDORFF_A,
    KRIPPENDORFF_B,
    KRIPPENDORFF_C,
)
from rating_helpers import examples_of, from_strings, from_table
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from judge_opt.core.values import categories, ordered, scale
from judge_opt.labels.raters import (
    Ratings,
    cohen_kappa,
    dawid_skene,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise_agreement,
)
from judge_opt.labels.raters.alpha import alpha_of_weights

BINARY = Ratings.of(from_strings(*KRIPPENDORFF_A), categories("0", "1"))
NOMINAL = Ratings.of(from_strings(*KRIPPENDORFF_B), categories(*"abcde"))
MISSING_DATA = Ratings.of(from_strings(*KRIPPENDORFF_C, of=int), scale(1, 5))
COHEN = Ratings.of(from_table(COHEN_1960, "abc"), ordered("a", "b", "c"))


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (BINARY, "nominal", 0.095),  # Krippendorff 2011, section A
        (NOMINAL, "nominal", 0.692),  # section B
        (MISSING_DATA, "nominal", 0.743),  # section C
        (MISSING_DATA, "ordinal", 0.815),  # section D
        (MISSING_DATA, "interval", 0.849),
        (MISSING_DATA, "ratio", 0.797),
    ],
)
def test_alpha_equals_krippendorff_2011_and_our_second_implementation(ratings, level, published):
    found = krippendorff_alpha(ratings, level)
    assert round(found.value, 3) == published
    again = alpha_of_weights(ratings, level)(np.ones((1, ratings.n_items)))[0]
    assert again == pytest.approx(found.value, abs=1e-12)


def test_items_with_one_label_are_not_counted():
    found = krippendorff_alpha(MISSING_DATA)
    assert (found.n_items, found.n_raters, found.n_ratings) == (11, 4, 40)
    assert MISSING_DATA.level == "interval"


def test_fleiss_kappa_equals_fleiss_1971_and_the_formula_written_out():
    table = np.array([[int(count) for count in row] for row in FLEISS.split()])
    labels = "abcde"
    rows = []
    for counts in table:
        votes = [label for label, count in zip(labels, counts, strict=True) for _ in range(count)]
        rows.append({f"r{n}": vote for n, vote in enumerate(votes)})
    found = fleiss_kappa(Ratings.of(examples_of(rows), categories(*labels)))
    assert round(found.value, 3) == 0.430  # Fleiss 1971, table 2 and text
    assert (found.n_items, found.n_ratings) == (30, 180)
    chance = ((table.sum(axis=0) / 180) ** 2).sum()
    agreed = ((table**2).sum(axis=1) - 6).sum() / (30 * 6 * 5)
    assert found.value == pytest.approx((agreed - chance) / (1 - chance), abs=1e-12)


def test_kappa_equals_cohen_1960():
    found = cohen_kappa(COHEN, "one", "two")
    assert round(found.value, 3) == 0.492  # Cohen 1960, table 2
    assert found.value == pytest.approx(cohens_kappa(np.array(COHEN_1960)).kappa, abs=1e-12)
    assert pairwise_agreement(COHEN).value == pytest.approx(0.70)


def test_weighted_kappa_equals_cohen_1968_with_his_weights():
    found = cohen_kappa(COHEN, "one", "two", weights=COHEN_1968_WEIGHTS)
    assert round(found.value, 3) == 0.348  # Cohen 1968, table 1 and text


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_equals_scikit_learn_and_statsmodels(weights):
    found = cohen_kappa(COHEN, "one", "two", weights=weights).value
    assert found == pytest.approx(cohen_kappa_score(*COHEN.codes, weights=weights), abs=1e-12)
    assert found == pytest.approx(cohens_kappa(np.array(COHEN_1960), wt=weights).kappa, abs=1e-12)


def test_dawid_skene_equals_the_estimates_of_1979():
    labelled = [
        (f"p{n}", f"o{rater}", label)
        for n, patient in enumerate(ANAESTHETISTS, 1)
        for rater, said in enumerate(patient, 1)
        for label in said
    ]
    assert len(labelled) == 45 * 7
    found = dawid_skene(labelled)
    assert found.converged
    assert found.shares.round(2).tolist() == [0.40, 0.42, 0.11, 0.07]  # Dawid & Skene 1979, table 2
    assert found.error_rates[0].round(2).tolist() == [  # the same table, observer 1
        [0.89, 0.11, 0.00, 0.00],
        [0.07, 0.88, 0.05, 0.00],
        [0.00, 0.34, 0.66, 0.00],
        [0.00, 0.00, 0.56, 0.44],
    ]
    shares, rates, probabilities = naive_em(labelled)
    assert found.shares == pytest.approx(shares, abs=1e-5)
    assert found.error_rates == pytest.approx(rates, abs=1e-4)
    assert found.probabilities == pytest.approx(probabilities, abs=1e-4)


def naive_em(labelled, steps=400):
    """The paper's equations one by one, with plain products and loops."""
    items, raters, labels = (list(dict.fromkeys(t[k] for t in labelled)) for k in range(3))
    raters, labels = sorted(raters), sorted(labels)
    n = {}
    for key in labelled:
        n[key] = n.get(key, 0) + 1
    t = {i: [sum(n.get((i, r, j), 0) for r in raters) for j in labels] for i in items}
    t = {i: [x / sum(row) for x in row] for i, row in t.items()}
    for _ in range(steps):
        p = [sum(t[i][j] for i in items) / len(items) for j in range(len(labels))]
        pi = np.zeros((len(raters), len(labels), len(labels)))
        for k, r in enumerate(raters):
            for j in range(len(labels)):
                said = [sum(t[i][j] * n.get((i, r, label), 0) for i in items) for label in labels]
                pi[k, j] = np.array(said) / sum(said)
        for i in items:
            row = []
            for j in range(len(labels)):
                product = p[j]
                for k, r in enumerate(raters):
                    for label_at, label in enumerate(labels):
                        product *= pi[k, j, label_at] ** n.get((i, r, label), 0)
                row.append(product)
            t[i] = [x / sum(row) for x in row]
    return p, pi, np.array([t[i] for i in items])
