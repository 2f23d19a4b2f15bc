"""What a verdict can be: normalized only where the meaning is certain."""

import json
from dataclasses import replace
from enum import Enum
from typing import Annotated, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from judge_opt.core.errors import DataError, TemplateError
from judge_opt.core.hashing import canonical_json, content_hash
from judge_opt.core.results import NOT_APPLICABLE
from judge_opt.core.values import (
    BOOL,
    ValueType,
    categories,
    interval,
    majority,
    ordered,
    preference,
    scale,
)

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


class Verdict(BaseModel):
    grade: int = Field(ge=1, le=5)
    reasons: list[str] = []


class Mood(Enum):
    GLAD = "glad"
    SAD = "sad"


DECLARED = [
    (bool, "bool", "nominal"),
    (Literal["yes", "no"], "nominal", "nominal"),
    (Literal[1, 2, 3], "int", "ordered"),
    (Annotated[int, Field(ge=0, le=10)], "int", "ordered"),
    (Annotated[float, Field(ge=0, le=1)], "float", "numeric"),
    (Mood, "nominal", "nominal"),
    (int, "int", "numeric"),
    (str, "text", "free"),
    (dict[str, int], "json", "free"),
    (list[str], "json", "free"),
    (dict, "json", "free"),
    (Verdict, "json", "free"),
    (bool | None, "bool", "nominal"),
    (Optional[Literal["a", "b"]], "nominal", "nominal"),  # noqa: UP045 - written so by many
    (preference("A", "B", tie="tie"), "pairwise", "nominal"),
    (interval(0, 1), "float", "numeric"),
]


@pytest.mark.parametrize(("declared", "kind", "how"), DECLARED)
def test_annotations_become_value_types_and_survive_json(declared, kind, how):
    made = ValueType.of(declared)
    assert (made.kind, made.scale) == (kind, how)
    again = ValueType.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.describe() == made.describe()


@pytest.mark.parametrize(
    "declared",
    [set, Literal["a", 1], Literal[1, 3], int | str, dict[int, str], Annotated[int, Field(gt=0)], object, 5],
)
def test_what_cannot_be_a_verdict_is_refused_with_the_list_of_what_can(declared):
    with pytest.raises(TemplateError) as error:
        ValueType.of(declared)
    assert "pydantic" in error.value.remedy


@pytest.mark.parametrize("reply", ["not applicable", "N/A", " Not Applicable ", None])
def test_not_applicable_is_a_value_of_optional_types_only(reply):
    assert ValueType.of(bool | None).read(reply) == NOT_APPLICABLE
    assert ValueType.of(Annotated[int, Field(ge=1, le=5)] | None).read(reply) == NOT_APPLICABLE
    assert ValueType.of(dict[str, int] | None).read(reply) == NOT_APPLICABLE
    with pytest.raises(ValueError, match=r"\w"):
        BOOL.read(reply)


def test_not_applicable_is_one_more_label():
    optional = ValueType.of(Annotated[int, Field(ge=1, le=3)] | None)
    assert optional.choices() == ("1", "2", "3", NOT_APPLICABLE)
    assert optional.number_of(NOT_APPLICABLE) is None
    assert optional.read("2") == 2
    with pytest.raises(TemplateError, match="besides"):
        replace(categories("yes", "n/a"), optional=True)


def test_structured_verdicts_are_checked_against_their_schema():
    counts = ValueType.of(dict[str, int])
    assert counts.read('{"a": 1}') == {"a": 1}
    assert counts.read({"a": 1}) == {"a": 1}
    for wrong in ({"a": "x"}, [1], "no json", {"a": 1.5}, '{"a": NaN}', 3):
        with pytest.raises(ValueError, match=r"\w"):
            counts.read(wrong)
    assert counts.text_of({"b": 1, "a": 2}) == counts.text_of({"a": 2, "b": 1})


def test_a_pydantic_verdict_is_its_model_and_plain_json_once_loaded():
    declared = ValueType.of(Verdict)
    assert declared.read({"grade": 3}) == Verdict(grade=3)
    with pytest.raises(ValueError, match="9"):
        declared.read({"grade": 9})
    loaded = ValueType.from_json(declared.to_json())
    assert loaded.read({"grade": 3, "reasons": ["x"]}) == {"grade": 3, "reasons": ["x"]}
    assert declared.text_of(Verdict(grade=3)) == loaded.text_of({"grade": 3, "reasons": []})


def test_a_preference_names_its_sides_and_perhaps_a_tie():
    sides = preference("1", "2", tie="tie")
    assert sides.read("**Tie**") == "tie"
    with pytest.raises(ValueError, match="not one of"):
        preference("1", "2").read("tie")
    with pytest.raises(TemplateError, match="two sides"):
        ValueType("pairwise", ("1",))


def test_votes_of_true_and_one_are_not_the_same_and_structured_ones_count():
    assert majority([True, 1, 1]) == 1
    assert majority([{"a": 1}, {"a": 1}, {"a": 2}]) == {"a": 1}
    assert majority([{"a": 1}, {"a": 2}]) is None
