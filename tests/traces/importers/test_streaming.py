"""Memory does not grow with the source: measured in child processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from import_help import row

import judge_opt
from judge_opt.traces import Store, Trace
from judge_opt.traces.exporters import export_traces
from judge_opt.traces.importers import import_traces

ROOT = Path(next(iter(judge_opt.__path__))).parent
FEW, MANY = 3_000, 30_000

# The peak of this process alone: `ru_maxrss` would begin with that of the process that started it.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
"""
IMPORT = f"""
import sys
{PEAK}
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces
with Store(sys.argv[2]) as store:
    report = import_traces(store, sys.argv[1])
assert not report.skipped and not report.conflicts, str(report)
print(report.traces, report.assessments, peak())
"""


TEXT = "word " * 150


def write(path: Path, rows: int) -> Path:
    """`rows` rows of about 900 bytes, each with a label."""
    with path.open("w") as stream:
        if path.suffix == ".csv":
            stream.write("id,inputs.q,outputs,rater,name,value\n")
            stream.writelines(f"item-{n},{n} {TEXT},{n},ana,tone,kind\n" for n in range(rows))
        elif path.suffix == ".otlp":
            stream.writelines(json.dumps(request(n)) + "\n" for n in range(rows))
        else:
            stream.writelines(json.dumps(row(f"item-{n}", outputs=f"{n} {TEXT}")) + "\n" for n in range(rows))
    return path


def request(number: int) -> dict[str, object]:
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "startTimeUnixNano": "1544712660000000000",
        "attributes": [{"key": "input.value", "value": {"stringValue": TEXT}}],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def peak(source: Path, rows: int) -> int:
    """Bytes of memory that importing the file took at most."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(source), str(source.with_suffix(f".{rows}.db"))],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    traces, _, size = map(int, done.stdout.split())
    assert traces == rows
    return size


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "otlp"])
def test_ten_times_the_rows_take_no_more_memory(kind: str, tmp_path: Path) -> None:
    sizes = []
    for rows in (FEW, MANY) if kind != "otlp" else (FEW // 3, MANY // 3):
        path = tmp_path / f"rows-{rows}.{kind}"
        if kind == "parquet":  # one row group, which is the harder case
            pq = pytest.importorskip("pyarrow.parquet")
            import pyarrow as pa

            columns = {"id": [f"i{n}" for n in range(rows)], "outputs": [f"{n} {TEXT}" for n in range(rows)]}
            pq.write_table(pa.table(columns), path, row_group_size=rows)
        else:
            write(path, rows)
        sizes.append(peak(path, rows))
    # The 27,000 further rows are 24 MB of text and several times that as Python objects.
    assert sizes[1] - sizes[0] < 24 * 2**20, sizes


def test_many_row_groups_take_no_more_memory_than_one(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    code = """
import sys
from pathlib import Path
import pyarrow
from judge_opt.traces.importers.tables import read_parquet
rows = sum(1 for _ in read_parquet(Path(sys.argv[1])))
print(rows, pyarrow.default_memory_pool().max_memory())
"""
    most = []
    for groups in (2, 60):
        path = tmp_path / f"{groups}.parquet"
        texts = [f"{n * 7919} {n * n}" * 20 for n in range(2_000)]
        columns = pa.table({"id": [str(n) for n in range(2_000)], "outputs": texts})
        with pq.ParquetWriter(path, columns.schema, compression="none", use_dictionary=False) as writer:
            for _ in range(groups):
                writer.write_table(columns)
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        rows, held = map(int, done.stdout.split())
        assert rows == groups * 2_000
        most.append(held)
    assert most[1] - most[0] < 4 * 2**20, most  # the file grew by 30 MB


def test_an_export_takes_no_more_memory_either(tmp_path: Path) -> None:
    code = f"""
import sys
{PEAK}
from judge_opt.traces import Store
from judge_opt.traces.exporters import export_traces
with Store(sys.argv[1]) as store:
    for ending in ("jsonl", "csv", "otlp"):
        assert export_traces(store, sys.argv[1] + "." + ending).traces == int(sys.argv[2])
print(peak())
"""
    sizes = []
    for rows in (FEW // 3, MANY // 3):
        with Store(tmp_path / f"{rows}.db") as store:
            import_traces(store, write(tmp_path / f"{rows}.jsonl", rows))
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{rows}.db"), str(rows)],
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        sizes.append(int(done.stdout))
    assert sizes[1] - sizes[0] < 16 * 2**20, sizes


def test_a_trace_of_ten_megabytes_and_one_of_many_spans_come_through(tmp_path: Path) -> None:
    big = Trace(id="big", inputs={"text": "x" * 9_999_999}, outputs="y")
    spans = tuple(
        {"span_id": f"{n:016x}", "parent_id": None, "name": "step", "start_ns": n} for n in range(100_000)
    )
    with Store(":memory:") as one, Store(":memory:") as other:
        one.add_traces([big, Trace(id="many", inputs=1, spans=spans)])
        report = import_traces(other, export_traces(one, tmp_path / "out.jsonl").path)
        assert (report.traces, len(report.truncated)) == (2, 0)
        assert len(other.get_trace("many").spans) == 100_000
        assert other.get_trace("big").inputs == big.inputs


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from judge_opt.traces.importers import files

    monkeypatch.setattr(files, "MAX_ROW", 200_000)  # 256 MiB would take the test's memory
    path = tmp_path / "a.jsonl"
    path.write_text(
        "\n".join([json.dumps(row("a")), json.dumps(row("b", outputs="x" * 500_000)), json.dumps(row("c"))])
    )
    with Store(":memory:") as store:
        report = import_traces(store, path)
        assert [trace.id for trace in store.iter_traces()] == ["a", "c"]
        assert [(one.line, one.reason[:22]) for one in report.skipped] == [(2, "the line is longer tha")]
