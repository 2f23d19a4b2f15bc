"""One import: a source is opened, its values become records, and the records go into the store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from judge_opt.core.errors import Conflict, DataError, JudgeOptError, UsageError
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.files import Found
from judge_opt.traces.importers.formats import SPANS, check_format, peek, shape_of, stored_in, values_of
from judge_opt.traces.importers.report import ImportReport, Skipped
from judge_opt.traces.importers.rows import Place, RowOptions, record_of
from judge_opt.traces.importers.values import MAX_TEXT, shorten
from judge_opt.traces.schema import Trace, now
from judge_opt.traces.spans import TRUNCATED

if TYPE_CHECKING:
    from judge_opt.traces.store import Store

_PARTS = ("inputs", "outputs", "expectations", "metadata", "spans")


def import_traces(
    store: "Store",
    source: Any,
    format: str | None = None,
    *,
    columns: Mapping[str, Place] | None = None,
    labels: Mapping[str, str] | None = None,
    rater: str = "dataset",
    pools: Sequence[str | None] | None = None,
    judges: bool = True,
    experiments: Sequence[str | int] | None = None,
    headers: Mapping[str, str] | None = None,
    max_text: int = MAX_TEXT,
    on_error: Literal["skip", "raise"] = "skip",
) -> ImportReport:
    """Stores what a file, a table, a tracking server or a database holds, as traces with assessments.

    The source is read as a stream: memory holds 2,000 records, or 16 MB of them, or one larger row. What is
    stored already is left as it is, so that importing again adds nothing; a row that is stored with other
    content is reported as a conflict.

    Args:
        source: a path, several paths that belong together, a DataFrame, an Arrow table, a Hugging Face
            data set, an iterable of rows, or the URL of an MLflow server.
        format: one of `FORMATS`; found out from the source by default.
        columns: field to the column, the columns, or the names and columns that it is made of, for tables
            whose columns are not ours: `{"inputs": ["question", "context"], "outputs": "answer"}`.
        labels: feedback name to the column of its value, for tables with a label a column.
        rater: whose labels `labels` are.
        pools: take only labels of raters of these pools; None in it stands for raters without a pool.
        judges: also take the recorded verdicts of models that rows carry.
        experiments: of MLflow: names or ids; all by default.
        headers: sent to an MLflow server, such as its authorization.
        max_text: texts longer than this many characters are cut; which, is recorded in the trace's
            metadata under `judge_opt.truncated` and in the report.
        on_error: "skip" reports a bad row and goes on; "raise" stops at it.

    Raises:
        DataError: the source cannot be opened or is damaged, nothing in it could be imported, or, with
            "raise", a row is bad. Records before it may be stored; importing again is safe.
        Conflict: with "raise", a row is stored with other content.
        UsageError: an argument is wrong.
    """
    if on_error not in ("skip", "raise"):
        raise UsageError(f"on_error={on_error!r} is not known.", 'Use "skip" or "raise".')
    if max_text < 1:
        raise UsageError(f"max_text={max_text} keeps no text.", "Use 1 or more.")
    options = RowOptions(columns or {}, labels or {}, rater, pools, judges)
    title, name, records = _open(source, format, options, experiments, headers)
    run = _Import(ImportReport(title, name), on_error, max_text)
    added = store.add_records(run.stream(records), run.refuse)
    report = run.report
    for count in ("traces", "traces_known", "assessments", "assessments_known", "replaced", "withdrawn"):
        setattr(report, count, getattr(added, count))
    run.check(added.traces + added.traces_known)
    return report


def read_records(
    source: Any,
    format: str | None = None,
    *,
    columns: Mapping[str, Place] | None = None,
    labels: Mapping[str, str] | None = None,
    rater: str = "dataset",
    pools: Sequence[str | None] | None = None,
    judges: bool = True,
    experiments: Sequence[str | int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Record | Skipped]:
    """The records of a source, and its bad rows, without a store; arguments as of `import_traces`.

    Raises:
        DataError: the source cannot be opened, or is damaged.
        UsageError: an argument is wrong.
    """
    options = RowOptions(columns or {}, labels or {}, rater, pools, judges)
    return _open(source, format, options, experiments, headers)[2]


def _open(
    source: Any,
    name: str | None,
    options: RowOptions,
    experiments: Sequence[str | int] | None,
    headers: Mapping[str, str] | None,
) -> tuple[str, str, Iterator[Record | Skipped]]:
    """The source's name for messages, its format, and its records."""
    check_format(name)
    stored = stored_in(source) if name is None else name if name in ("mlflow", "judge_opt") else None
    if stored == "mlflow":
        from judge_opt.integrations.mlflow import read_mlflow  # above us; imported where it is asked for

        return str(source), "mlflow", read_mlflow(source, experiments, headers)
    if experiments is not None or headers is not None:
        raise UsageError("experiments and headers are for MLflow.", "Leave them out.")
    if stored == "judge_opt":
        return str(source), "judge_opt", _store_records(source)
    title, how, values = values_of(source, name)
    first, values = peek(values)
    mapped = bool(options.columns or options.labels)  # the caller says that these are rows
    shape = name if name in (*SPANS, "langfuse", "langsmith") else "rows"
    if name is None and not mapped:
        shape = shape_of(first)
    return title, how if shape == "rows" else shape, _records(shape, values, options)


def _records(shape: str, values: Iterator[Found], options: RowOptions) -> Iterator[Record | Skipped]:
    if shape in SPANS:
        from judge_opt.traces.importers.spans import records_of_spans

        return records_of_spans(values)
    if shape == "langfuse":
        from judge_opt.traces.importers.langfuse import records_of_langfuse

        return records_of_langfuse(values)
    if shape == "langsmith":
        from judge_opt.traces.importers.langsmith import records_of_langsmith

        return records_of_langsmith(values)
    return _rows(values, options)


def _rows(values: Iterable[Found], options: RowOptions) -> Iterator[Record | Skipped]:
    imported = now()
    for line, value in values:
        if isinstance(value, Skipped):
            yield value
            continue
        try:
            yield record_of(value, line, options, imported)
        except JudgeOptError as error:
            item = value.get("id") or value.get("trace_id") if isinstance(value, Mapping) else ""
            yield Skipped(line, str(item or "")[:250], str(error))


def _store_records(source: Any) -> Iterator[Record | Skipped]:
    from judge_opt.traces.store import Store

    with Store(source, create=False) as other:
        for line, trace in enumerate(other.iter_traces(), 1):
            yield Record(trace, trace.assessments, line)


class _Import:
    """One run of `import_traces`: keeps the report, and the error that ended the source early."""

    def __init__(self, report: ImportReport, on_error: str, max_text: int) -> None:
        self.report = report
        self._raise = on_error == "raise"
        self._max_text = max_text
        self._broken: DataError | None = None

    def stream(self, records: Iterator[Record | Skipped]) -> Iterator[Record]:
        try:
            for found in records:
                if isinstance(found, Skipped):
                    if self._raise:
                        raise _Stop(self._at(found.line, found.reason))
                    self.report.skipped.add(found)
                    continue
                self.report.records += 1
                record = self._within_limits(found)
                for note in record.notes:
                    self.report.truncated.add(Skipped(record.line, record.trace.id, note))
                yield record
        except _Stop as stop:
            raise DataError(str(stop), "Correct the row, or import with on_error='skip'.") from None
        except DataError as error:
            self._broken = error  # what came before is still written; `check` raises it

    def refuse(self, record: Record, error: JudgeOptError) -> None:
        if self._raise:
            kind = Conflict if isinstance(error, Conflict) else DataError
            raise kind(self._at(record.line, error.message), error.remedy)
        listed = self.report.conflicts if isinstance(error, Conflict) else self.report.skipped
        listed.add(Skipped(record.line, record.trace.id, str(error)))

    def check(self, stored: int) -> None:
        """Raises DataError where the source broke off, or gave nothing at all."""
        report = self.report
        if self._broken is not None:
            before = f" The {report.records} records before it are stored." if report.records else ""
            raise DataError(f"{self._broken.message}{before}", self._broken.remedy)
        if stored or report.conflicts:
            return
        if not report.skipped:
            raise DataError(f"{report.source} holds nothing.", "Give a source with at least one row.")
        first = report.skipped[0]
        raise DataError(
            f"None of the {len(report.skipped)} rows of {report.source} could be imported as {report.format}; "
            f"line {first.line}: {first.reason}",
            "Correct the source, say what its columns mean (columns=), or name another format.",
        )

    def _at(self, line: int, reason: str) -> str:
        where = f"{self.report.source} line {line}" if line else self.report.source
        return f"{where}: {reason}"

    def _within_limits(self, record: Record) -> Record:
        """The record, with texts that are too long cut, and the cuts recorded in it."""
        trace, limit = record.trace, self._max_text
        if not any(_exceeds(getattr(trace, part), limit) for part in _PARTS):
            return record
        cuts: dict[str, list[dict[str, Any]]] = {}
        changed: dict[str, Any] = {
            part: shorten(getattr(trace, part), limit, "", cuts, part) for part in _PARTS
        }
        changed["metadata"][TRUNCATED] = cuts
        short: Trace = replace(trace, **changed)
        notes = tuple(
            f"{part}{'.' + cut['path'] if cut['path'] else ''} was cut from {cut['of']} to {cut['kept']} characters"
            for part, some in cuts.items()
            for cut in some
        )
        return replace(record, trace=short, notes=(*record.notes, *notes))


class _Stop(Exception):
    """A bad row, where bad rows stop the import."""


def _exceeds(value: Any, limit: int) -> bool:
    if isinstance(value, str):
        return len(value) > limit
    if isinstance(value, Mapping):
        return any(_exceeds(inner, limit) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(_exceeds(inner, limit) for inner in value)
    return False
