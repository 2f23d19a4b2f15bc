"""Prompts in the registry: versions, aliases, rendering, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt import (
    load_prompt,
    register_prompt,
    search_prompts,
    set_prompt_alias,
    use_store,
)
from judge_opt.core.errors import IntegrityError, NotFound, TemplateError, UsageError
from judge_opt.prompts import delete_prompt_alias, diff_prompts, list_prompt_versions, set_prompt_tag
from judge_opt.prompts.prompt import parse_reference
from judge_opt.prompts.template import check_template, pieces, render, repaired, variables_of
from judge_opt.registry import Registry

CHAT = [
    {"role": "system", "content": "You answer in {{ language }}."},
    {"role": "user", "content": "{{ question }}"},
]


@pytest.fixture(autouse=True)
def store(tmp_path):
    with use_store(tmp_path / "lab.db") as store:
        yield store


def test_versions_aliases_and_addresses():
    first = register_prompt("qa", "Answer {{ question }}", "first words", {"team": "support"})
    assert (first.uri, first.version, first.commit_message) == ("prompts:/qa/1", 1, "first words")
    assert first.variables == {"question"}
    assert register_prompt("qa", "Answer {{ question }}").version == 1
    second = register_prompt("qa", "Answer briefly: {{ question }}", alias="production")
    assert second.aliases == ("production",)
    assert load_prompt("qa").version == 2
    assert load_prompt("qa", 1).template == load_prompt("prompts:/qa/1").template == first.template
    assert load_prompt("prompts:/qa@production").version == 2
    set_prompt_alias("qa", "production", 1)
    assert load_prompt("prompts:/qa@production") == load_prompt("qa", "production")
    assert load_prompt("prompts:/qa@production").version == 1
    assert load_prompt("prompts:/qa@latest").version == load_prompt("prompts:/qa").version == 2
    delete_prompt_alias("qa", "production")
    with pytest.raises(NotFound, match="no alias 'production'"):
        load_prompt("prompts:/qa@production")
    set_prompt_tag("qa", 1, "eval", "done")
    assert load_prompt("qa", 1).tags == {"team": "support", "eval": "done"}
    assert [one.version for one in list_prompt_versions("qa")] == [1, 2]
    register_prompt("summary", CHAT)
    assert [one.name for one in search_prompts()] == ["qa", "summary"]
    assert [one.name for one in search_prompts("sum")] == ["summary"]
    assert diff_prompts("qa", 1, 2) == [
        "changed template: 'Answer {{ question }}' -> 'Answer briefly: {{ question }}'"
    ]


def test_a_missing_prompt_is_an_error_that_names_the_near_one():
    register_prompt("support", "Hello {{ name }}")
    with pytest.raises(NotFound, match="support"):
        load_prompt("prompts:/suport/1")
    assert load_prompt("prompts:/suport/1", allow_missing=True) is None
    with pytest.raises(UsageError, match="names a version"):
        load_prompt("prompts:/support/1", 2)


def test_a_chat_is_rendered_message_by_message_and_its_change_told_in_words():
    chat = register_prompt("chat", CHAT)
    assert not chat.is_text_prompt
    assert chat.variables == {"language", "question"}
    assert chat.format(language="French", question="{{ language }}?") == [
        {"role": "system", "content": "You answer in French."},
        {"role": "user", "content": "{{ language }}?"},
    ]
    register_prompt("chat", [CHAT[0] | {"content": "Be brief, in {{ language }}."}, CHAT[1]])
    (change,) = diff_prompts("chat", 1, 2)
    assert change.startswith("changed template[0].content")


def test_variables_are_checked_by_name():
    prompt = register_prompt("qa", "{{ question }} {{ context }}")
    with pytest.raises(UsageError, match="'qa' version 1 needs context"):
        prompt.format(question="?")
    with pytest.raises(UsageError, match="no variable 'contxt'"):
        prompt.format(question="?", context="", contxt="")


def test_braces_that_hold_no_name_are_text():
    text = 'Answer as {"a": {"b": 1}} or {{"x": {{ x }}}} and {{ not a name }}: {{question}}'
    assert variables_of(text) == {"x", "question"}
    assert render(text, {"x": "1", "question": "Q"}, "it") == (
        'Answer as {"a": {"b": 1}} or {{"x": 1}} and {{ not a name }}: Q'
    )
    assert render('{{ "{{" }} x {{ "}}" }}', {}, "it") == "{{ x }}"


def test_values_that_are_no_text_are_written_as_json():
    assert render("{{ a }}|{{ b }}", {"a": [1, "x"], "b": 3}, "it") == '[\n 1,\n "x"\n]|3'


@given(st.text(), st.text())
def test_what_stands_in_a_value_is_never_read(a, b):
    assert render("{{ a }}-{{ b }}", {"a": a, "b": b}, "it").count("-") == 1 + a.count("-") + b.count("-")
    value = "{{ b }}" + a
    assert (
        value.encode("utf-8", "backslashreplace").decode()
        in render("<{{ a }}>{{ b }}", {"a": value, "b": "B"}, "it")
        .encode("utf-8", "backslashreplace")
        .decode()
    )


@given(st.text() | st.text(alphabet='{} "abc\n'), st.sets(st.sampled_from(["a", "b", "question"])))
def test_a_rewritten_text_has_its_variables_or_is_refused(text, names):
    made = repaired(text, frozenset(names))
    assert made is None or variables_of(made) == names
    assert "".join(piece for piece, _ in pieces(text)) == text


def test_a_rewritten_text_is_put_right():
    assert repaired("Be kind.", frozenset({"q"})) == "Be kind.\n\nq: {{ q }}"
    made = repaired("Be {{ mood }} to {{ q }}", frozenset({"q"}))
    assert render(made, {"q": "Q"}, "it") == "Be {{ mood }} to Q"
    assert repaired("a\u202eb\u200bc\x07", frozenset()) == "abc"
    assert repaired(" \u200b ", frozenset({"q"})) is None


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ([], "cannot be"),
        (3, "cannot be"),
        ([{"role": "robot", "content": "x"}], "role 'robot'"),
        ([{"role": "user", "content": ["x"]}], "no text"),
        ([{"role": "user", "content": "x", "name": "y"}], "3 fields"),
        ("{{ inputs.question }}", "is a path"),
    ],
)
def test_what_is_no_template_is_refused(template, says):
    with pytest.raises(TemplateError, match=says):
        check_template(template)


@pytest.mark.parametrize(
    "reference", ["prompts:/", "prompts:/a/b/c", "prompts:/a@b@c", "prompts:/a/production"]
)
def test_what_is_no_address_is_refused(reference):
    with pytest.raises(UsageError):
        parse_reference(reference)


def test_a_bundle_carries_a_prompt_and_a_foreign_payload_is_no_prompt(tmp_path, store):
    prompt = register_prompt("qa", "Answer {{ question }}", tags={"a": "b"})
    Registry(store).export_bundle("prompt", "qa", 1, tmp_path / "bundle")
    other = Registry(tmp_path / "other.db")
    other.import_bundle(tmp_path / "bundle")
    loaded = load_prompt("prompts:/qa/1", registry=other)
    assert (loaded.template, loaded.content_hash) == (prompt.template, prompt.content_hash)
    other.register("prompt", "odd", {"text": "x"})
    with pytest.raises(IntegrityError, match="holds no template"):
        load_prompt("odd", registry=other)
