"""What importers and exporters promise, on SQLite and on PostgreSQL: round trips, spreadsheets, kills, memory."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from import_help import HOSTILE, SAID, TRACES, contents, row, store_all, write_lines

import judge_opt
from judge_opt.traces import Store, Trace
from judge_opt.traces.exporters import export_traces
from judge_opt.traces.importers import import_traces

ROOT = Path(next(iter(judge_opt.__path__))).parent

IMPORT = """
import sys
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces
with Store(sys.argv[2]) as store:
    report = import_traces(store, sys.argv[1])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(report.traces, report.assessments, not report.skipped, peak.split()[1])
"""


def start(source: Path, url: str, kill_at: str = "", code: str = IMPORT) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, str(source), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JUDGE_OPT_KILL_AT": kill_at},
    )


def printed(child: "subprocess.Popen[str]") -> list[str]:
    out, err = child.communicate(timeout=280)
    assert child.returncode == 0, err
    return out.split()


def fill(store: Store) -> None:
    """Every hostile text in every place that holds text, with replaced and retracted labels."""
    for n, text in enumerate(HOSTILE):
        said = text or "x"
        store.add_trace(
            Trace(
                f"t{n}",
                inputs={"q": text},
                outputs=[text],
                session=said,
                tags={said: text},
                metadata={text: n},
            )
        )
        store.log_feedback(f"t{n}", said, text or "none", text, rater=said)
        store.log_feedback(f"t{n}", said, f"{text}!", text, rater=said)
        store.retract(store.log_feedback(f"t{n}", said, "gone", rater="bo").id)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hostile_text_goes_from_one_database_to_the_other_and_back(
    store_url: str, tmp_path: Path, kind: str
) -> None:
    with Store(store_url) as one, Store(tmp_path / "other.db") as other:
        fill(one)
        import_traces(other, export_traces(one, tmp_path / f"there.{kind}").path)
        assert contents(other) == contents(one)
        before = contents(one)
        one.delete_traces([trace.id for trace, _ in before])
        assert contents(one) == []
        import_traces(one, export_traces(other, tmp_path / f"back.{kind}").path)
        assert contents(one) == before


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes: every example writes to disk
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(traces=st.lists(st.tuples(TRACES, SAID), min_size=1, max_size=4, unique_by=lambda pair: pair[0].id))
def test_any_trace_goes_through_a_file_and_back(
    store_url: str, tmp_path: Path, kind: str, traces: list[tuple[Trace, Any]]
) -> None:
    path = tmp_path / f"any.{kind}"
    with Store(store_url) as store:
        store_all(store, traces)
        before = contents(store)
        path.unlink(missing_ok=True)
        export_traces(store, path)
        ids = [trace.id for trace, _ in before]
        store.delete_traces(ids)
        report = import_traces(store, path)
        assert (report.traces, len(report.skipped), len(report.truncated)) == (len(ids), 0, 0)
        assert contents(store) == before
        store.delete_traces(ids)


def test_no_cell_of_an_export_is_a_formula(store_url: str, tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|" /C calc"!A0', "＝1", *HOSTILE]
    with Store(store_url) as store:
        for n, text in enumerate(texts):
            store.add_trace(Trace(f"={n}", inputs=text, outputs=text))
            store.log_feedback(f"={n}", text or "x", text or "x", text, rater=text or "x")
        for rows in ("traces", "labels"):
            path = export_traces(store, tmp_path / f"{rows}.csv", rows=rows).path
            with path.open(encoding="utf-8", newline="") as stream:
                _, *lines = csv.reader(stream)
            assert len(lines) == len(texts)
            for cell in (cell for line in lines for cell in line):
                assert not cell.startswith(tuple("=+@\t\r\n＝")), cell
                assert not cell.startswith("-") or cell.removeprefix("-").isdigit(), cell


def test_an_import_that_is_killed_is_whole_when_it_is_run_again(store_url: str, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row(f"i{n}")) + "\n" for n in range(5_000)))
    with Store(store_url) as store:
        child = start(source, store_url, "database.commit:2")
        _, err = child.communicate(timeout=280)
        assert child.returncode == -signal.SIGKILL, err
        held = sum(1 for _ in store.iter_traces())
        assert 0 < held < 5_000
        assert held == sum(len(trace.assessments) for trace in store.iter_traces())  # no trace lost its label
        traces, words, whole, _ = printed(start(source, store_url))
        assert (int(traces), int(words), whole) == (5_000 - held, 5_000 - held, "True")
        assert len(store.labelled_examples("tone", str)) == 5_000


def test_memory_does_not_grow_with_the_source(store_url: str, tmp_path: Path) -> None:
    """The same ceiling on a server; a million rows: benchmarks/importing."""
    peaks = []
    for rows in (3_000, 30_000):
        source = tmp_path / f"{rows}.jsonl"
        with source.open("w") as stream:
            stream.writelines(
                json.dumps(row(f"{rows}-{n}", outputs="word " * 150)) + "\n" for n in range(rows)
            )
        traces, _, _, peak = printed(start(source, store_url))
        assert int(traces) == rows
        peaks.append(int(peak) * 1024)
    assert peaks[1] - peaks[0] < 24 * 2**20, peaks


EXPORT = """
import sys
from judge_opt.traces import Store
from judge_opt.traces.exporters import export_traces
with Store(sys.argv[2]) as store:
    written = [export_traces(store, sys.argv[1] + "." + end).traces for end in ("jsonl", "csv", "parquet", "otlp")]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(*written, peak.split()[1])
"""


def test_memory_of_an_export_does_not_grow_with_the_store(store_url: str, tmp_path: Path) -> None:
    peaks = []
    with Store(store_url) as store:
        for before, rows in ((0, 5_000), (5_000, 12_000)):
            source = write_lines(
                tmp_path / "rows.jsonl",
                *(row(f"item-{n}", outputs=f"{n} " + "word " * 150) for n in range(before, rows)),
            )
            import_traces(store, source)
            *written, peak = map(int, printed(start(tmp_path / f"{rows}", store_url, code=EXPORT)))
            assert written == [rows] * 4
            peaks.append(peak * 1024)
    assert peaks[1] - peaks[0] < 16 * 2**20, peaks
