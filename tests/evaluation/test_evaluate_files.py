"""Tables and files of an evaluation: formulas, hostile text, damage."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from evaluation_world import polite, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import IntegrityError, NotFound
from judge_opt.evaluation import EvaluationResult, evaluate, list_evaluations, load_evaluation
from judge_opt.llm.session import Session
from judge_opt.testing.fault_server import FaultServer

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "<script>",
    "\x1b[31m",
    "a\x00b",
    "\ud800",
    "\u202e",
]


def echo(outputs: Any) -> tuple[str, str]:
    """The value and its reason are what was judged."""
    return str(outputs), f"{outputs}"


def test_no_cell_of_a_spreadsheet_begins_as_a_formula(session: Session, tmp_path: Path) -> None:
    data = [{"id": f"{text!a}", "session": text, "inputs": {"q": text}, "outputs": text} for text in HOSTILE]
    result = evaluate(data, echo)
    result.to_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as stream:
        cells = list(csv.reader(stream))
    assert len(cells) == 1 + len(HOSTILE)
    for line in cells:
        for cell in line:
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")), cell
    column = cells[0].index("echo/value")
    assert cells[1][column] == "'=1+1"
    assert "\x1b" not in result.text()


def test_numbers_stay_numbers_in_a_spreadsheet(session: Session, tmp_path: Path) -> None:
    def below(outputs: float) -> float:
        return -outputs

    evaluate([{"outputs": 1.5}], below).to_csv(tmp_path / "x.csv")
    assert "-1.5" in (tmp_path / "x.csv").read_text().splitlines()[1].split(",")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(codec=None), min_size=1), min_size=1, max_size=4))
def test_any_text_comes_back_from_the_store_and_from_json_lines(
    session: Session, tmp_path: Path, texts: list[str]
) -> None:
    data = [{"inputs": f"{n}", "outputs": text} for n, text in enumerate(texts)]
    result = evaluate(data, echo, n_boot=0)
    result.to_jsonl(tmp_path / "x.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_bytes().splitlines()]
    assert lines == result.to_dicts()
    assert [one["outputs"] for one in lines] == texts
    assert load_evaluation(result.run_id).to_dicts() == lines


def test_arrow_and_pandas_have_the_same_columns(server: FaultServer, session: Session) -> None:
    pytest.importorskip("pyarrow")
    result = evaluate(rows(4), [polite(server), echo])
    table, frame = result.to_arrow(), result.to_pandas()
    assert table.column_names == list(frame.columns)
    assert table.column("polite/value").to_pylist() == list(frame["polite/value"])
    assert json.loads(table.column("inputs").to_pylist()[0]) == frame["inputs"][0]


class TestDamage:
    @pytest.fixture
    def result(self, server: FaultServer, session: Session) -> EvaluationResult:
        return evaluate(rows(5), polite(server), run_id="run")

    @pytest.mark.parametrize(
        "name", ["config.json", "rows.jsonl", "journal.jsonl", "verdicts.jsonl", "results.json"]
    )
    @pytest.mark.parametrize("how", ["empty", "cut", "flipped", "swapped"])
    def test_a_damaged_file_is_named(
        self, result: EvaluationResult, server: FaultServer, name: str, how: str
    ) -> None:
        file = result.folder / name
        data = file.read_bytes()
        if how == "swapped":
            other = evaluate(rows(4), polite(server), run_id="other")
            shutil.copy(other.folder / name, file)
        else:
            middle = len(data) // 2
            changed = {
                "empty": b"",
                "cut": data[:middle],
                "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            }
            file.write_bytes(changed[how])
        named = {("config.json", "swapped"): "rows.jsonl", ("results.json", "swapped"): "verdicts.jsonl"}
        with pytest.raises(IntegrityError, match=re.escape(named.get((name, how), name))):
            load_evaluation("run")

    def test_a_journal_that_was_lost_is_written_again_from_the_call_store(
        self, result: EvaluationResult, server: FaultServer
    ) -> None:
        (result.folder / "journal.jsonl").unlink()
        assert evaluate(rows(5), polite(server), run_id="run").metrics == result.metrics
        assert server.completions == 5
        assert load_evaluation("run").status == "complete"

    def test_a_newer_version_is_named(self, result: EvaluationResult) -> None:
        file = result.folder / "config.json"
        body = json.loads(file.read_bytes())
        file.write_text(json.dumps({**body, "schema": 99}))
        with pytest.raises(IntegrityError, match="newer judge_opt"):
            load_evaluation("run")

    def test_the_nearest_name_is_suggested(self, result: EvaluationResult, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="Did you mean 'run'"):
            load_evaluation("runn")
        assert list_evaluations() == ["run"]
        assert list_evaluations(tmp_path / "nowhere") == []
