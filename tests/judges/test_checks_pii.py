"""Personal data: what is found, what is not, and that its value is never repeated."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.judges.checks import PII, PIIDetection
from judge_opt.judges.checks.pii import personal_data

ALL = ("email", "iban", "credit_card", "ssn", "ip_address", "phone")

FOUND = [
    ("email", "ann@example.org"),
    ("email", "first.last+tag@mail.example.co.uk"),
    ("email", "jürgen@bücher.example"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB29NWBK60161331926819"),
    ("iban", "FR1420041010050500013M02606"),
    ("credit_card", "4111 1111 1111 1111"),
    ("credit_card", "5500-0000-0000-0004"),
    ("credit_card", "378282246310005"),
    ("credit_card", "6011000990139424"),
    ("ssn", "536-90-4399"),
    ("ip_address", "203.0.113.7"),
    ("ip_address", "2001:db8::8a2e:370:7334"),
    ("phone", "(212) 736-5000"),
    ("phone", "212-736-5000"),
    ("phone", "+1 212 736 5000"),
    ("phone", "+44 20 7946 0958"),
    ("phone", "+49 30 901820"),
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("around", ["{}", "Take {}, please.", "({})", "x: {}\n", "«{}»"])
def test_personal_data_is_found_where_it_stands(kind, value, around):
    text = around.format(value)
    (found,) = personal_data(text, ALL)
    assert found["type"] == kind
    assert text[found["start"] : found["end"]] == value


@pytest.mark.parametrize(
    "clean",
    [
        "Order 4111 1111 1111 1112 is on its way.",  # wrong check digit
        "DE89 3704 0044 0532 0130 01",  # wrong check digits
        "Invoice 123-45-678, version 1.2.3",
        "000-12-3456 and 666-12-3456",  # never given out
        "999.1.2.300",
        "It is 10:30:45 now, see std::vector",
        "call me maybe @ home",
        "Ratio 3:2, 1,234,567 users, 20.10.2024, ISBN 978-3-16-148410-0",
        "0000 0000 0000 0000",
        "The year 2023-2024 and room 101",
        "::",
        "",
    ],
)
def test_what_only_looks_like_it_is_not_taken_for_it(clean):
    assert personal_data(clean, ALL) == []


def test_the_verdict_names_kind_and_place_and_never_the_value():
    secret = "ann.example@example.org"
    feedback = PII()(outputs=f"Write to {secret} or 536-90-4399.")
    assert feedback.value == "no"
    assert feedback.metadata["spans"] == [
        {"type": "email", "start": 9, "end": 32},
        {"type": "ssn", "start": 36, "end": 47},
    ]
    said = json.dumps([feedback.rationale, feedback.metadata])
    assert "ann" not in said
    assert "4399" not in said
    assert "email at 9-32" in feedback.rationale


def test_only_the_kinds_asked_for_are_looked_for():
    text = "ann@example.org, 203.0.113.7"
    assert PII(["ip_address"])(outputs=text).metadata["spans"][0]["type"] == "ip_address"
    assert PIIDetection("credit_card")(outputs=text).value == "yes"


def test_a_number_without_country_code_is_read_in_its_region():
    assert PII(region="GB")(outputs="Ring 020 7946 0958").value == "no"
    assert PII(region="US")(outputs="Ring 020 7946 0958").value == "yes"


def test_nothing_is_found_twice():
    text = "DE89 3704 0044 0532 0130 00 BIC COBADEFFXXX, ann@203.0.113.7.example.org"
    assert [one["type"] for one in personal_data(text, ALL)] == ["iban", "email"]


def test_a_dictionary_is_searched_as_its_json():
    assert PII()(outputs={"reply": "mail ann@example.org"}).value == "no"


@pytest.mark.parametrize(
    "unit",
    ["1", "1 ", "(1", "+1-", "a", "a.", "@", "a@a.", "1.", ":", "DE89 ", "4111 ", "12-", "x12", "-", "+"],
)
def test_hostile_texts_take_time_in_proportion_to_their_length(unit):
    began = time.monotonic()
    personal_data(unit * (60_000 // len(unit)), ALL)
    assert time.monotonic() - began < 60


def test_a_text_that_is_too_long_is_not_taken_for_clean():
    assert PII()(outputs="a" * 1_000_001).error.startswith("too_long")


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(FOUND), st.text(max_size=40))
def test_spans_lie_in_the_text_in_order_and_apart(before, found, after):
    text = f"{before} {found[1]} {after}"
    spans = personal_data(text, ALL)
    ends = [0]
    for one in spans:
        assert ends[-1] <= one["start"] < one["end"] <= len(text)
        ends.append(one["end"])
