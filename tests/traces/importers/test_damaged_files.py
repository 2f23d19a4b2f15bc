"""Files that were cut off or changed: an error that names the file, or a report, and never a crash."""

import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_help import row, write_lines

from judge_opt.core.errors import DataError, JudgeOptError
from judge_opt.traces import Store
from judge_opt.traces.exporters import export_traces
from judge_opt.traces.importers import import_traces, read_records

KINDS = ("jsonl", "json", "csv", "parquet", "otlp", "jsonl.gz")
CALM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one good file of each kind, called out.KIND."""
    folder = tmp_path_factory.mktemp("whole")
    rows = [row(f"item {n}", outputs={"text": f"{n} ü \u202e" * 20}) for n in range(30)]
    write_lines(folder / "rows.jsonl", *rows)
    with Store(folder / "store.db") as store:
        import_traces(store, folder / "rows.jsonl")
        for name in ("out.jsonl", "out.csv", "out.parquet", "out.otlp"):
            export_traces(store, folder / name)
    lines = (folder / "out.jsonl").read_bytes().splitlines()
    (folder / "out.json").write_bytes(b"[" + b",\n".join(lines) + b"]")
    (folder / "out.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    return folder


@pytest.fixture(scope="module")
def attempt() -> Iterator[Callable[[str, bytes], None]]:
    """Imports bytes as a file of a kind; an error must be one line that names the file."""
    with tempfile.TemporaryDirectory() as folder, Store(":memory:") as store:

        def run(kind: str, data: bytes) -> None:
            path = Path(folder) / f"broken.{kind}"
            path.write_bytes(data)
            try:
                import_traces(store, path)
            except JudgeOptError as error:
                message, remedy = str(error), error.remedy
            else:
                return
            assert "broken." in message, message
            assert "\n" not in message, message
            assert remedy

        yield run


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_off_is_reported(
    kind: str, whole: Path, attempt: Callable[[str, bytes], None]
) -> None:
    data = (whole / f"out.{kind}").read_bytes()
    for share in (0, 0.001, 0.1, 0.3, 0.5, 0.9, 0.999):
        attempt(kind, data[: int(len(data) * share)])


@given(data=st.data())
@CALM
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_changed_bytes_is_reported(
    kind: str, whole: Path, attempt: Callable[[str, bytes], None], data: st.DataObject
) -> None:
    raw = bytearray((whole / f"out.{kind}").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    attempt(kind, bytes(raw))


@given(raw=st.binary(max_size=300))
@CALM
def test_any_bytes_are_no_crash(attempt: Callable[[str, bytes], None], raw: bytes) -> None:
    for kind in KINDS:
        attempt(kind, raw)


def test_our_parquet_finds_changed_pages(whole: Path, tmp_path: Path) -> None:
    """Each page has a checksum: a flipped bit in the data is an error and never another value."""
    data = (whole / "out.parquet").read_bytes()
    path = tmp_path / "flipped.parquet"
    path.write_bytes(data)
    good = [(one.trace, one.assessments) for one in read_records(path)]
    found = 0
    for place in range(4, len(data) // 2, max(1, len(data) // 100)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            records = list(read_records(path))
        except DataError:
            found += 1
            continue
        assert [(one.trace, one.assessments) for one in records] == good
    assert found > 10


def unreadable(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.jsonl", "There is no file"),
        (lambda folder: unreadable(folder / "folder"), "folder and no data set"),
        (lambda folder: str(folder / ("x" * 5000)), "cannot be read"),
        (lambda folder: f"{folder}/nul\x00.jsonl", "There is no file"),
    ],
)
def test_paths_that_are_no_files_are_named(make: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    with Store(":memory:") as store, pytest.raises(DataError, match=message):
        import_traces(store, make(tmp_path))
