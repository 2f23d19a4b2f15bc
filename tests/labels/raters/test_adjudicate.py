import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_helpers import examples_of, from_strings

from judge_opt.core.errors import UsageError
from judge_opt.core.values import BOOL, categories, scale
from judge_opt.labels import LabelledExample, Vote
from judge_opt.labels.raters import Ratings, adjudicate
from judge_opt.labels.raters.adjudication import rater_weights, soft_labels

THREE = categories("a", "b", "c")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["ana", "bo", "cy"]), st.sampled_from("abc"), min_size=1),
        min_size=1,
        max_size=12,
    )
)
def test_majority_is_the_gold_label_and_soft_labels_sum_to_one(rows):
    examples = examples_of(rows)
    for example, found in zip(examples, adjudicate(examples, THREE), strict=True):
        assert found.value == example.gold
        assert found.contested == (example.gold is None)
        assert sum(found.soft.values()) == pytest.approx(1)
        assert {k: v for k, v in found.soft.items() if v} == pytest.approx(example.soft)
        assert sum(example.soft.values()) == pytest.approx(1)
        assert soft_labels(example, THREE) == pytest.approx(dict(found.soft))
    for method in ("weighted", "dawid_skene"):
        for found in adjudicate(examples, THREE, method=method):
            assert found.value is None or found.value in "abc"


def test_a_rater_who_guesses_is_outvoted():
    """Five raters: two who know, three who say the same whatever the item is."""
    rng = np.random.default_rng(0)
    truth = rng.choice(list("ab"), 200)

    def reads(share):
        return ["ab".replace(t, "") if rng.random() < share else t for t in truth]

    rows = [
        {"k1": k1, "k2": k2, "k3": k3, "z1": z1, "z2": z2}
        for k1, k2, k3, z1, z2 in zip(
            reads(0.05),
            reads(0.05),
            reads(0.15),
            rng.choice(list("ab"), 200),
            rng.choice(list("ab"), 200),
            strict=True,
        )
    ]
    examples = examples_of(rows)
    right = {
        method: np.mean(
            [
                one.value == t
                for one, t in zip(adjudicate(examples, categories("a", "b"), method), truth, strict=True)
            ]
        )
        for method in ("majority", "weighted", "dawid_skene")
    }
    assert right["dawid_skene"] > right["majority"] + 0.02
    assert right["weighted"] > right["majority"] + 0.02
    assert right["dawid_skene"] > 0.94
    weights = rater_weights(Ratings.of(examples, categories("a", "b")))
    assert min(weights[:3]) > 3 * max(weights[3:])


def test_nothing_shared_means_equal_weights():
    ratings = Ratings.of(from_strings("ab..", "..ab"), THREE)
    assert rater_weights(ratings).tolist() == [1.0, 1.0]
    assert rater_weights(Ratings.of(from_strings("abab", "baba"), THREE)).tolist() == [1.0, 1.0]


def test_numbers_have_a_mean():
    examples = examples_of([{"ana": 1, "bo": 4}, {"ana": 2.5}])
    assert [one.value for one in adjudicate(examples, float, "mean")] == [2.5, 2.5]
    assert adjudicate(examples, float, "mean")[0].soft == {"1": 0.5, "4": 0.5}
    assert [one.value for one in adjudicate(examples_of([{"ana": 4, "bo": 4}]), scale(1, 5))] == [4]


def test_methods_that_do_not_fit_are_refused():
    examples = examples_of([{"ana": 1.5, "bo": 4.0}])
    with pytest.raises(UsageError, match=r"There is no method 'majorty'. Did you mean 'majority'\?"):
        adjudicate(examples, float, "majorty")
    with pytest.raises(UsageError, match="needs labels that can be listed"):
        adjudicate(examples, float, "dawid_skene")
    with pytest.raises(UsageError, match="needs numbers"):
        adjudicate(examples_of([{"ana": "a"}]), THREE, "mean")
    with pytest.raises(UsageError, match="no agreement statistic"):
        adjudicate(examples_of([{"ana": "a"}]), str)
    assert adjudicate([], THREE, "dawid_skene") == []


def test_soft_labels_are_texts_whatever_the_value():
    votes = (Vote("ana", True), Vote("bo", False), Vote("cy", True))
    assert LabelledExample("i", "i", {}, votes).soft == {
        "false": pytest.approx(1 / 3),
        "true": pytest.approx(2 / 3),
    }
    assert soft_labels(LabelledExample("i", "i", {}, votes[:1]), BOOL) == {"true": 1.0, "false": 0.0}
    assert LabelledExample("i", "i", {}, (Vote("ana", 4), Vote("bo", 5))).soft == {"4": 0.5, "5": 0.5}
    assert LabelledExample("i", "i", {}, (Vote("ana", ["x"]),)).soft == {'["x"]': 1.0}
