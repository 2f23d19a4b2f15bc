"""What users of MLflow's scorers write, with our import: the same names, arguments and fields."""

import builtin_world as world
import pytest

from judge_opt.judges.builtin import (
    Completeness,
    Correctness,
    Equivalence,
    ExpectationsGuidelines,
    Guidelines,
    KnowledgeRetention,
    RetrievalRelevance,
    ToolCallCorrectness,
    UserFrustration,
)
from judge_opt.judges.checks import PIIDetection, RegexMatch, ResponseLength
from judge_opt.traces.schema import Trace


@pytest.fixture
def always(server):
    """Every judge's model and address, and a server that always says yes (or none)."""
    server.answer = lambda body: world.verdict("none" if "unresolved" in str(body) else "yes")
    return {"model": "openai:/any", "base_url": server.base_url}


def test_single_turn_judges_are_called_on_inputs_outputs_and_expectations(always):
    asked = {"inputs": {"question": "What is the capital of Peru?"}, "outputs": "Lima."}
    assert Completeness(name="my_check", **always)(**asked).name == "my_check"
    assert Correctness(**always)(**asked, expectations={"expected_facts": ["Lima"]}).value == "yes"
    assert Correctness(**always)(**asked, expectations={"expected_response": "Lima"}).value == "yes"
    said = Equivalence(inference_params={"temperature": 0.0}, **always)(
        outputs=42, expectations={"expected_response": 42}
    )
    assert said.value == "yes"
    rules = {"guidelines": ["The reply must be a single word."]}
    assert ExpectationsGuidelines(**always)(**asked, expectations=rules).value == "yes"


@pytest.mark.parametrize("guidelines", ["Reply in English.", ["Reply in English.", "Be brief."]])
def test_guidelines_are_given_as_one_text_or_a_list(always, guidelines):
    judge = Guidelines(name="english", guidelines=guidelines, **always)
    assert judge(inputs={"question": "Hola?"}, outputs="Hello.").value == "yes"


def test_trace_judges_are_called_on_a_trace(always):
    retriever = {
        "name": "search",
        "attributes": {"openinference.span.kind": "RETRIEVER", "output.value": ["d"]},
    }
    tool = {"name": "lookup", "attributes": {"openinference.span.kind": "TOOL", "input.value": {"q": "d"}}}
    trace = Trace(inputs={"question": "q"}, outputs="a", spans=[retriever, tool])
    assert RetrievalRelevance(**always)(trace=trace).value == "yes"
    expected = {"expected_tool_calls": [{"name": "lookup", "arguments": {"q": "d"}}]}
    assert ToolCallCorrectness(**always)(trace=trace, expectations=expected).value == "yes"
    exact = ToolCallCorrectness(should_exact_match=True, should_consider_ordering=True)
    assert exact(trace=trace, expectations=expected).value == "yes"
    assert exact(trace=trace, expectations={"expected_tool_calls": [{"name": "other"}]}).value == "no"
    assert exact(trace=trace).error.startswith("missing_input")


def test_session_judges_are_called_on_a_session(always, server):
    session = [
        Trace(inputs={"question": "I'm Jo."}, outputs="Hi Jo!"),
        Trace(inputs="Who am I?", outputs="Jo."),
    ]
    assert KnowledgeRetention(**always)(session=session).value == "yes"
    assert UserFrustration(name="mood", **always)(session=session).value == "none"
    assert "Who am I?" in server.requests[-1].body["messages"][-1]["content"]


def test_rule_based_scorers_say_yes_and_no():
    assert RegexMatch(pattern=r"^Answer:", match_type="search")(outputs="Answer: 42").value == "yes"
    assert ResponseLength(max_length=3, unit="words")(outputs="one two three four").value == "no"
    found = PIIDetection(pii_types=["email", "phone"])(outputs="Contact ann@example.com")
    assert (found.value, "email" in found.rationale) == ("no", True)
