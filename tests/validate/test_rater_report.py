"""The report on raters: figures with intervals, or reasons."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import UsageError
from judge_opt.core.values import BOOL, categories, ordered, scale
from judge_opt.labels import LabelledExample, Vote
from judge_opt.labels.raters import Ratings, fleiss_kappa, krippendorff_alpha, pairwise_agreement
from judge_opt.labels.raters.kappa import agreement_of_weights, fleiss_of_weights
from judge_opt.validate.raters import RaterReport, rater_report

THREE = categories("a", "b", "c")


def examples_from(rows, group=lambda n: f"i{n}"):
    return [
        LabelledExample(f"i{n}", group(n), {}, tuple(Vote(rater, row[rater]) for rater in sorted(row)))
        for n, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def world():
    """Three raters of 60 items: bo says one more than the truth half of the time, cy guesses."""
    rng = np.random.default_rng(1)
    truth = rng.integers(1, 5, 60)
    rows = [{"ana": int(t), "bo": int(t + rng.integers(0, 2)), "cy": int(rng.integers(1, 6))} for t in truth]
    return examples_from(rows)


def test_a_report_is_printed_as_a_table(world):
    report = rater_report(world, scale(1, 5), n_boot=0)
    text = str(report)
    assert "items, raters, labels" in text
    assert [line.split()[0] for line in text.split("\n\n")[1].splitlines()] == ["rater", "ana", "bo", "cy"]


def test_the_report_says_who_leans_and_by_how_much(world):
    report = rater_report(world, scale(1, 5), n_boot=500)
    ana, bo, cy = report.raters
    assert bo.bias.value > ana.bias.value
    assert bo.bias.low <= bo.bias.value <= bo.bias.high
    assert cy.agreement.value < ana.agreement.value
    assert cy.estimated_accuracy < ana.estimated_accuracy
    assert np.array(ana.confusion).sum() == pytest.approx(60)
    assert report.level == "interval"
    assert report.alpha.low < report.alpha.value < report.alpha.high
    assert report.alpha.value == pytest.approx(krippendorff_alpha(Ratings.of(world, scale(1, 5))).value)
    assert report.alpha_nominal.value < report.alpha.value
    assert len(report.pairs) == 3
    assert all(pair.n == 60 for pair in report.pairs)
    assert report.ceiling.n_raters == 3
    assert RaterReport.model_validate(json.loads(json.dumps(report.to_json()))) == report


def test_groups_make_intervals_wider(world):
    copies = [LabelledExample(f"{one.id}-{k}", one.id, {}, one.votes) for one in world for k in range(4)]
    alone = rater_report(world, scale(1, 5), n_boot=800).alpha
    grouped = rater_report(copies, scale(1, 5), n_boot=800).alpha
    assert (grouped.n, grouped.n_groups) == (240, 60)
    width, wide = alone.high - alone.low, grouped.high - grouped.low
    assert wide == pytest.approx(width, rel=0.25)  # 240 copies know no more than 60 items


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["ana", "bo", "cy"]), st.sampled_from("abc"), min_size=1),
        min_size=1,
        max_size=12,
    )
)
def test_figures_of_weights_are_the_figures(rows):
    ratings = Ratings.of(examples_from(rows), THREE)
    once = np.ones((1, ratings.n_items))
    for found, of_weights in (
        (fleiss_kappa(ratings), fleiss_of_weights(ratings)),
        (pairwise_agreement(ratings), agreement_of_weights(ratings)),
    ):
        again = of_weights(once)[0]
        if found.value is None:
            assert np.isnan(again)
        else:
            assert again == pytest.approx(found.value, abs=1e-9)


@pytest.mark.parametrize(
    "rows",
    [
        [{"ana": "a"}],
        [{"ana": "a"}] * 20,
        [{"ana": "a", "bo": "a"}],
        [{"ana": "a", "bo": "a"}] * 20,
        [{"ana": "a"}, {"bo": "b"}],
        [{"ana": "a", "bo": "b"}],
    ],
    ids=["n=1", "one rater", "one item", "one class", "no shared item", "one disagreement"],
)
def test_every_figure_has_a_value_or_a_reason(rows):
    report = rater_report(examples_from(rows), THREE, n_boot=200)
    for figure in (report.alpha, report.agreement, report.fleiss, report.ceiling.agreement):
        assert (figure.value is not None and np.isfinite(figure.value)) or figure.reason
    for line in report.raters:
        assert line.agreement.value is not None or line.agreement.reason
    assert report.summary()
    assert len(report.table()[1]) == len(report.raters)
    json.dumps(report.to_json(), allow_nan=False)


def test_no_label_at_all_is_a_report_of_reasons():
    report = rater_report([], THREE)
    assert report.alpha.value is None
    assert report.alpha.reason == "There is no label."
    assert report.raters == []


def test_order_of_rows_and_names_of_labels_do_not_matter(world):
    before = rater_report(world, scale(1, 5), n_boot=300)
    after = rater_report(world[::-1], scale(1, 5), n_boot=300)
    assert after.alpha == before.alpha
    assert after.raters[1].bias.value == pytest.approx(before.raters[1].bias.value)


def test_levels_and_kinds_are_checked(world):
    with pytest.raises(UsageError, match="needs an order"):
        rater_report(examples_from([{"ana": "a", "bo": "b"}]), THREE, level="interval")
    with pytest.raises(UsageError, match="no agreement statistic"):
        rater_report(examples_from([{"ana": "a"}]), str)
    assert (
        rater_report(examples_from([{"ana": "lo", "bo": "hi"}] * 3), ordered("lo", "hi")).level == "ordinal"
    )
    report = rater_report(examples_from([{"ana": True, "bo": False}] * 12), BOOL)
    assert report.raters[0].bias.value == 1.0
