"""`judge-opt drift` on verdicts and labels that lie in the store."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_helpers import Run

from judge_opt.core.errors import DataError, NotFound
from judge_opt.core.values import BOOL
from judge_opt.experiments.windows import recorded_windows
from judge_opt.traces import Store, Trace

BEGIN = datetime(2026, 9, 7, 12, tzinfo=UTC)  # a Monday


def recorded(home: Path, right: list[float], labelled: int = 3) -> None:
    """A week for each share of right verdicts: 60 traces, of which one in `labelled` has a label."""
    home.mkdir(exist_ok=True)
    with Store(home / "store.db") as store:
        for week, share in enumerate(right):
            for i in range(60):
                moment = BEGIN + timedelta(days=7 * week, minutes=i)
                name = f"t{week}-{i:02d}"
                store.add_trace(
                    Trace(id=name, inputs={"q": i}, outputs=i, session=f"s{i % 30}", created=moment)
                )
                truth = i % 2 == 0
                said = truth if (i * 7 % 60) < share * 60 else not truth
                store.log_feedback(name, "tone", said, source="LLM_JUDGE", rater="tone/1")
                if i % labelled == 0:
                    store.log_feedback(name, "tone", truth, rater="ana")


def test_a_judge_that_becomes_worse_sets_off_an_alarm(judge_opt: Run, tmp_path: Path) -> None:
    recorded(tmp_path / "home", [0.95, 0.95, 0.95, 0.3], labelled=1)
    ask = ("drift", "tone", "--values", "bool", "--home", "home", "--since", "2026-09-21")
    done = judge_opt(*ask, "--json")
    assert done.code == 10, done.err
    said = json.loads(done.out)
    assert [window["name"] for window in said["windows"]] == ["2026-09-21", "2026-09-28"]
    assert said["reference"]["n"] == 120
    assert len(said["alarms"]) == 1
    assert said["alarms"][0].startswith("2026-09-28: agreement with people has fallen by 0.6")
    shown = judge_opt(*ask, "--floor", "0.8", COLUMNS="120")
    assert shown.code == 10
    assert "Alarm: 2026-09-28: agreement" in shown.out
    assert "agreement has been below 0.80" in shown.out


def test_a_judge_that_stays_as_it_was_sets_off_none(judge_opt: Run, tmp_path: Path) -> None:
    recorded(tmp_path / "home", [0.9, 0.9, 0.9])
    done = judge_opt("drift", "tone", "--values", "bool", "--home", "home")
    assert done.code == 0, done.err
    assert "No alarm" in done.out


def test_the_latest_verdict_counts_and_a_source_can_be_chosen(tmp_path: Path) -> None:
    recorded(tmp_path, [0.9, 0.9])
    with Store(tmp_path / "store.db") as store:
        for i in range(60):
            store.log_feedback(f"t0-{i:02d}", "tone", True, source="LLM_JUDGE", rater="tone/2")
        reference, windows = recorded_windows(store, "tone", BOOL)
        assert {said.value for said in reference.judged} == {True}  # type: ignore[union-attr]
        assert list(windows) == ["2026-09-14"]
        older, _ = recorded_windows(store, "tone", BOOL, source="tone/1")
        assert {said.value for said in older.judged} == {True, False}  # type: ignore[union-attr]
        assert older.groups[:2] == ["s0", "s1"]
        assert older.gold is not None
        assert sum(gold is not None for gold in older.gold) == 20


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    recorded(tmp_path, [0.9])
    with Store(tmp_path / "store.db") as store:
        with pytest.raises(NotFound, match="tone"):
            recorded_windows(store, "tune", BOOL)
        with pytest.raises(NotFound, match="'tone' from 'tone/9'"):
            recorded_windows(store, "tone", BOOL, source="tone/9")
        with pytest.raises(DataError, match="2026-09-14"):
            recorded_windows(store, "tone", BOOL)  # one week: nothing comes after the reference
        with pytest.raises(DataError, match="before 2026-09-01"):
            recorded_windows(store, "tone", BOOL, since=datetime(2026, 9, 1))
