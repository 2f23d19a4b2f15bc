"""`judge-opt trace import` and `export`, in child processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from import_help import row, write_lines

import judge_opt

ROOT = Path(next(iter(judge_opt.__path__))).parent


def verb(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JUDGE_OPT_")}
    return subprocess.run(
        [sys.executable, "-m", "judge_opt", "trace", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_and_export_by_hand(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", row("a"), "broken \x1b[31m", row("b"))
    done = verb(tmp_path, "import", "in.jsonl", "--home", "home")
    assert done.returncode == 0, done.stderr
    assert "skipped: line 2: it is not JSON" in done.stderr
    assert "2 new traces, 0 already there" in done.stdout
    assert "\x1b" not in done.stderr
    again = verb(tmp_path, "import", "in.jsonl", "--home", "home", "--json")
    found = json.loads(again.stdout)
    assert (found["traces"], found["traces_known"], found["skipped"]) == (0, 2, 1)
    assert found["skipped_rows"][0]["line"] == 2
    out = verb(tmp_path, "export", "out.jsonl", "--home", "home")
    assert "2 traces and 2 assessments in out.jsonl" in out.stdout
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").open()] == ["a", "b"]
    labels = verb(tmp_path, "export", "labels.csv", "--rows", "labels", "--home", "home", "--json")
    assert json.loads(labels.stdout) == {"file": "labels.csv", "format": "csv", "traces": 2, "assessments": 2}


def test_other_columns_and_labels_by_hand(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("question,context,answer,ok\nq,c,a,true\n")
    options = ["--column", "inputs=question,context", "--column", "outputs=answer", "--label", "good=ok"]
    done = verb(tmp_path, "import", "in.csv", *options, "--rater", "ana", "--home", "home", "--json")
    assert json.loads(done.stdout)["assessments"] == 1, done.stderr
    verb(tmp_path, "export", "out.jsonl", "--home", "home")
    found = json.loads((tmp_path / "out.jsonl").read_text())
    assert found["inputs"] == {"question": "q", "context": "c"}
    assert (found["assessments"][0]["value"], found["assessments"][0]["source_id"]) == ("true", "ana")


def test_errors_are_one_line_and_a_code(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", row("a"), "broken")
    for arguments, code, message in (
        (["import", "none.jsonl"], 3, "There is no file"),
        (["import", "in.jsonl", "--strict"], 3, "in.jsonl line 2: it is not JSON"),
        (["import", "in.jsonl", "--format", "xml"], 2, "There is no format 'xml'"),
        (["import", "in.jsonl", "--column", "outputs"], 2, "is not NAME=VALUE"),
        (["import", "http://127.0.0.1:9", "--header", "Authorization=NOT_SET"], 2, "has no 'NOT_SET'"),
        (["import", "http://127.0.0.1:9"], 4, "No answer from"),
        (["export", "out.xml"], 7, "There is no database"),
    ):
        done = verb(tmp_path, *arguments, "--home", "home" if arguments[0] == "import" else "nohome")
        assert done.returncode == code, done.stderr
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
