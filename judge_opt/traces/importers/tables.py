"""Parquet files, pandas and Arrow tables, and Hugging Face datasets, as rows.

A Parquet file is read a few hundred rows at a time, whatever the size of its row groups. None of the
libraries is imported unless something of its kind is given.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError, ModelNotInstalled
from judge_opt.traces.importers.files import Found
from judge_opt.traces.importers.report import Skipped
from judge_opt.traces.importers.values import jsonable, missing
from judge_opt.traces.json_text import load_json

MARK = b"judge_opt.traces"
"""Key in the metadata of a Parquet file that we wrote: its columns are JSON text, and lossless."""

BATCH = 500
JSON_COLUMNS = ("inputs", "outputs", "expectations", "tags", "metadata", "spans", "assessments")
_DAMAGED = "Export or download it again; what was read before is stored, and importing again is safe."


def read_parquet(file: Path) -> Iterator[Found]:
    """The rows of a Parquet file.

    Raises:
        DataError: it is no Parquet file, or is damaged.
        ModelNotInstalled: pyarrow is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ModelNotInstalled(
            f"Reading {file.name} needs pyarrow.", "Run: pip install 'judge-opt[tables]'."
        ) from None
    try:
        # With a buffer, pages come in one after the other instead of a whole row group at once; without
        # reading ahead, Arrow does not keep what it has read of a file of many row groups.
        # Its memory comes from the system, which gets it back: Arrow's own pool keeps what it once had.
        usual = pa.default_memory_pool()
        pa.set_memory_pool(pa.system_memory_pool())
        try:
            table = pq.ParquetFile(
                file, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
            )
        finally:
            pa.set_memory_pool(usual)
        with table:
            ours = MARK in (table.schema_arrow.metadata or {})
            rows = (
                row for batch in table.iter_batches(BATCH, use_threads=False) for row in batch.to_pylist()
            )
            line = 0
            for line, value in _ours(rows) if ours else read_rows(rows):
                yield line, value
            stated = table.metadata.num_rows
        if line != stated:  # a damaged page header ends a column early, and Arrow says nothing
            raise DataError(f"{file.name} holds {line} rows of the {stated} that it states.", _DAMAGED)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{file.name} cannot be read as Parquet ({reason}).", _DAMAGED) from None


def read_frame(frame: Any) -> Iterator[Found]:
    """The rows of a pandas DataFrame; the line is the row's place, from 1."""
    columns = [str(column) for column in frame.columns]
    return read_rows(
        dict(zip(columns, cells, strict=True)) for cells in frame.itertuples(index=False, name=None)
    )


def read_arrow(table: Any) -> Iterator[Found]:
    """The rows of an Arrow table."""
    rows = (row for batch in table.to_batches(BATCH) for row in batch.to_pylist())
    return _ours(rows) if MARK in (table.schema.metadata or {}) else read_rows(rows)


def read_dataset(source: Any) -> Iterator[Found]:
    """The rows of a `datasets.Dataset` or IterableDataset, or of a folder that `save_to_disk` wrote.

    Raises:
        DataError: it holds several splits, or the folder is no data set.
        ModelNotInstalled: a folder is given and the package datasets is missing.
    """
    dataset = _load(source) if isinstance(source, (str, Path)) else source
    if isinstance(dataset, Mapping):
        raise DataError(
            f"The data set has several splits: {', '.join(map(str, dataset))}.", "Pass one: dataset['train']."
        )
    return read_rows(dataset)


def read_rows(rows: Iterable[Mapping[Any, Any]]) -> Iterator[Found]:
    """Rows of Python values as rows of JSON; empty cells are left out."""
    for number, row in enumerate(rows, 1):
        try:
            yield number, _row(row)
        except DataError as error:
            item = str(row.get("id") or "")[:250] if isinstance(row, Mapping) else ""
            yield number, Skipped(number, item, error.message)


def _row(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return jsonable(row, "the row")
    return {
        str(column): jsonable(value, f"column {column!r}")
        for column, value in row.items()
        if not missing(value)
    }


def _ours(rows: Iterable[Mapping[str, Any]]) -> Iterator[Found]:
    from judge_opt.traces.database import SafeText

    text = SafeText()
    for number, row in enumerate(rows, 1):
        try:
            found = {column: load_json(row[column]) for column in JSON_COLUMNS if row.get(column) is not None}
            found["id"] = text.process_result_value(row["trace_id"], None)  # type: ignore[arg-type]
            found["session"] = text.process_result_value(row.get("session"), None)  # type: ignore[arg-type]
            yield number, {**found, "created": row.get("created")}
        except (ValueError, KeyError, TypeError) as error:
            yield number, Skipped(number, "", f"it is not as judge_opt wrote it ({error})")


def _load(folder: str | Path) -> Any:
    try:
        import datasets  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise ModelNotInstalled(
            f"Reading the data set {folder} needs the package datasets.", "Run: pip install datasets."
        ) from None
    try:
        return datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{folder} is no data set that save_to_disk wrote ({reason}).", "Check the path."
        ) from None
