"""What a verdict is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt import Objective, interval, ordered, scale
from judge_opt.core.errors import UsageError
from judge_opt.core.results import NOT_APPLICABLE, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, categories
from judge_opt.prompts.objectives import Aim, aims_of, combined


class Scorer:
    """Only what `aims_of` looks at."""

    def __init__(self, value_type, name="j"):
        self.name, self.value_type = name, value_type


def worth(kind, value, **objective):
    (aim,) = aims_of([Scorer(kind)], {"j": Objective(**objective)})
    return aim.score(Scored(value))


@pytest.mark.parametrize(
    ("kind", "value", "objective", "score"),
    [
        (BOOL, True, {}, 1.0),
        (BOOL, False, {}, 0.0),
        (BOOL, True, {"lower_is_better": True}, 0.0),
        (categories("No", "Yes"), "Yes", {}, 1.0),
        (categories("pass", "fail"), "fail", {}, 0.0),
        (categories("a", "b"), "b", {"scores": {"A": 0.0, "b": 0.25}}, 0.25),
        (ordered("poor", "fair", "good"), "fair", {}, 0.5),
        (ordered("good", "fair", "poor"), "poor", {"lower_is_better": True}, 0.0),
        (scale(1, 5), 4, {}, 0.75),
        (interval(0, 10), 2.5, {"lower_is_better": True}, 0.75),
        (ValueType("float"), 3.0, {}, 3.0),
        (ValueType("float"), 3.0, {"lower_is_better": True}, -3.0),
        (ValueType("float"), 3.0, {"low": 1, "high": 5}, 0.5),
        (ValueType("float"), 9.0, {"low": 1, "high": 5}, 1.0),
        (None, True, {}, 1.0),
        (None, "words", {}, None),
        (
            ValueType("nominal", ("yes", "no"), optional=True),
            NOT_APPLICABLE,
            {"scores": {"yes": 1, "no": 0}},
            None,
        ),
    ],
)
def test_a_verdict_is_worth_what_its_scale_says(kind, value, objective, score):
    assert worth(kind, value, **objective) == score


@pytest.mark.parametrize(
    ("kinds", "objectives", "says"),
    [
        ([categories("a", "b")], {}, "not known which verdicts"),
        ([ValueType("text")], {}, "not known which verdicts"),
        ([BOOL], {"k": 1.0}, "names no judge"),
        ([BOOL], {"j": 0.0}, "weight"),
        ([BOOL], {"j": float("nan")}, "weight"),
        ([BOOL], {"j": Objective(weight=0, must_not_fall=True)}, "weight 0"),
        ([categories("a", "b")], {"j": Objective(scores={"a": 1.0})}, "'b' has no score"),
        ([categories("a", "b")], {"j": Objective(scores={"a": 1.0, "b": 2.0})}, "not in 0 to 1"),
        ([BOOL, ValueType("float")], {}, "without bounds"),
    ],
)
def test_what_cannot_be_climbed_is_refused(kinds, objectives, says):
    with pytest.raises(UsageError, match=says):
        aims_of([Scorer(kind, "j" if n == 0 else f"j{n}") for n, kind in enumerate(kinds)], objectives)


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=4), st.data())
def test_a_row_has_a_score_where_every_judge_has_one(scores, data):
    weights = [data.draw(st.floats(0.1, 10)) for _ in scores]
    aims = [Aim(f"j{n}", BOOL, Objective(weight=one), True) for n, one in enumerate(weights)]
    found = combined(scores, aims)
    if None in scores:
        assert found is None
    else:
        assert min(scores) - 1e-9 <= found <= max(scores) + 1e-9


def test_no_verdict_is_worth_nothing_and_not_zero():
    (aim,) = aims_of([Scorer(BOOL)], None)
    assert aim.score(Unscored("unparseable")) is None
