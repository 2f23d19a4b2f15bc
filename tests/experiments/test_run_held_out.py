"""A run records that it read the held-out rows, and its report and its judge's lineage count the readings."""

import json
import subprocess
import sys
from pathlib import Path

import alignment_world as world
import pytest
import yaml

from judge_opt.core.errors import IntegrityError
from judge_opt.experiments.report.render import render_html, render_markdown
from judge_opt.experiments.runs import list_runs, load_report
from judge_opt.registry.judges import list_versions
from judge_opt.testing.fault_server import FaultServer

ROOT = Path(__file__).parents[2]


def write_config(folder, server, **more):
    with (folder / "rows.jsonl").open("w") as lines:
        for row in [*world.rows(60), *world.rows(60, seed=1)]:
            human = [{"rater": v.rater, "name": "dated", "value": v.value} for v in row.votes]
            item = {"id": row.id, "inputs": "", "outputs": row.fields["outputs"], "session": row.group}
            lines.write(json.dumps({**item, "human": human}) + "\n")
    config = {
        "name": "world",
        "data": {"path": "rows.jsonl"},
        "judge": {
            "name": "dated",
            "model": "openai:/sim",
            "base_url": server.base_url,
            "values": {"categories": ["good", "bad"]},
            "instructions": "Is {{ outputs }} a good reply?",
        },
        "optimizer": {"settings": {"embedder": "openai:/embed", "first_rows": 10}},
        "split": {"train": 40, "test": 50},
        **more,
    }
    (folder / "world.yaml").write_text(yaml.safe_dump(config))
    return folder / "world.yaml"


def align(config, home):
    command = [sys.executable, "-m", "judge_opt", "align", str(config), "--home", str(home), "--yes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs of one configuration, and one of another seed on the same held-out rows."""
    folder = tmp_path_factory.mktemp("runs")
    with FaultServer(answer=world.answer, embed=world.embed) as server:
        config = write_config(folder, server)
        align(config, folder / "home")
        (run,) = (folder / "home" / "runs").iterdir()
        results = (run / "results.json").read_bytes()
        align(config, folder / "home")
        assert (run / "results.json").read_bytes() == results
        align(write_config(folder, server, seed=1), folder / "home")
    return folder / "home"


def test_the_report_counts_the_readings(home):
    first, second = sorted(
        (load_report(home, run.run_id) for run in list_runs(home)), key=lambda r: len(r.held_out_reads)
    )
    runs = [read.run_id for read in second.held_out_reads]
    assert [read.run_id for read in first.held_out_reads] == runs[:2]
    assert runs[0] == runs[1] != runs[2]
    assert not any("outside this run" in warning for warning in first.warnings)
    assert any("were read 2 time(s) outside this run" in warning for warning in second.warnings)
    assert "read 3 times so far" in render_html(second)
    assert "read 3 time(s) so far" in render_markdown(second)


def test_the_lineage_of_the_judge_holds_everything(home):
    lineage = list_versions("dated", home=home)[0].lineage
    assert set(lineage) == {
        "code", "config", "data_hash", "held_out_reads", "optimizer", "run_id", "seed", "settings", "split_hash",
        "validation",
    }  # fmt: skip
    assert lineage["held_out_reads"][0]["reason"].startswith("run world: the aligned judge against")
    assert lineage["config"]["judge"]["name"] == "dated"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b'"rows":', b'"rowz":', 1),
        lambda data: data.replace(b"0.9", b"0.8", 1),
    ],
)
def test_a_changed_report_is_refused_by_name(home, damage):
    run = list_runs(home)[0]
    file = run.folder / "report.json"
    before = file.read_bytes()
    assert damage(before) != before
    file.write_bytes(damage(before))
    try:
        with pytest.raises(IntegrityError, match=r"report.json was changed after the run.*Run its config"):
            load_report(home, run.run_id)
        assert "damaged" in {one.status for one in list_runs(home)}
    finally:
        file.write_bytes(before)
    load_report(home, run.run_id)
