"""`judge-opt memory`: what is shown, explained and changed; a change is a new version, with its reason."""

import json
import shutil
import sys

import alignment_world as world
import pytest
from cli_helpers import ROOT, Ended

from judge_opt.align.memalign import MemAlign
from judge_opt.cli.app import run
from judge_opt.judges.stored import save_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.session import Session, use_session
from judge_opt.registry.judges import get_judge, list_versions, register
from judge_opt.testing.fault_server import FaultServer

OTHER = "Polite words do not matter for the verdict at all here."


def rows():
    """Rated by ann; every third by bo, too."""
    for i, r in enumerate(world.rows(40)):
        more = (Vote("bo", r.gold, None, f"b{i}"),) if i % 3 == 0 else ()
        yield LabelledExample(r.id, r.group, r.fields, (*r.votes, *more))


@pytest.fixture(scope="module")
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture(scope="module")
def learned(server, tmp_path_factory):
    """A home with one version of a judge that has learned."""
    home = tmp_path_factory.mktemp("learned") / ".judge_opt"
    with Session(home) as session, use_session(session):
        judge = MemAlign(embedder="openai:/embed").align(world.judge(server), list(rows())).judge
        register(judge, home=home, alias="production", tags={"team": "x"})
    return home


@pytest.fixture
def home(learned, tmp_path):
    return shutil.copytree(learned, tmp_path / ".judge_opt")


@pytest.fixture
def memory(home, tmp_path, monkeypatch, capfd):
    """`memory("show", "dated")`, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("JUDGE_OPT_HOME", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    capfd.readouterr()

    def call(*arguments):
        code = run(["memory", *arguments])
        return Ended(code, *capfd.readouterr())

    return call


def words(text):
    return " ".join(text.split())


def states(home, version=None):
    return {
        g.text: ("pinned" if g.pinned else g.state)
        for g in get_judge("dated", version, home=home).memory.guidelines
    }


def change_of(home, version):
    return list_versions("dated", home=home)[version - 1].lineage["change"]


def test_show_tells_guidelines_with_their_worth_and_what_else_was_learned(memory):
    told = memory("show", "dated")
    assert told.code == 0
    assert all(len(line) <= 80 for line in told.out.splitlines())
    said = words(told.out)
    assert "dated/1 (production)" in said
    assert f"1 active {world.RULE}" in said
    assert f"2 retired {OTHER}" in said
    assert "stands on 40 examples, 54 labels by ann, bo" in said
    assert "raters: ann 40, bo 14 labels" in said
    assert "fusion: pooled by weight: classifier" in said
    shown = memory("show", "dated@production", "--json").json["memory"]
    first = shown["guidelines"][0]
    assert (first["number"], first["state"], first["leads_to"]) == (1, "active", "good")
    assert first["worth"] > 0
    assert len(first["assessments"]) == 54
    assert shown["examples"]["count"] == 40
    assert shown["embedder"]["weights"] == {"outputs": 1.0}
    assert set(shown["fusion"]) == {"judge", "neighbours", "classifier"}


def test_show_reads_a_folder_and_an_untouched_judge(memory, home, server, tmp_path):
    save_judge(get_judge("dated", home=home), tmp_path / "saved")
    assert world.RULE in words(memory("show", "saved").out)
    register(world.judge(server), home=home)
    told = memory("show", "dated")
    assert (told.code, told.out) == (0, "")
    assert "dated/2 has learned nothing" in told.err
    assert memory("show", "dated", "--json").json == {"judge": "dated/2", "memory": None}


def test_an_item_is_explained_by_file_and_by_fields(memory, tmp_path):
    item = {"outputs": "About your parcel: it comes on Thursday."}
    (tmp_path / "item.json").write_text(json.dumps(item))
    by_file = memory("show", "dated", "--item", "item.json", "--measure", "--json").json
    assert by_file["feedback"]["value"] == "good"
    assert by_file["measured"] == 1
    kinds = {one["kind"]: one for one in by_file["influences"]}
    assert kinds["guideline"]["what"] == world.RULE
    assert kinds["guideline"]["effect"] > 0.5
    assert kinds["source"]["worth"] != 0
    told = memory("show", "dated", "--outputs", item["outputs"])
    said = words(told.out)
    assert told.code == 0
    assert all(len(line) <= 80 for line in told.out.splitlines())
    assert "verdict: good" in said
    assert "examples that vote" in said
    assert "answers pooled" in said
    assert "effect here" not in said


def test_an_item_that_cannot_be_judged_is_code_11(memory, server):
    server.answer = lambda body: "no verdict"
    try:
        told = memory("show", "dated", "--outputs", "Never asked before.")
    finally:
        server.answer = world.answer
    assert (told.code, told.out) == (11, "")
    assert "not judged" in told.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "nosuch"], 7, "nosuch"),
        (["show", "dated/9"], 7, "9"),
        (["show", "dated", "--measure"], 2, "--measure needs an item"),
        (["show", "dated", "--item", "nosuch.json"], 7, "There is no file nosuch.json"),
        (["show", "dated", "--item", "bad.json"], 3, "is not JSON"),
        (["show", "dated", "--item", "empty.json"], 3, "Did you mean 'outputs'?"),
        (["show", "dated", "--item", "bad.json", "--outputs", "x"], 2, "not both"),
        (["pin", "dated", "9", "--reason", "x"], 2, "There is no guideline 9"),
        (["pin", "dated", "1"], 2, "--reason"),
        (["retire", "dated", "1", "--reason", " "], 2, "--reason is empty"),
        (["edit", "dated", "--reason", "x"], 2, "Neither VISUAL nor EDITOR is set"),
        (["edit", ".", "--reason", "x"], 2, "only registered judges are changed"),
        (["forget", "dated", "--reason", "x"], 2, "Nothing to forget was named"),
        (["forget", "dated", "--rater", "zed", "--reason", "x"], 7, "no rater 'zed'; nothing was changed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_a_code_and_changes_nothing(
    memory, home, tmp_path, arguments, code, message
):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "empty.json").write_text('{"output": "x"}')
    told = memory(*arguments)
    assert (told.code, told.out) == (code, "")
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert len(list_versions("dated", home=home)) == 1


def test_pin_and_retire_make_versions_and_leave_the_old_one(memory, home):
    before = states(home, 1)
    told = memory("pin", "dated", "1", "2", "--reason", "House rules.", "--by", "ana")
    assert told.code == 0
    assert f"now pinned: {OTHER}" in words(told.out)
    assert "production still points at dated/1" in words(told.out)
    assert set(states(home).values()) == {"pinned"}
    assert change_of(home, 2) == {"what": "pin", "reason": "House rules.", "by": "ana", "guidelines": [1, 2]}
    assert list_versions("dated", home=home)[1].lineage["parent"]["version"] == 1
    retired = memory("retire", "dated", "1", "--reason", "No more.", "--json").json
    assert (retired["parent"], retired["version"]) == (2, 3)
    assert states(home) == {world.RULE: "retired", OTHER: "pinned"}
    assert states(home, 1) == before


def test_the_registry_tells_what_a_version_was_made_from_and_why(memory, home, capfd):
    memory("pin", "dated", "2", "--reason", "House rule.", "--by", "ana")
    run(["registry", "show", "dated/2"])
    assert "pin of dated/1 by ana: House rule." in words(capfd.readouterr().out)
    run(["registry", "list", "dated"])
    assert "pin of dated/1" in capfd.readouterr().out


def test_what_changes_nothing_registers_nothing(memory, home):
    assert "Nothing changed: dated/1 is as it was." in memory("retire", "dated", "2", "--reason", "x").out
    (home.parent / "same.txt").write_text(memory("show", "dated", "--text").out)
    assert memory("edit", "dated", "--file", "same.txt", "--reason", "x", "--json").json["version"] is None
    assert len(list_versions("dated", home=home)) == 1


def test_edit_opens_the_editor_on_the_text(memory, home, monkeypatch):
    monkeypatch.setenv("EDITOR", "sed -i s/^-/!/")
    assert f"now pinned: {OTHER}" in words(memory("edit", "dated", "--reason", "House rule.").out)
    assert states(home)[OTHER] == "pinned"
    assert change_of(home, 2)["what"] == "edit"


def test_a_text_with_a_fault_is_kept_and_changes_nothing(memory, home, monkeypatch, tmp_path):
    monkeypatch.setenv("EDITOR", "sed -i s/^-/?/")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    told = memory("edit", "dated", "--reason", "x")
    assert told.code == 2
    assert "Line 4 is no guideline" in told.err
    (kept,) = tmp_path.glob("guidelines-*.txt")
    assert str(kept) in told.err
    assert len(list_versions("dated", home=home)) == 1
    kept.write_text(kept.read_text().replace("?", "+"))
    assert memory("edit", "dated", "--reason", "x", "--file", str(kept)).code == 0
    assert states(home)[OTHER] == "active"


def test_a_version_that_came_in_between_is_not_run_over(memory, home, monkeypatch, tmp_path, server):
    """While the editor is open, somebody registers another version."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys\n"
        "from judge_opt.cli import main\n"
        "text = open(sys.argv[1]).read()\n"
        "open(sys.argv[1], 'w').write(text.replace('- ', '! '))\n"
        f"main(['memory', 'retire', 'dated', '1', '--reason', 'Meanwhile.', '--home', {str(home)!r}])\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    told = memory("edit", "dated", "--reason", "x")
    assert told.code == 8
    assert "dated/2 was registered since dated/1 was read" in told.err
    assert len(list_versions("dated", home=home)) == 2
    assert "--file" in told.err


def test_forget_takes_labels_back_without_a_call(memory, home, server):
    asked = len(server.requests)
    told = memory("forget", "dated", "--rater", "bo", "--reason", "Bo left.")
    assert "14 labels are gone, 40 are left" in told.out
    kept = get_judge("dated", home=home).memory.episodic
    assert {v.rater for e in kept.episodes for v in e.ballots} == {"ann"}
    assert change_of(home, 2)["raters"] == ["bo"]
    memory("forget", "dated", "--trace", "r0-001", "--assessment", "a2", "--reason", "Wrong.")
    assert len(get_judge("dated", home=home).memory.episodic) == 38
    told = memory("forget", "dated", "--rater", "ann", "--reason", "All of it.")
    assert "the judge is the untouched one" in told.out
    assert get_judge("dated", home=home).memory is None
    assert len(get_judge("dated", 1, home=home).memory.episodic) == 40
    assert len(server.requests) == asked


def test_a_version_from_a_bundle_stays_untrusted(memory, home, capfd):
    run(["registry", "export", "dated", "bundle"])
    run(["registry", "import", "bundle", "--home", "other"])
    capfd.readouterr()
    assert world.RULE in words(memory("show", "dated", "--home", "other").out)
    assert memory("pin", "dated", "2", "--reason", "x", "--home", "other").code == 0
    refused = memory("show", "dated", "--outputs", "x", "--home", "other")
    assert refused.code == 2
    assert "--trust-base-url" in refused.err
