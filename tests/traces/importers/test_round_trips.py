"""What is exported and imported again is what it was, whatever its text; spreadsheets run none of it."""

import csv
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from import_help import HOSTILE, SAID, TRACES, contents, store_all

from judge_opt.core.errors import UsageError
from judge_opt.traces import Store, Trace
from judge_opt.traces.exporters import export_traces, to_arrow, to_pandas
from judge_opt.traces.importers import import_traces

CALM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def through(convert: Callable[[Store, Path], Any], traces: list[tuple[Trace, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(":memory:") as one, Store(":memory:") as other:
        store_all(one, traces)
        source = convert(one, Path(folder))
        report = import_traces(other, source)
        assert [len(report.skipped), len(report.conflicts), len(report.truncated)] == [0, 0, 0]
        assert contents(other) == contents(one)
        again = import_traces(other, source)
        assert (again.traces, again.assessments, again.withdrawn) == (0, 0, 0)


def exported(name: str) -> Callable[[Store, Path], Path]:
    return lambda store, folder: export_traces(store, folder / name).path


@given(st.lists(st.tuples(TRACES, SAID), min_size=1, max_size=4, unique_by=lambda pair: pair[0].id))
@CALM
def test_json_lines_lose_nothing(traces: list[tuple[Trace, Any]]) -> None:
    through(exported("out.jsonl"), traces)


@given(st.lists(st.tuples(TRACES, SAID), min_size=1, max_size=4, unique_by=lambda pair: pair[0].id))
@CALM
def test_parquet_and_arrow_lose_nothing(traces: list[tuple[Trace, Any]]) -> None:
    through(exported("out.parquet"), traces)


def test_an_arrow_table_loses_nothing() -> None:
    through(lambda store, _: to_arrow(store), hostile())


def hostile() -> list[tuple[Trace, Any]]:
    return [
        (
            Trace(
                id=f"t{n}",
                inputs={"q": text},
                outputs=[n, None, {"x": text}],
                session="s" if n % 2 else None,
                metadata={"n": n},
            ),
            [("tone", text or "x", text, "ana")],
        )
        for n, text in enumerate(HOSTILE)
    ]


def test_a_data_frame_loses_nothing() -> None:
    through(lambda store, _: to_pandas(store), hostile())


@given(TRACES, st.booleans())
@example(Trace(id="big", inputs=2**63 + 1, metadata={"n": [-(2**70), 0.5]}), False)
@CALM
def test_otlp_loses_nothing_of_a_trace(trace: Trace, hexadecimal: bool) -> None:
    if hexadecimal:
        trace = Trace(id=f"tr-{'ab' * 16}", inputs=trace.inputs, tags=trace.tags, spans=full_spans())
    else:
        trace = Trace(**{part: getattr(trace, part) for part in PARTS}, spans=full_spans())
    with tempfile.TemporaryDirectory() as folder, Store(":memory:") as one, Store(":memory:") as other:
        one.add_trace(trace)
        import_traces(other, export_traces(one, Path(folder) / "out.otlp").path)
        assert contents(other) == contents(one)


PARTS = ("id", "inputs", "outputs", "expectations", "session", "tags", "metadata", "created")


def full_spans() -> tuple[dict[str, Any], ...]:
    def span(identity: str, parent: str | None, **attributes: Any) -> dict[str, Any]:
        return {
            "span_id": identity * 8,
            "parent_id": parent and parent * 8,
            "name": "step",
            "kind": "CLIENT",
            "start_ns": 1_700_000_000_123_456_789,
            "end_ns": None if parent else 1_700_000_001_123_456_789,
            "status": {"code": "ERROR", "message": "no"},
            "attributes": attributes,
            "events": [
                {"name": "e", "time_ns": 1_700_000_000_223_456_789, "attributes": {"x": [1, {"y": None}]}}
            ],
        }

    return (span("0a", None, **{"input.value": {"q": [1.5, True]}}), span("0b", "0a", n=2**40, none=None))


def test_a_trace_without_spans_survives_otlp(tmp_path: Path) -> None:
    with Store(":memory:") as one, Store(":memory:") as other:
        one.add_trace(Trace(id="plain", inputs={"q": 1}, outputs="a", session="s", tags={"k": "v"}))
        path = export_traces(one, tmp_path / "a.otlp").path
        [request] = map(json.loads, path.read_text().splitlines())
        [span] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert len(bytes.fromhex(span["traceId"])) == 16
        import_traces(other, path)
        assert contents(other) == contents(one)


def test_csv_cells_are_never_formulas(tmp_path: Path) -> None:
    formulas = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=cmd|" /C calc"!A0', "＝1"]
    with Store(":memory:") as store:
        for number, text in enumerate((*formulas, *HOSTILE)):
            trace = Trace(id=f"={number}", inputs=text, outputs={"a": text}, session=text or None)
            store.add_trace(trace)
            store.log_feedback(trace.id, text or "x", text, text, rater=text or "x")
            store.log_feedback(trace.id, "score", -number)
        for rows, expected in (
            ("traces", len(formulas) + len(HOSTILE)),
            ("labels", 2 * len((*formulas, *HOSTILE))),
        ):
            path = export_traces(store, tmp_path / f"{rows}.csv", rows=rows).path
            with path.open(encoding="utf-8", newline="") as stream:
                header, *lines = csv.reader(stream)
            assert len(lines) == expected
            assert all(len(line) == len(header) for line in lines)
            numbers = [] if rows == "traces" else [line[header.index("value")] for line in lines[1::2]]
            assert numbers == [repr(-n) for n in range(len(numbers))]  # a number is no formula
            for line in lines:
                for cell in line:
                    assert not cell.startswith(tuple("=+@\t\r\n＝")), cell
                    assert not cell.startswith("-") or cell.removeprefix("-").isdigit(), cell


def test_labels_in_csv_come_back_with_their_history(tmp_path: Path) -> None:
    with Store(":memory:") as one, Store(":memory:") as other:
        store_all(
            one,
            [(Trace(id=f"t{n}", inputs={"q": n}), [("tone", "kind", "Warm.", "ana")] * 3) for n in range(3)],
        )
        path = export_traces(one, tmp_path / "labels.csv", rows="labels").path
        report = import_traces(other, path)
        assert (report.traces, len(report.conflicts), len(report.skipped)) == (3, 0, 0)

        def kept(store: Store) -> list[Any]:
            return [
                (word.id, word.name, word.kind, word.rationale, word.source_id, word.supersedes, word.votes)
                for _, words in contents(store)
                for word in words
            ]  # fmt: skip

        assert kept(other) == kept(one)


def test_an_export_replaces_the_file_whole_or_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before")

    def broken() -> Any:
        yield Trace(id="a", inputs=1)
        raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError):
        export_traces(broken(), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    for wrong in ({"format": "jsonk"}, {"rows": "labels"}, {"rows": "all"}):
        with pytest.raises(UsageError):
            export_traces([], path, **wrong)
    with pytest.raises(UsageError, match="does not tell the format"):
        export_traces([], tmp_path / "out.txt")


def test_another_store_is_copied_with_its_history(tmp_path: Path) -> None:
    with Store(tmp_path / "one.db") as one, Store(":memory:") as other:
        store_all(
            one,
            [
                (
                    Trace(id="t", inputs=1, created=datetime.now(UTC) - timedelta(days=1)),
                    [("a", 1, "r", "x")] * 4,
                )
            ],
        )
        assert import_traces(other, tmp_path / "one.db").format == "judge_opt"
        assert contents(other) == contents(one)
