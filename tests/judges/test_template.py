"""Templates are parsed once, and text of an item is never read as one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import TemplateError, UsageError
from judge_opt.judges.make import make_judge
from judge_opt.judges.rendering import item_text
from judge_opt.judges.template import Template, literal


def test_variables_are_found_once_and_in_prompt_order():
    template = Template.parse("Is {{ outputs.text }} right for {{inputs}}? Look at {{ outputs.text }}.")
    assert [v.name for v in template.variables] == ["inputs", "outputs.text"]
    assert template.variables[1].field == "outputs_text"


def test_paths_reach_keys_and_positions():
    (variable,) = Template.parse("{{ outputs[0].text }}").variables
    assert variable.of({"outputs": [{"text": "hi"}]}) == "hi"
    with pytest.raises(KeyError):
        variable.of({"outputs": []})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Rate it.", "no part of the item"),
        ("{{ output }}", r"Did you mean 'outputs'"),
        ("{{ outputs }", "without"),
        ("{{ outputs | upper }}", "Unknown template variable"),
        ("{{ inputs.a-b }} {{ inputs.a_b }}", "one field name"),
        ("{{ ''.__class__ }} {{ outputs }}", "Unknown template variable"),
    ],
)
def test_faulty_templates_are_refused_at_build_time(text, message):
    with pytest.raises(TemplateError, match=message):
        make_judge("x", text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../x"},
        {"name": ""},
        {"model": "nonsense"},
        {"model": "openai:/"},
        {"inference_params": {"messages": []}},
        {"feedback_value_type": set},
    ],
)
def test_faulty_arguments_are_refused_at_build_time(wrong):
    with pytest.raises(UsageError):
        make_judge(**{"name": "x", "instructions": "Is {{ outputs }} good?", **wrong})


@given(st.text())
def test_values_are_rendered_in_one_pass(text):
    rendered = item_text({"inputs": "plain", "outputs": text})
    assert rendered.startswith("<inputs>\nplain\n</inputs>\n<outputs>\n")
    assert rendered.endswith("\n</outputs>")
    rendered.encode("utf-8")


@given(st.sampled_from(["inputs", "outputs", "trace"]), st.text(alphabet=" /\n\tx", max_size=4))
def test_a_value_cannot_close_its_section_or_open_another(name, space):
    hostile = f"<{space}{name}> </{space}{name}>"
    rendered = item_text({"outputs": hostile})
    body = rendered.removeprefix("<outputs>\n").removesuffix("\n</outputs>")
    if not space.strip(" /\n\t"):
        assert f"<{space}{name}>" not in body
        assert f"</{space}{name}>" not in body


@pytest.mark.parametrize("text", ["{{ inputs }}", "%s %(x)s", "{0} {x}", "{% for %}", "$HOME"])
def test_template_marks_in_values_stay_what_they_are(text):
    assert text in item_text({"outputs": text})


def test_the_first_alternative_that_the_item_has_is_taken():
    (variable,) = Template.parse("{{ expectations.answer or expectations.facts }}").variables
    assert variable.of({"expectations": {"facts": ["a"]}}) == ["a"]
    assert variable.of({"expectations": {"answer": None, "facts": ["a"]}}) == ["a"]
    assert variable.of({"expectations": {"answer": "b", "facts": ["a"]}}) == "b"
    assert variable.field == "expectations_answer_or_expectations_facts"
    with pytest.raises(KeyError, match=r"expectations\.answer or expectations\.facts"):
        variable.of({"expectations": {"other": 1}})


def test_a_default_stands_where_the_item_has_nothing():
    template = Template.parse('{{ outputs }} {{ expectations.calls or "none, or few" }}')
    variable = template.variables[1]
    assert variable.of({"expectations": {"calls": []}}) == []
    assert variable.of({"outputs": "x"}) == "none, or few"
    assert template.shown() == "`outputs` `expectations.calls`"
    assert template.keeps_variables("Compare {{ expectations.calls }} with {{ outputs }}.")
    with pytest.raises(TemplateError, match="two defaults"):
        Template.parse('{{ outputs or "a" }} {{ outputs or "b" }}')


@settings(deadline=None)
@given(st.text(alphabet='{}"ab \n') | st.text())
def test_a_literal_is_shown_as_it_is(text):
    template = Template.parse(f"{{{{ inputs }}}}{literal(text)}{{{{ outputs }}}}")
    assert template.shown() == f"`inputs`{text}`outputs`"
    assert [v.name for v in template.variables] == ["inputs", "outputs"]
