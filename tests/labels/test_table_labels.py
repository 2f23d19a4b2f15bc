"""Labelled rows of Parquet files, DataFrames and lists, as those of JSON Lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge_opt.core.errors import DataError
from judge_opt.core.values import categories
from judge_opt.labels import load_examples

TONE = categories("kind", "rude")


def rows() -> list[dict[str, Any]]:
    human = [{"rater": rater, "name": "tone", "value": "kind"} for rater in ("ana", "bo")]
    return [
        {"id": f"i{n}", "inputs": {"q": n}, "outputs": "y", "session": "s", "human": human} for n in range(5)
    ]


def test_a_table_gives_the_same_examples_as_lines(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows())))
    frame = pandas.DataFrame(rows())
    frame.to_parquet(tmp_path / "rows.parquet")
    expected = [example.digest for example in load_examples(lines, "tone", TONE).examples]
    assert len(expected) == 5
    for source in (tmp_path / "rows.parquet", frame, rows()):
        assert [example.digest for example in load_examples(source, "tone", TONE).examples] == expected


def test_bad_rows_of_tables_are_named(tmp_path: Path) -> None:
    bad = [*rows(), {"id": "x", "inputs": 1, "human": []}, {**rows()[0]}]
    with pytest.raises(DataError, match='line 6: rows have no field "outputs"'):
        load_examples(bad, "tone", TONE)
    loaded = load_examples(bad, "tone", TONE, on_error="skip")
    assert (len(loaded.examples), [one.line for one in loaded.skipped]) == (5, [6, 7])
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(DataError, match=r"no\.parquet cannot be read as Parquet"):
        load_examples(tmp_path / "no.parquet", "tone", TONE)
    with pytest.raises(DataError, match=r"no file .*gone\.parquet"):
        load_examples(tmp_path / "gone.parquet", "tone", TONE)
