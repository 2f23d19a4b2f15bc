"""`judge-opt registry alias, tag, delete, export, import`: with exit codes, and with what they leave.

In this process, for speed: that the command starts as a process of its own is tested in test_verbs.py.
"""

import pytest
from cli_helpers import Ended

from judge_opt.cli.app import run
from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.registry.judges import register


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
    for text in ("Is {{ outputs }} polite?", "Is {{ outputs }} polite, or rude?"):
        judge = make_judge(
            "tone", text, "openai:/any", categories("bad", "good"), base_url="http://127.0.0.1:9/v1"
        )
        register(judge, home=folder)
    return folder


def test_an_alias_moves_only_where_it_was_expected(judge_opt, home):
    assert judge_opt("registry", "alias", "tone", "production", "1", "--expected", "0").code == 0
    assert judge_opt("registry", "alias", "tone", "production", "2", "--expected", "0").code == 8
    assert judge_opt("registry", "alias", "tone", "production", "2", "--expected", "1", "--json").json == {
        "name": "tone",
        "alias": "production",
        "version": 2,
    }
    assert judge_opt("registry", "show", "tone@production", "--json").json["version"] == 2
    assert "points at nothing" in judge_opt("registry", "alias", "tone", "production").out
    assert judge_opt("registry", "show", "tone@production").code == 7


def test_tags_are_set_and_removed(judge_opt, home):
    assert judge_opt("registry", "tag", "tone/1", "team", "blue").out == "tone/1: tags: team=blue\n"
    assert judge_opt("registry", "show", "tone/1", "--json").json["tags"] == {"team": "blue"}
    assert judge_opt("registry", "tag", "tone/1", "team", "--json").json["tags"] == {}


def test_a_deletion_needs_a_number_and_a_reason_and_leaves_a_tombstone(judge_opt, home):
    assert judge_opt("registry", "delete", "tone/2").code == 2
    assert judge_opt("registry", "delete", "tone", "--reason", "x").code == 2
    judge_opt("registry", "alias", "tone", "production", "2")
    refused = judge_opt("registry", "delete", "tone/2", "--reason", "It was fooled.")
    assert refused.code == 8
    assert "'production' points at version 2" in refused.err
    done = judge_opt(
        "registry", "delete", "tone/2", "--reason", "It was fooled.", "--by", "ana", "--force", "--json"
    )
    assert (done.json["deleted_by"], done.json["deleted_reason"]) == ("ana", "It was fooled.")
    shown = judge_opt("registry", "show", "tone/2")
    assert shown.code == 7
    assert "by ana: It was fooled" in shown.err
    assert "tone/2 (deleted)" in judge_opt("registry", "list", "tone").out


def test_a_bundle_goes_from_home_to_home_and_its_address_is_not_believed(judge_opt, home, tmp_path):
    assert judge_opt("registry", "export", "tone/1", "bundle").code == 0
    assert judge_opt("registry", "export", "tone/1", "bundle").code == 2  # not empty any more
    imported = judge_opt("registry", "import", "bundle", "--home", "other", "--json").json
    assert (imported["version"], imported["trusted"]) == (1, False)
    judged = ["judge", "--judge", "tone", "--outputs", "Please wait.", "--home", "other"]
    refused = judge_opt(*judged)
    assert refused.code == 2
    assert "would send what it judges, and your key, to 'http://127.0.0.1:9/v1'" in refused.err
    assert "--trust-base-url" in refused.err
    assert judge_opt("registry", "import", "bundle", "--trust-base-url", "--home", "other").code == 0
    assert judge_opt(*judged).code == 4  # believed now, and nobody answers there
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    assert judge_opt("registry", "import", "bundle", "--home", "other").code == 6
