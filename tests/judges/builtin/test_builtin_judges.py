"""Built-in judges are ordinary judges: made, asked, stored, copied, compiled."""

import copy
import inspect
from importlib.resources import files

import builtin_world as world
import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import NotFound, UsageError
from judge_opt.judges.builtin import BUILT_INS, Correctness, Guidelines, built_in, builtin_cases, case_judge
from judge_opt.judges.builtin.factory import fill, prompt_file
from judge_opt.judges.judge import Judge
from judge_opt.judges.stored import dump_judge, load_judge, read_judge, save_judge
from judge_opt.judges.template import Template
from judge_opt.traces.schema import Trace

TITLES = list(BUILT_INS)
NAMES = """Completeness Correctness Equivalence ExpectationsGuidelines Fluency Guidelines RelevanceToQuery Safety
Summarization RetrievalGroundedness RetrievalRelevance RetrievalSufficiency ToolCallCorrectness ToolCallEfficiency
ConversationCompleteness ConversationalGuidelines ConversationalRoleAdherence ConversationalSafety
ConversationalToolCallEfficiency KnowledgeRetention UserFrustration"""


def test_all_of_mlflows_names_are_there():
    assert NAMES.split() == TITLES


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(NotFound, match="Did you mean 'Correctness'"):
        built_in("Corectness")


@pytest.mark.parametrize("title", TITLES)
def test_a_built_in_is_a_judge_with_one_predictor_and_mlflows_values(title):
    judge = case_judge(title, model="openai:/any")
    assert type(judge) is Judge
    assert judge.name == BUILT_INS[title].name
    assert judge.description
    labels = ("none", "resolved", "unresolved") if title == "UserFrustration" else ("yes", "no")
    assert judge.value_type.choices() == labels
    assert [name for name, _ in judge.named_predictors()] == ["predict"]
    assert isinstance(judge.predict, dspy.Predict)


@pytest.mark.parametrize("title", TITLES)
def test_every_prompt_has_a_header_and_says_what_each_verdict_means(title):
    name = BUILT_INS[title].name
    text = files("judge_opt.judges.builtin").joinpath(f"prompts/{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"<!-- {title}: ")
    prompt = prompt_file(name)
    assert "<!--" not in prompt
    last = prompt.splitlines()[-1]
    assert last.startswith("Verdict: ")
    assert all(label in last for label in BUILT_INS[title].value_type.choices())


@pytest.mark.parametrize("title", TITLES)
def test_mlflows_arguments_are_understood(title):
    judge = case_judge(
        title,
        name="my_own",
        model="openai:/gpt",
        inference_params={"temperature": 0.5},
        description="Mine.",
        extra_headers={"X-Team": "a"},
    )
    assert (judge.name, judge.model, judge.description) == ("my_own", "openai:/gpt", "Mine.")
    assert judge.params["temperature"] == 0.5


@pytest.mark.parametrize("title", TITLES)
def test_a_built_in_survives_a_file_and_a_copy(title, server, tmp_path):
    judge = world.made(title, server)
    case = builtin_cases(title)[0]
    save_judge(judge, tmp_path / "judge")
    stored = read_judge(tmp_path / "judge", trust_base_url=True)
    assert dump_judge(stored) == dump_judge(judge)
    for other in (judge, stored, copy.deepcopy(judge), load_judge(*dump_judge(judge))):
        feedback = other(**case.fields)
        assert (feedback.value, feedback.error) == (case.expected, None)
    assert server.completions == 1
    assert feedback.source.source_type == "LLM_JUDGE"


def test_the_version_changes_with_the_wording():
    versions = {title: made.version for title, made in BUILT_INS.items()}
    assert len(set(versions.values())) == len(TITLES)
    assert all(len(version) == 12 for version in versions.values())


def test_correctness_takes_a_reference_or_facts_and_wants_one_of_them(server):
    judge = world.made("Correctness", server)
    asked = {"inputs": "q", "outputs": "a"}
    for expectations in ({"expected_response": "r"}, {"expected_facts": ["f"]}):
        assert judge.parts({**asked, "expectations": expectations})
    both = judge.parts({**asked, "expectations": {"expected_response": "r", "expected_facts": ["f"]}})
    assert list(both.values())[-1] == "r"
    missing = judge(**asked, expectations={"guidelines": "g"})
    assert missing.error.startswith("missing_input")
    assert "expected_response or expectations.expected_facts" in missing.error
    assert server.completions == 0


def test_a_trace_alone_is_enough_for_a_single_turn_judge(server):
    case = next(c for c in builtin_cases("Correctness") if c.expected == "yes")
    feedback = world.made("Correctness", server)(trace=Trace(**case.fields))
    assert feedback.value == "yes"


def test_a_session_of_traces_is_a_conversation(server):
    server.answer = lambda body: world.verdict("none")
    turns = [
        Trace(inputs={"question": "Where are you?"}, outputs="Here."),
        Trace(inputs="Thanks", outputs="!"),
    ]
    feedback = world.made("UserFrustration", server)(session=turns)
    assert feedback.value == "none"
    assert "Where are you?" in server.requests[-1].body["messages"][-1]["content"]


def test_a_judge_of_tool_calls_can_be_code(server):
    judge = BUILT_INS["ToolCallCorrectness"](should_exact_match=True)
    case = next(c for c in builtin_cases("ToolCallCorrectness") if c.id == "other-order")
    feedback = judge(**case.fields)
    assert feedback.value == "yes"
    assert feedback.source.source_type == "CODE"
    strict = BUILT_INS["ToolCallCorrectness"](should_exact_match=True, should_consider_ordering=True)
    assert strict(**case.fields).value == "no"
    assert server.completions == 0
    with pytest.raises(UsageError, match="asks no model, but got model"):
        BUILT_INS["ToolCallCorrectness"](should_exact_match=True, model="openai:/gpt")


def test_whether_the_order_of_calls_counts_is_said():
    made = BUILT_INS["ToolCallCorrectness"]
    texts = [made(should_consider_ordering=ordered).instructions for ordered in (True, False)]
    assert "The order of the calls counts" in texts[0]
    assert "The order of the calls does not count" in texts[1]


@pytest.mark.parametrize("wrong", [[], [""], "  ", "\x00", [1], ["a", None], None, 7])
@pytest.mark.parametrize("made", [Guidelines, BUILT_INS["ConversationalGuidelines"]])
def test_guidelines_without_a_rule_are_refused(made, wrong):
    with pytest.raises(UsageError, match=f"{made.title} needs at least one guideline"):
        made(guidelines=wrong)


@pytest.mark.parametrize("made", [Guidelines, BUILT_INS["ConversationalGuidelines"]])
def test_guidelines_that_were_forgotten_are_asked_for(made):
    with pytest.raises(UsageError, match=r'Pass guidelines="..." or guidelines='):
        made(name="mine")


@settings(deadline=None)
@given(st.lists(st.text(alphabet='{}[]"ab\n <>/`') | st.text(), min_size=1, max_size=3))
def test_no_guideline_is_read_as_a_template_or_ends_its_item(rules):
    if not all(rule.strip() for rule in rules):
        return
    try:
        judge = Guidelines(guidelines=rules)
    except UsageError:
        assert not all(any(c.isprintable() and not c.isspace() for c in rule) for rule in rules)
        return
    assert [v.name for v in judge.template.variables] == ["inputs", "outputs"]
    shown = judge.template.shown()
    head, _, rest = shown.partition("these rules:\n\n")
    listed, _, tail = rest.rpartition("\n\n1. Check the rules")
    assert head
    assert tail
    starts = [line[:3] for line in listed.split("\n") if not line.startswith("    ")]
    assert starts == [f"R{i}." for i in range(1, len(rules) + 1)]


def test_a_guideline_with_a_variable_stays_text(server):
    server.answer = lambda body: world.verdict("yes")
    rule = 'Write {{ trace }} and {"a": {"b": 1}} literally; see [[guidelines]] and {{ "x" }}.'
    judge = Guidelines(guidelines=rule, model="openai:/any", base_url=server.base_url)
    assert judge(inputs="i", outputs="o").value == "yes"
    assert rule in server.requests[-1].body["messages"][0]["content"]
    assert load_judge(*dump_judge(judge)).template.shown() == judge.template.shown()


def test_slots_inside_slots_are_not_filled():
    assert Template.parse(fill("{{ outputs }} [[a]]", {"a": "[[b]]", "b": "no"})).shown() == "`outputs` [[b]]"


def test_signatures_can_be_read_by_people_and_editors():
    parameters = inspect.signature(Correctness.__call__).parameters
    assert {"name", "model", "inference_params", "base_url", "extra_headers"} <= parameters.keys()
    assert "guidelines" in inspect.signature(Guidelines.__call__).parameters


def test_dspy_evaluates_a_built_in(server):
    judge = world.made("Fluency", server)
    cases = builtin_cases("Fluency")
    rows = [judge.example(case.labelled()) for case in cases]
    score = dspy.Evaluate(
        devset=rows,
        metric=lambda row, said, *_: row.value == said.value,
        num_threads=2,
        display_progress=False,
    )(judge)
    assert score.score == 100.0


def test_dspy_compiles_a_built_in(server, tmp_path):
    judge = world.made("Equivalence", server)
    rows = [judge.example(case.labelled()) for case in builtin_cases("Equivalence")[:4]]
    teleprompter = dspy.BootstrapFewShot(
        metric=lambda row, said, *_: row.value == said.value, max_bootstrapped_demos=2, max_labeled_demos=0
    )
    compiled = teleprompter.compile(judge, trainset=rows)
    assert len(compiled.predict.demos) == 2
    compiled.save(tmp_path / "compiled")
    stored = read_judge(tmp_path / "compiled", trust_base_url=True)
    case = builtin_cases("Equivalence")[-1]
    assert stored(**case.fields).value == case.expected
    assert len(server.requests[-1].body["messages"]) == 6
