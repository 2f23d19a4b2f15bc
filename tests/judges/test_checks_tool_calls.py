"""Tool calls compared by code."""

import json

import pytest

from judge_opt.judges.checks import ToolCallEquality, tool_calls_of
from judge_opt.traces.schema import Trace

TEA = {"name": "search", "arguments": {"query": "tea", "limit": 3}}
BUY = {"name": "buy", "arguments": {"id": 7}}


def span(name, arguments, *, status="OK", **attributes):
    return {
        "name": "execute_tool",
        "status": {"code": status, "message": ""},
        "attributes": {
            "openinference.span.kind": "TOOL",
            "gen_ai.tool.name": name,
            "input.value": arguments,
            **attributes,
        },
    }


def trace_of(*calls):
    return {"spans": [span(call["name"], call.get("arguments", {})) for call in calls]}


def compare(made, expected, **options):
    return ToolCallEquality(**options)(trace=made, expectations={"expected_tool_calls": expected})


@pytest.mark.parametrize(
    ("made", "expected", "ordered", "verdict"),
    [
        ([TEA, BUY], [TEA, BUY], True, "yes"),
        ([BUY, TEA], [TEA, BUY], True, "no"),
        ([BUY, TEA], [TEA, BUY], False, "yes"),
        ([TEA], [TEA, BUY], False, "no"),
        ([TEA, BUY], [TEA], False, "no"),
        ([], [], True, "yes"),
        ([], [TEA], True, "no"),
        ([TEA, TEA], [TEA], False, "no"),
        ([TEA, TEA, BUY], [TEA, BUY, BUY], False, "no"),  # as sets they would be equal
        ([TEA], [{"name": "search"}], True, "yes"),
        ([TEA], ["search"], True, "yes"),
        ([TEA], [{"name": "buy"}], True, "no"),
        ([TEA], [{"name": "search", "arguments": {"query": "tea", "limit": 3.0}}], True, "yes"),
        ([TEA], [{"name": "search", "arguments": {"query": "Tea", "limit": 3}}], True, "no"),
        ([TEA], [{"name": "search", "arguments": {"query": "tea"}}], True, "no"),
        ([TEA], [{"function": {"name": "search", "arguments": '{"limit": 3, "query": "tea"}'}}], True, "yes"),
        ([{"name": "now"}], [{"name": "now", "arguments": {}}], True, "yes"),
    ],
)
def test_calls_are_compared(made, expected, ordered, verdict):
    feedback = compare(trace_of(*made), expected, ordered=ordered)
    assert (feedback.value, feedback.error) == (verdict, None)
    assert feedback.metadata == {"made": len(made), "expected": len(expected)}


def test_an_expected_call_without_arguments_leaves_the_others_their_choice():
    other = {"name": "search", "arguments": {"query": "coffee", "limit": 3}}
    assert compare(trace_of(TEA, other), [{"name": "search"}, TEA]).value == "yes"
    assert compare(trace_of(TEA, other), [{"name": "search"}, BUY]).value == "no"


def test_the_reasons_name_what_is_missing_and_what_is_not_expected():
    said = compare(trace_of(TEA), [BUY]).rationale
    assert 'missing: buy({"id": 7})' in said
    assert "not expected: search(" in said
    assert "call 1: expected buy" in compare(trace_of(TEA), [BUY], ordered=True).rationale


def test_a_failed_call_counts_unless_told_otherwise():
    trace = {"spans": [span("buy", {"id": 7}, status="ERROR"), span("buy", {"id": 7})]}
    assert compare(trace, [BUY]).value == "no"
    assert compare(trace, [BUY], ignore_failed=True).value == "yes"


def test_calls_are_read_from_traces_and_messages_of_every_common_form():
    semantic = {
        "name": "execute_tool buy",
        "attributes": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "buy",
            "gen_ai.tool.call.arguments": '{"id": 7}',
        },
    }
    mlflow = {"name": "buy", "span_type": "TOOL", "inputs": {"id": 7}}
    other = {"name": "llm", "attributes": {"openinference.span.kind": "LLM"}}
    for one in (semantic, mlflow):
        (call,) = tool_calls_of(Trace(spans=[one, other]))
        assert (call.name, call.arguments) == ("buy", {"id": 7})
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "buy", "arguments": '{"id": 7}'}}]}
    for value in (message, [message], {"messages": [message]}, json.dumps([message])):
        (call,) = tool_calls_of(value)
        assert (call.name, call.arguments) == ("buy", {"id": 7})
    assert tool_calls_of("no JSON") is None


def test_calls_in_a_conversation_or_in_outputs_are_compared_too():
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "buy", "arguments": '{"id": 7}'}}]}
    wanted = {"expected_tool_calls": [BUY]}
    assert ToolCallEquality(field="outputs")(outputs=message, expectations=wanted).value == "yes"
    said = ToolCallEquality(field="conversation")(conversation=[message], expectations=wanted)
    assert said.value == "yes"


@pytest.mark.parametrize("expected", ["no list", {"name": "x"}, [7], [{}], [{"name": ""}]])
def test_expectations_that_cannot_be_read_are_no_verdict(expected):
    assert compare(trace_of(TEA), expected).error.startswith("missing_input")


@pytest.mark.parametrize(
    "spans", [None, 7, [7, None, "x"], [{"attributes": 7}], [{"name": {}, "type": "TOOL"}]]
)
def test_malformed_traces_do_not_raise(spans):
    said = compare({"spans": spans}, [BUY])
    assert said.value == "no" or said.error


def test_the_expected_calls_may_come_with_the_trace():
    trace = Trace(spans=trace_of(TEA)["spans"], expectations={"expected_tool_calls": [TEA]})
    assert ToolCallEquality()(trace=trace).value == "yes"
