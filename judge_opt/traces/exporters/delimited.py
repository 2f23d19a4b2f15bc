"""CSV for spreadsheets: a trace a line, or a label a line.

A cell that begins with = + - @ (also full-width), a tab or a line end would be run as a formula: it gets
an apostrophe in front, which spreadsheets show as text. Numbers stay numbers. What CSV cannot hold (lone
surrogates) is written as its escape. So CSV is not lossless; JSON Lines is.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal

from judge_opt.core.text import encodable
from judge_opt.traces.exporters.objects import assessment_object
from judge_opt.traces.schema import Trace

TRACE_COLUMNS = ("id", "created", "session", "inputs", "outputs", "expectations", "tags", "metadata")
LABEL_COLUMNS = (
    "id", "session", "inputs", "outputs", "name", "value", "rationale", "rater", "source_type", "kind",
    "created", "current", "retracted", "error", "assessment_id", "supersedes",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_csv(
    traces: Iterable[Trace], stream: IO[bytes], rows: Literal["traces", "labels"]
) -> tuple[int, int]:
    """Writes the traces, and returns how many traces and labels there were.

    Args:
        rows: "traces" writes one line a trace, "labels" one line an assessment, history included.
    """
    columns = TRACE_COLUMNS if rows == "traces" else LABEL_COLUMNS
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    count = labels = 0
    for trace in traces:
        count += 1
        for line in [_trace_line(trace)] if rows == "traces" else _label_lines(trace):
            labels += rows == "labels"
            writer.writerow({column: safe_cell(line.get(column)) for column in columns})
    text.flush()
    text.detach()
    return count, labels


def safe_cell(value: Any) -> str:
    """A value as the text of a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)  # a negative number is a number, not a formula
    text = encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _trace_line(trace: Trace) -> dict[str, Any]:
    line: dict[str, Any] = {column: getattr(trace, column) for column in TRACE_COLUMNS}
    for column in ("expectations", "tags", "metadata"):
        line[column] = dict(line[column]) or None
    return {**line, "created": trace.created.isoformat()}


def _label_lines(trace: Trace) -> Iterator[dict[str, Any]]:
    for word in trace.assessments:
        found = assessment_object(word)
        yield {
            **found,
            "id": trace.id,
            "session": trace.session,
            "inputs": trace.inputs,
            "outputs": trace.outputs,
            "rater": word.source_id,
            "assessment_id": word.id,
        }
