"""M2 and M3: what must not change a figure does not, and what is not defined has a reason."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_helpers import examples_of, from_strings

from judge_opt.core.errors import DataError, NotFound, UsageError
from judge_opt.core.results import NOT_APPLICABLE
from judge_opt.core.values import BOOL, ValueType, categories, ordered, preference, scale
from judge_opt.labels.raters import (
    Ratings,
    cohen_kappa,
    dawid_skene,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise_agreement,
    rater_leans,
)
from judge_opt.labels.raters.alpha import alpha_of_weights

THREE = categories("a", "b", "c")
tables = st.lists(
    st.dictionaries(st.sampled_from(["ana", "bo", "cy"]), st.sampled_from("abc"), min_size=1),
    min_size=1,
    max_size=14,
)


def figures(ratings, level=None):
    found = [krippendorff_alpha(ratings, level), fleiss_kappa(ratings), pairwise_agreement(ratings)]
    return [one.value for one in found]


def same(one, other):
    return all(
        (a is None) == (b is None) and (a is None or math.isclose(a, b, abs_tol=1e-9))
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("statistic", [krippendorff_alpha, fleiss_kappa])
def test_examples_are_no_ratings_and_the_error_says_how_to_make_them(statistic):
    with pytest.raises(UsageError, match=r"takes Ratings, not list.*Ratings\.of\(examples, value_type\)"):
        statistic(examples_of([{"ana": "a"}]))


@settings(max_examples=100, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_order_and_names_of_items_raters_and_labels_do_not_matter(rows, random):
    before = figures(Ratings.of(examples_of(rows), THREE))
    assert all(value is None or math.isfinite(value) for value in before)
    shuffled = random.sample(rows, len(rows))
    assert same(before, figures(Ratings.of(examples_of(shuffled), THREE)))
    raters = dict(zip(["ana", "bo", "cy"], random.sample(["x", "y", "z"], 3), strict=True))
    labels = dict(zip("abc", random.sample("abc", 3), strict=True))
    renamed = [{raters[rater]: labels[value] for rater, value in row.items()} for row in rows]
    assert same(before, figures(Ratings.of(examples_of(renamed), THREE)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["ana", "bo", "cy", "di"]), st.integers(1, 5), min_size=1),
        min_size=1,
        max_size=14,
    ),
    st.sampled_from(["nominal", "ordinal", "interval", "ratio"]),
)
def test_two_implementations_of_alpha_agree(rows, level):
    ratings = Ratings.of(examples_of(rows), scale(1, 5))
    found = krippendorff_alpha(ratings, level)
    weights = np.array([[1.0] * len(rows), [2.0] * len(rows)])
    once, twice = alpha_of_weights(ratings, level)(weights)
    if found.value is None:
        assert found.reason
        assert math.isnan(once) or found.n_items == 0
    else:
        assert once == pytest.approx(found.value, abs=1e-9)
        doubled = krippendorff_alpha(Ratings.of(examples_of(rows * 2), scale(1, 5)), level)
        assert twice == pytest.approx(doubled.value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_dawid_skene_is_a_distribution_and_does_not_depend_on_order(rows, random):
    triples = [(f"i{n}", rater, value) for n, row in enumerate(rows) for rater, value in row.items()]
    found = dawid_skene(triples, smoothing=0.5)
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert found.error_rates.sum(axis=2) == pytest.approx(1.0)
    assert np.isfinite(found.log_likelihood)
    again = dawid_skene(random.sample(triples, len(triples)), smoothing=0.5)
    place = [again.items.index(item) for item in found.items]
    assert again.probabilities[place] == pytest.approx(found.probabilities, abs=1e-4)
    plain = dawid_skene(triples)
    assert np.isfinite(plain.probabilities).all()
    assert plain.probabilities.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "There is no label."),
        ([{"ana": "a"}], "No item was labelled by two raters (one rater only)"),
        ([{"ana": "a"}, {"ana": "b"}], "one rater only"),
        ([{"ana": "a"}, {"bo": "b"}], "No item was labelled by two raters (2 raters)"),
        ([{"ana": "a", "bo": "a"}], "Every label is 'a'"),
        ([{"ana": "a", "bo": "a"}] * 5 + [{"ana": "b"}], "Every label is 'a'"),
    ],
)
def test_what_is_not_defined_has_a_reason(rows, reason):
    ratings = Ratings.of(examples_of(rows), THREE)
    for found in (krippendorff_alpha(ratings), fleiss_kappa(ratings)):
        assert found.value is None
        assert reason.split(":")[0] in found.reason


def test_one_item_of_two_raters_is_defined_where_they_differ():
    ratings = Ratings.of(from_strings("a", "b"), THREE)
    assert krippendorff_alpha(ratings).value == pytest.approx(0.0)
    assert pairwise_agreement(ratings).value == 0.0


def test_two_raters_without_a_common_item_or_with_one_label_have_no_kappa():
    ratings = Ratings.of(from_strings("ab..", "..ab", "aaaa"), THREE)
    assert cohen_kappa(ratings, "r0", "r1").reason == "'r0' and 'r1' labelled no item in common."
    found = cohen_kappa(ratings, "r0", "r2")
    assert found.value is None
    assert found.reason.startswith("'r2' gave one label only, 'a'")
    with pytest.raises(NotFound, match="There is no rater 'r9'"):
        cohen_kappa(ratings, "r0", "r9")


def test_levels_need_an_order():
    ratings = Ratings.of(from_strings("abc", "abb"), THREE)
    for call in (
        lambda: krippendorff_alpha(ratings, "ordinal"),
        lambda: cohen_kappa(ratings, "r0", "r1", weights="linear"),
        lambda: cohen_kappa(ratings, "r0", "r1", weights=[[0, 1], [1, 0]]),
        lambda: Ratings.of(from_strings("a", "b"), str),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError, match="not negative"):
        krippendorff_alpha(Ratings.of(from_strings("12", "23", of=lambda x: -float(x)), float), "ratio")


def test_the_scale_of_measurement_follows_the_value_type():
    levels = {
        Ratings.of([], declared).level: declared
        for declared in (
            BOOL,
            THREE,
            preference("A", "B", tie="tie"),
            ordered("low", "high"),
            scale(1, 5),
            float,
        )
    }
    assert set(levels) == {"nominal", "ordinal", "interval"}
    assert Ratings.of([], preference("A", "B")).numbers is None
    optional = ValueType.of(bool | None)
    ratings = Ratings.of(examples_of([{"ana": True, "bo": NOT_APPLICABLE}]), optional)
    assert (ratings.labels, ratings.level, ratings.numbers) == (
        ("true", "false", NOT_APPLICABLE),
        "nominal",
        None,
    )


def test_a_wrong_vote_is_named():
    with pytest.raises(DataError, match="Item 'i1': label 'd' is not allowed"):
        Ratings.of(from_strings("ad", "bb"), THREE)
    with pytest.raises(
        DataError, match=r"Item 'i': label 'goood' is not among the labels. Did you mean 'good'\?"
    ):
        dawid_skene([("i", "ana", "goood")], labels=["bad", "good"])


def test_a_lenient_rater_leans_up_and_confusion_shows_where():
    rows = [{"ana": 3, "bo": 3, "cy": 4}, {"ana": 2, "bo": 2, "cy": 3}, {"ana": 5, "bo": 4}, {"ana": 1}]
    ana, bo, cy = rater_leans(Ratings.of(examples_of(rows), scale(1, 5)))
    assert cy.difference == (1.0, 1.0)
    assert ana.difference == (-0.5, -0.5, 1.0)
    assert (ana.n_labels, ana.n_shared, cy.n_shared) == (4, 3, 2)
    assert ana.agreement == (0.5, 0.5, 0.0)
    assert cy.agreement == (0.0, 0.0)
    assert bo.shares == (0.0, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0)
    assert cy.confusion[2, 3] == 1.0  # the others said 3, cy said 4
    assert cy.confusion.sum() == 2.0
    assert rater_leans(Ratings.of(from_strings("ab", "bb"), THREE))[0].difference is None


def test_numbers_need_not_be_evenly_spaced_or_listed():
    rows = [{"ana": 0.5, "bo": 0.5}, {"ana": 2.25, "bo": 2.0}, {"ana": 9.0, "bo": 8.0}]
    ratings = Ratings.of(examples_of(rows), float)
    assert ratings.labels == ("0.5", "2", "2.25", "8", "9")
    x, y = np.array([0.5, 2.25, 9.0]), np.array([0.5, 2.0, 8.0])
    pooled = np.concatenate([x, y]).var(ddof=1)
    assert krippendorff_alpha(ratings).value == pytest.approx(1 - ((x - y) ** 2).mean() / (2 * pooled))
    expected = 1 - ((x - y) ** 2).mean() / ((x[:, None] - y[None]) ** 2).mean()
    assert cohen_kappa(ratings, "ana", "bo", weights="quadratic").value == pytest.approx(expected)
