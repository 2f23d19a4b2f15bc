"""What can be imported: how a source is opened, and what its values are.

Two questions, asked in turn. How is it written (JSON, CSV, Parquet, a table in memory, a database)? That
gives values, one by one. What are the values (rows of labels, spans, another system's export)? That gives
records. Both are found out from the source itself unless a format is named.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.text import nearest
from judge_opt.traces.importers.files import Found, existing, is_folder, read_json, suffix_of
from judge_opt.traces.importers.report import Skipped

FORMATS: Mapping[str, str] = {
    "jsonl": "rows as JSON Lines, a JSON array, or one JSON object; .gz too",
    "csv": "rows as CSV or TSV, one trace or one label a line; .gz too",
    "parquet": "rows of a Parquet file",
    "dataset": "rows of a Hugging Face data set: an object, or a folder that save_to_disk wrote",
    "pandas": "rows of a pandas DataFrame",
    "arrow": "rows of an Arrow table",
    "otlp": "OpenTelemetry spans as OTLP JSON",
    "openinference": "Phoenix spans, as JSON, JSON Lines, or a table of spans",
    "langfuse": "Langfuse traces, observations and scores",
    "langsmith": "LangSmith runs and feedback",
    "mlflow": "an MLflow tracking server (its URL) or its SQLite file",
    "judge_opt": "another store of judge_opt (its SQLite file)",
}
"""Format to what it reads."""

SPANS = ("otlp", "openinference")
_WRITTEN = ("jsonl", "csv", "parquet", "dataset", "pandas", "arrow")
_SQLITE = b"SQLite format 3\x00"
_ENDINGS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


def check_format(name: str | None) -> None:
    """Raises UsageError where `name` is no format."""
    if name is not None and name not in FORMATS:
        raise UsageError(
            f"There is no format {name!r}.{nearest(name, FORMATS)}", f"Use one of: {', '.join(FORMATS)}."
        )


def is_url(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(("http://", "https://"))


def stored_in(source: Any) -> str | None:
    """mlflow or judge_opt where the source is a server or a database of either; else None.

    Raises:
        DataError: it is an SQLite file of neither.
    """
    if is_url(source) or (isinstance(source, str) and source.startswith("sqlite:")):
        return "mlflow"
    if not isinstance(source, (str, Path)) or is_folder(source):
        return None
    file = existing(source)
    with file.open("rb") as stream:
        if stream.read(len(_SQLITE)) != _SQLITE:
            return None
    import sqlite3
    from contextlib import closing
    from urllib.parse import quote

    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as database:
            tables = {
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.Error as error:
        raise DataError(f"{file.name} is damaged ({error}).", "Restore it from a backup.") from None
    if "trace_info" in tables:
        return "mlflow"
    if "judge_opt_version" in tables:
        return "judge_opt"
    listed = ", ".join(sorted(tables))[:200] or "none"
    raise DataError(
        f"{file.name} is neither an MLflow nor a judge_opt database; its tables: {listed}.", "Check the path."
    )


def values_of(source: Any, name: str | None) -> tuple[str, str, Iterator[Found]]:
    """Opens a source.

    Returns:
        What it is called in messages, how it is written, and its values with their lines.

    Raises:
        DataError: there is no such file, or nothing tells how it is written.
    """
    if isinstance(source, (str, Path)):
        return _file(source, name)
    if isinstance(source, Sequence) and source and all(isinstance(one, (str, Path)) for one in source):
        parts = [_file(one, name) for one in source]
        values = chain.from_iterable(_named(title, found) for title, _, found in parts)
        return ", ".join(title for title, _, _ in parts)[:200], parts[0][1], values
    how = name if name in _WRITTEN else _kind(source)
    from judge_opt.traces.importers import tables

    readers: Mapping[str, Callable[[Any], Iterator[Found]]] = {
        "pandas": tables.read_frame,
        "arrow": tables.read_arrow,
        "dataset": tables.read_dataset,
        "jsonl": tables.read_rows,
    }
    if how not in readers:
        raise UsageError(f"A {type(source).__name__} cannot be read as {how}.", "Pass the path of a file.")
    return f"the {type(source).__name__}", how, readers[how](source)


def shape_of(value: Any) -> str:
    """What a value is: otlp, openinference, langfuse, langsmith, or rows."""
    while isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        return "rows"
    if "resourceSpans" in value or "resource_spans" in value or ("spanId" in value and "traceId" in value):
        return "otlp"
    if "context.span_id" in value or "annotator_kind" in value or _has(value.get("context"), "span_id"):
        return "openinference"
    if "run_type" in value or "dotted_order" in value or ("key" in value and "run_id" in value):
        return "langsmith"
    if isinstance(value.get("runs"), list):
        return shape_of(value["runs"])
    if isinstance(value.get("data"), list) and not any(key in value for key in ("inputs", "outputs")):
        return shape_of(value["data"])
    if any(key in value for key in ("observations", "parentObservationId", "parent_observation_id")):
        return "langfuse"
    if any(key in value for key in ("dataType", "data_type", "stringValue")) and "value" in value:
        return "langfuse"
    if isinstance(value.get("traces"), list):
        return shape_of(value["traces"])
    # The table of Langfuse's traces: "input" and "output", where rows of ours have "inputs" and "outputs".
    if (
        "timestamp" in value
        and "id" in value
        and any(key in value for key in ("sessionId", "session_id", "bookmarked"))
    ):
        return "langfuse"
    return "rows"


def peek(values: Iterator[Found], most: int = 20) -> tuple[Any, Iterator[Found]]:
    """The first value that is no Skipped (None where there is none among the first), and all values."""
    seen: list[Found] = []
    for found in values:
        seen.append(found)
        if not isinstance(found[1], Skipped):
            return found[1], chain(seen, values)
        if len(seen) >= most:
            break
    return None, chain(seen, values)


def _file(source: str | Path, name: str | None) -> tuple[str, str, Iterator[Found]]:
    from judge_opt.traces.importers import delimited, tables

    folder = Path(source).expanduser()
    if is_folder(source) and name in (None, "dataset"):
        if name is None and not any((folder / one).exists() for one in ("state.json", "dataset_dict.json")):
            raise DataError(f"{folder} is a folder and no data set.", "Give the path of one file.")
        return folder.name, "dataset", tables.read_dataset(folder)
    file = existing(source)
    how = name if name in _WRITTEN else _ENDINGS.get(suffix_of(file))
    if how is None:
        with file.open("rb") as stream:
            how = "parquet" if stream.read(4) == b"PAR1" else "jsonl"
    if how in ("pandas", "arrow", "dataset"):
        raise UsageError(f"{file.name} is a file, which cannot be read as {how}.", "Leave the format out.")
    readers: Mapping[str, Callable[[Path], Iterator[Found]]] = {
        "jsonl": read_json,
        "csv": delimited.read_delimited,
        "parquet": tables.read_parquet,
    }
    return file.name, how, readers[how](file)


def _kind(source: Any) -> str:
    """What an object is, without importing the library that it may be of."""
    roots = {base.__module__.partition(".")[0] for base in type(source).__mro__}
    for root, kind in (("pandas", "pandas"), ("pyarrow", "arrow"), ("datasets", "dataset")):
        if root in roots:
            return kind
    if isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        return "jsonl"
    raise UsageError(
        f"A {type(source).__name__} cannot be imported.",
        "Pass a path, a URL, a DataFrame, a data set, or a list of rows.",
    )


def _named(title: str, values: Iterator[Found]) -> Iterator[Found]:
    """Says of a bad row in which of several files it is."""
    for line, value in values:
        if isinstance(value, Skipped):
            value = Skipped(value.line, value.item, f"{title}: {value.reason}")
        yield line, value


def _has(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value
