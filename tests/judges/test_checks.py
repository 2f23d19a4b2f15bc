"""Checks: judges whose verdict is found by code."""

import asyncio
import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.align.memalign import MemAlign
from judge_opt.core.errors import IntegrityError, TemplateError, UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import scale
from judge_opt.judges.checks import (
    PII,
    CodeCheck,
    ContainsAll,
    ContainsAny,
    ExactMatch,
    JSONValid,
    Length,
    RegexMatch,
    ResponseLength,
    ToolCallEquality,
    check,
)
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.judge import Judge
from judge_opt.judges.jury import make_jury
from judge_opt.judges.stored import dump_judge, load_judge, read_judge, save_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0}, "id": {"type": "string", "pattern": "^[A-Z]+$"}},
    "required": ["n"],
    "additionalProperties": False,
}
SHIPPED = [
    RegexMatch("^Answer: {{ inputs }}?", "fullmatch", case_insensitive=True, timeout=0.5),
    Length(3, 10, "words", field="outputs.reply", name="short"),
    ContainsAll(["{{", "b"], case_sensitive=True),
    ContainsAny("x"),
    ExactMatch(ignore_case=True, field="outputs", expected="expectations.gold"),
    JSONValid(SCHEMA, description="Right?"),
    PII(["email", "ssn"]),
    ToolCallEquality(ordered=True, ignore_failed=True, field="outputs"),
]


def value(judge, outputs, **fields):
    return judge(outputs=outputs, **fields).value


# -- a check is a judge --------------------------------------------------------------------------------------


def test_a_check_needs_no_session_no_model_and_leaves_no_call(tmp_path):
    with Session(tmp_path / "home", run_id="r") as session, use_session(session):
        feedback = RegexMatch("b+")(outputs="abbb")
        assert session.store.summary("r") == []
    assert (feedback.value, feedback.error) == ("yes", None)
    assert (feedback.source.source_type, feedback.source.source_id) == ("CODE", "regex_match")
    assert feedback.metadata["span"] == [1, 4]
    assert isinstance(feedback.result, Scored)
    with pytest.raises(UsageError, match="asks no model"):
        RegexMatch("b").lm()


def test_a_check_runs_in_batches_and_in_an_event_loop():
    judge = Length(max_length=3)
    items = [{"outputs": "x" * n} for n in range(7)]
    expected = ["yes"] * 4 + ["no"] * 3
    seen = []
    assert [f.value for f in judge.batch(items, progress=lambda done, of: seen.append(of))] == expected
    assert len(seen) == 7
    assert [f.value for f in asyncio.run(judge.abatch(items))] == expected
    assert asyncio.run(judge.acall(outputs="xx")).value == "yes"


def test_a_missing_field_is_no_verdict():
    assert Length(max_length=3)(inputs="x").error.startswith("missing_input")
    assert ExactMatch()(outputs="x", expectations={"other": 1}).error.startswith("missing_input")


@pytest.mark.parametrize("judge", SHIPPED, ids=[j.shipped[0] for j in SHIPPED])
def test_a_shipped_check_survives_a_file_and_a_copy(judge, tmp_path):
    save_judge(judge, tmp_path / "check")
    stored = read_judge(tmp_path / "check")
    assert type(stored) is CodeCheck
    assert dump_judge(stored) == dump_judge(judge)
    made = '{"n": 1}'
    item = {
        "outputs": {"reply": made, "tool_calls": []}
        if judge.template.variables[0].name != "outputs"
        else made,
        "expectations": {"gold": made, "expected_tool_calls": []},
    }
    said = [one(**item).result for one in (judge, stored, copy.deepcopy(judge), judge.deepcopy())]
    assert isinstance(said[0], Scored)
    assert said == [said[0]] * 4
    assert judge.named_predictors() == []
    assert "CodeCheck" in repr(judge)


def test_a_file_names_no_code_of_its_own():
    state, blobs = dump_judge(RegexMatch("a"))
    with pytest.raises(IntegrityError, match="does not exist here"):
        load_judge({**state, "extra": {"check": "os.system", "arguments": {}}}, blobs)
    other = {**state, "extra": {"check": "RegexMatch", "arguments": {"pattern": "b"}}}
    with pytest.raises(IntegrityError, match="comes out differently"):
        load_judge(other, blobs)


def test_checks_sit_on_a_jury_with_others():
    @check(value_type=Length(1).value_type)
    def polite(outputs):
        return "yes" if "please" in outputs else "no"

    jury = make_jury("both", [Length(max_length=20), polite, ContainsAny(["door"])])
    feedback = jury(outputs="the door, please, and quickly")
    assert feedback.value == "yes"
    assert [j["value"] for j in feedback.metadata["jurors"]] == ["no", "yes", "yes"]


def test_alignment_fuses_a_check_with_what_labels_say_and_buys_no_model_call(tmp_path, monkeypatch):
    """The check looks for 'please'; the raters care for thanks, which the embedding shows."""

    def embed(text):
        return [1.0 if "thank" in text else -1.0, 0.3 if "please" in text else -0.3, len(text) % 7 / 50]

    rows = []
    for i in range(40):
        text = f"Row {i} {'please' if i % 2 else ''} {'thank you' if i % 4 < 2 else ''}"
        label = "yes" if "thank" in text else "no"
        rows.append(LabelledExample(f"r{i:02}", f"g{i:02}", {"outputs": text}, (Vote("ann", label),)))
    judge = ContainsAll("please")
    with FaultServer(embed=embed) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with Session(tmp_path / "home") as session, use_session(session):
            result = MemAlign(embedder="openai:/embed").align(judge, rows)
            assert result.changed
            assert any("asks no model" in warning for warning in result.warnings)
            aligned = load_judge(*dump_judge(result.judge))
            new = [{"outputs": "thank you kindly"}, {"outputs": "please do it"}]
            assert [f.value for f in judge.batch(new)] == ["no", "yes"]
            assert [f.value for f in aligned.batch(new)] == ["yes", "no"]
        assert server.completions == 0


# -- functions of one's own ----------------------------------------------------------------------------------


def test_a_function_becomes_a_judge():
    @check
    def cites_a_source(outputs: str) -> bool:
        """Does the reply name a source?

        More of it.
        """
        return "http" in outputs

    assert isinstance(cites_a_source, Judge)
    assert cites_a_source.name == "cites_a_source"
    assert cites_a_source.description == "Does the reply name a source?"
    assert cites_a_source(outputs="see http://x").value is True
    assert value(cites_a_source, "see x") is False


def test_a_function_may_give_reasons_or_a_whole_feedback():
    @check(value_type=scale(1, 5), name="stars", description="Mine")
    def rated(outputs, expectations=None):
        if outputs == "whole":
            return Feedback(Scored(2, rationale="whole"))
        if outputs == "none":
            return Unscored("refused", "not today")
        return (5, "given") if expectations else (1, None)

    assert (rated.name, rated.description) == ("stars", "Mine")
    assert (value(rated, "x"), value(rated, "x", expectations={"a": 1})) == (1, 5)
    assert rated(outputs="x", expectations={"a": 1}).rationale == "given"
    assert rated(outputs="whole").rationale == "whole"
    assert rated(outputs="none").error == "refused: not today"


def test_what_a_function_raises_or_returns_wrongly_is_no_verdict():
    @check(value_type=scale(1, 5))
    def odd(outputs):
        return {"big": 6, "none": None, "words": "four and a half", "zero": 1 / len(outputs)}[outputs]

    assert odd(outputs="").error.startswith("call_failed: odd raised ZeroDivisionError")
    assert odd(outputs="new").error.startswith("call_failed: odd raised KeyError")
    for said in ("big", "none", "words"):
        assert odd(outputs=said).error.startswith("out_of_set")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda output: True, "Did you mean 'outputs'"),
        (lambda: True, "no parameter"),
        (lambda **outputs: True, "no field"),
        (lambda *outputs: True, "no field"),
        (lambda outputs: True, "does not say what its verdict"),
    ],
)
def test_a_function_that_cannot_be_a_check_is_refused(function, message):
    with pytest.raises(UsageError, match=message):
        check(function)


def test_a_coroutine_and_an_unknown_type_are_refused():
    async def later(outputs) -> bool:
        return True

    with pytest.raises(UsageError, match="coroutine"):
        check(later)
    with pytest.raises(TemplateError):
        check(value_type=object)(lambda outputs: True)


def test_a_function_of_ones_own_is_copied_but_not_stored(tmp_path):
    @check
    def mine(outputs: str) -> tuple[bool, str]:
        return bool(outputs), "looked"

    assert copy.deepcopy(mine)(outputs="x").rationale == "looked"
    with pytest.raises(UsageError, match=r"function of your own.*Keep it in your code"):
        save_judge(mine, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


# -- texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "yes", "no"),
    [
        (RegexMatch("^Answer:"), "Answer: 42", "The answer: 42"),
        (RegexMatch("[0-9]+", "fullmatch"), "42", "42 "),
        (RegexMatch("answer", case_insensitive=True), "ANSWER", "ANSWR"),
        (Length(2, 4), "abcd", "abcde"),
        (Length(2), "ab", "a"),
        (Length(max_length=2, unit="words"), "one  two\n", "one two three"),
        (Length(2, 2, "sentences"), "One. And two!", "Only 3.5 metres long."),
        (Length(2, 2, "sentences"), "第一句。第二句。", "只有一句。"),
        (Length(0, 0), "", " "),
        (ContainsAll(["Refund", "14 days"]), "refund within 14\ndays", "a refund"),
        (ContainsAny(["refund", "credit"]), "Store CREDIT", "nothing"),
        (ContainsAll("Ａ"), "a", "b"),
        (ContainsAll("A", case_sensitive=True), "A", "a"),
        (RegexMatch('"n": 3'), {"n": 3}, {"n": 4}),
    ],
)
def test_text_checks(judge, yes, no):
    assert (value(judge, yes), value(judge, no)) == ("yes", "no")
    assert judge(outputs=no).rationale


@pytest.mark.parametrize(
    ("options", "outputs", "gold", "expected"),
    [
        ({}, "Paris", "Paris", "yes"),
        ({}, "Paris ", "Paris", "no"),
        ({"ignore_white_space": True}, " New  York\n", "New York", "yes"),
        ({"ignore_case": True}, "PARIS", "paris", "yes"),
        ({"ignore_case": True}, "PARIS ", "paris", "no"),
        ({}, 4, 4.0, "yes"),
        ({}, 1, True, "no"),
        ({}, "4", 4, "no"),
        ({}, {"a": [1, 2.0]}, {"a": [1.0, 2]}, "yes"),
        ({}, {"a": [1, 2]}, {"a": [2, 1]}, "no"),
        ({}, {"a": 0}, {"a": False}, "no"),
    ],
)
def test_exact_match(options, outputs, gold, expected):
    assert value(ExactMatch(**options), outputs, expectations={"expected_response": gold}) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RegexMatch("("),
        lambda: RegexMatch("a", "match"),
        lambda: RegexMatch("a", timeout=0),
        lambda: Length(),
        lambda: Length(3, 2),
        lambda: Length(-1),
        lambda: Length(1, unit="lines"),
        lambda: ContainsAll([]),
        lambda: ContainsAny(["a", " "]),
        lambda: ExactMatch(field="outputs", expected="outputs"),
        lambda: JSONValid({"type": "no such type"}),
        lambda: JSONValid({"patternProperties": {"(a+)+$": {}}}),
        lambda: RegexMatch("a", field="output"),
        lambda: RegexMatch("a", name="../x"),
        lambda: ToolCallEquality(field="expectations", expected="expectations"),
        lambda: PII(["name"]),
        lambda: PII([]),
        lambda: PII(region="XX"),
    ],
)
def test_impossible_arguments_are_refused_when_the_check_is_made(wrong):
    with pytest.raises(UsageError) as refused:
        wrong()
    assert refused.value.remedy


def test_a_catastrophic_pattern_ends_in_time_and_without_a_verdict():
    began = time.monotonic()
    feedback = RegexMatch(r"^(a|aa)+$", timeout=0.2)(outputs="a" * 5000 + "!")
    assert feedback.error.startswith("timeout")
    schema = JSONValid({"type": "string", "pattern": r"^(a|aa)+$"})(outputs=json.dumps("a" * 5000 + "!"))
    assert schema.error.startswith("timeout")
    assert time.monotonic() - began < 60


def test_mlflows_names_are_there():
    assert ResponseLength(min_length=10, max_length=500)(outputs="A short but valid answer.").value == "yes"


# -- JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"n": 3}', "yes"),
        ('{"n": 3, "id": "AB"}', "yes"),
        ({"n": 3}, "yes"),
        ('{"n": -1}', "no"),
        ('{"n": 3.5}', "no"),
        ('{"n": 3, "id": "ab"}', "no"),
        ('{"n": 3, "more": 1}', "no"),
        ('{"n": NaN}', "no"),
        ("{'n': 3}", "no"),
        ('```json\n{"n": 3}\n```', "no"),
        ('{"n": 3} {"n": 4}', "no"),
        ("", "no"),
    ],
)
def test_json_with_a_schema(text, expected):
    feedback = JSONValid(SCHEMA)(outputs=text)
    assert (feedback.value, feedback.error) == (expected, None)


def test_json_without_a_schema_and_too_deep_to_read():
    assert value(JSONValid(), "[1, null]") == "yes"
    assert value(JSONValid(), "[1,]") == "no"
    deep = JSONValid()(outputs="[" * 200_000 + "]" * 200_000)
    assert deep.error is None or deep.error.startswith("too_long")
    assert JSONValid()(outputs="9" * 5000).error.startswith("too_long")


def test_a_schema_fetches_nothing():
    with FaultServer() as server:
        schema = {"$ref": f"{server.base_url}/schema.json"}
        feedback = JSONValid(schema)(outputs="{}")
        assert feedback.error.startswith("call_failed")
        assert server.requests == []


# -- hostile texts -------------------------------------------------------------------------------------------

HOSTILE = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)


@settings(deadline=None)
@given(HOSTILE | st.recursive(st.none() | st.booleans() | st.floats() | HOSTILE, st.lists, max_leaves=5))
def test_no_text_makes_a_shipped_check_raise(anything):
    item = {"outputs": anything, "expectations": {"gold": anything, "expected_tool_calls": anything}}
    for judge in SHIPPED:
        said = judge(**item)
        assert (said.value in ("yes", "no")) is (said.error is None)
        json.dumps(said.metadata)
