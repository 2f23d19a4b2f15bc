"""`judge-opt prompts`: what is registered, what changed, and where an alias points."""

import pytest
from cli_helpers import Ended

from judge_opt import load_prompt, register_prompt
from judge_opt.cli.app import run


@pytest.fixture
def judge_opt(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUDGE_OPT_HOME", raising=False)

    def call(*arguments):
        code = run(list(arguments))
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / ".judge_opt"
    folder.mkdir()
    register_prompt("support", "Answer {{ question }}", "first", home=folder)
    register_prompt("support", "Answer kindly: {{ question }}", tags={"confirmed": "false"}, home=folder)
    register_prompt("chat", [{"role": "system", "content": "Hi\x1b[31m"}], home=folder)
    return folder


def test_they_are_listed_shown_and_compared(judge_opt, home):
    listed = judge_opt("prompts", "list", "--json").json["prompts"]
    assert [(one["uri"], one["variables"]) for one in listed] == [
        ("prompts:/chat/1", []),
        ("prompts:/support/2", ["question"]),
    ]
    assert "support/1" in judge_opt("prompts", "list", "support").out
    shown = judge_opt("prompts", "show", "prompts:/support/1").out
    assert "Answer {{ question }}" in shown
    assert "first" in shown
    assert "system:\nHi\\u001b[31m" in judge_opt("prompts", "show", "chat").out
    assert judge_opt("prompts", "show", "support", "--json").json["tags"] == {"confirmed": "false"}
    assert (
        "'Answer {{ question }}' -> 'Answer kindly" in judge_opt("prompts", "diff", "support", "1", "2").out
    )
    assert judge_opt("prompts", "diff", "support", "1", "1", "--json").json["changes"] == []


def test_an_alias_is_moved_and_removed(judge_opt, home):
    assert judge_opt("prompts", "alias", "support", "production", "1").out == (
        "prompts:/support@production points at version 1.\n"
    )
    assert load_prompt("prompts:/support@production", home=home).version == 1
    assert judge_opt("prompts", "show", "support@production", "--json").json["aliases"] == ["production"]
    assert "points at nothing" in judge_opt("prompts", "alias", "support", "production").out
    assert judge_opt("prompts", "show", "support@production").code == 7


def test_what_is_not_there_is_said(judge_opt, tmp_path):
    assert "No prompt is registered" in judge_opt("prompts", "list").err
    assert judge_opt("prompts", "list", "--json").json == {"prompts": []}
    assert judge_opt("prompts", "show", "support").code == 7
    assert judge_opt("prompts", "alias", "support", "production", "1").code == 7
