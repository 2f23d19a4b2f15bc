"""What a verdict can be: normalized only where the meaning is certain."""

import pytest

from judge_opt.core.errors import DataError, TemplateError
from judge_opt.core.hashing import canonical_json, content_hash
from judge_opt.core.values import BOOL, ValueType, categories, majority, ordered, scale

GRADES = ordered("poor", "needs_improvement", "good", "excellent")


@pytest.mark.parametrize(
    ("value_type", "reply", "value"),
    [
        (BOOL, "**Yes.**", True),
        (BOOL, "FALSE", False),
        (BOOL, True, True),
        (BOOL, " pass ", True),
        (GRADES, "Needs improvement", "needs_improvement"),
        (GRADES, '"Excellent"', "excellent"),
        (categories("A", "B"), "`a`", "A"),
        (scale(0, 10), "8/10", 8),
        (scale(0, 10), "8 out of 10", 8),
        (scale(1, 5), 4.0, 4),
        (scale(1, 5), "4.0", 4),
        (ValueType("float", low=0, high=1), ".5", 0.5),
        (ValueType("int"), "-3", -3),
        (ValueType("text"), "any text", "any text"),
    ],
)
def test_certain_replies_are_read(value_type, reply, value):
    assert value_type.read(reply) == value
    assert type(value_type.read(reply)) is type(value)


@pytest.mark.parametrize(
    ("value_type", "reply"),
    [
        (BOOL, "MAYBE"),
        (BOOL, "yes and no"),
        (BOOL, None),
        (BOOL, 2),
        (GRADES, "goodish"),
        (GRADES, "good or excellent"),
        (GRADES, ["good"]),
        (scale(1, 5), "8/10"),
        (scale(1, 5), "7"),
        (scale(1, 5), "4.5"),
        (scale(1, 5), "NaN"),
        (scale(1, 5), float("inf")),
        (scale(0, 10), "8/5"),
        (ValueType("float"), float("nan")),
        (ValueType("int"), "seven"),
    ],
)
def test_doubtful_replies_are_refused(value_type, reply):
    with pytest.raises(ValueError, match=r"\w"):
        value_type.read(reply)


def test_a_bad_label_names_the_item_the_label_and_the_nearest():
    with pytest.raises(DataError, match=r"row 3: label 'exellent'.*Did you mean 'excellent'"):
        GRADES.check_label("exellent", "row 3")


@pytest.mark.parametrize("labels", [("a",), ("a", "A"), ("", "b")])
def test_impossible_label_sets_are_refused(labels):
    with pytest.raises(TemplateError):
        categories(*labels)


def test_choices_of_a_short_range_can_be_listed_and_of_a_long_one_not():
    assert scale(1, 3).choices() == ("1", "2", "3")
    assert scale(0, 100).choices() == ()


@pytest.mark.parametrize("value_type", [BOOL, GRADES, categories("x", "y"), scale(1, 5), ValueType("float")])
def test_value_types_round_trip_as_json(value_type):
    assert ValueType.from_json(value_type.to_json()) == value_type


def test_a_tie_is_no_majority():
    assert majority(["a", "b"]) is None
    assert majority([]) is None
    assert majority(["a", "b", "b"]) == "b"


def test_canonical_json_refuses_nan_and_takes_lone_surrogates():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})
    assert content_hash({"b": 1, "a": "\ud800"}) == content_hash({"a": "\ud800", "b": 1})
