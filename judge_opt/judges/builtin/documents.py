"""Retrieval, one document at a time: what MLflow's retrieval scorers return.

    each = judge_each_document(RetrievalRelevance(model="openai:/gpt-4o-mini"), trace)
    each.precision, [(row.span_id, row.index, row.feedback.value) for row in each.rows]

The judge sees the same run with one retrieved document in it, so that an aligned judge works here as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import item_of
from judge_opt.judges.judge import Judge
from judge_opt.judges.views.tree import type_of

_FLAT = "retrieval.documents."


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One retrieved document and its verdict.

    Attributes:
        span_id: of the retriever's span; "" where the span has none.
        index: position among the span's documents.
        document: as recorded.
    """

    span_id: str
    index: int
    document: Any
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class DocumentTable:
    """Every document of a trace, in order."""

    rows: tuple[DocumentRow, ...]

    @property
    def precision(self) -> float | None:
        """Share of "yes" among the documents that could be judged; None where none could."""
        judged = [row.feedback.value for row in self.rows if row.feedback.error is None]
        return sum(value in ("yes", True) for value in judged) / len(judged) if judged else None

    @property
    def coverage(self) -> float:
        """Share of the documents that could be judged."""
        return sum(row.feedback.error is None for row in self.rows) / len(self.rows) if self.rows else 0.0


def documents_of(trace: Any) -> list[tuple[int, int, Any]]:
    """(position of the retriever's span, position in it, document) of every retrieved document.

    Reads a span's output, a list or {"documents": [...]}, and OpenInference's flat attributes
    (`retrieval.documents.0.document.content`).
    """
    return [
        (place, index, document)
        for place, span in enumerate(_spans(_whole(trace)))
        if type_of(span) == "RETRIEVER"
        for index, document in enumerate(_documents(span))
    ]


def judge_each_document(judge: Judge, trace: Any, *, concurrency: int = 8) -> DocumentTable:
    """One verdict for each retrieved document of a trace.

    Args:
        judge: its template names `{{ trace }}`.
        trace: a `Trace`, or its JSON.

    Raises:
        DataError: no retriever of the trace brought back anything.
    """
    found = documents_of(trace)
    if not found:
        raise DataError(
            "No span of this trace is a retriever with documents.",
            'Record retrieval in a span whose "openinference.span.kind" is RETRIEVER.',
        )
    whole = _whole(trace)
    said = judge.batch(list(_reduced(whole, found)), concurrency=concurrency)
    spans = _spans(whole)
    return DocumentTable(
        tuple(
            DocumentRow(str(spans[place].get("span_id") or ""), index, document, feedback)
            for (place, index, document), feedback in zip(found, said, strict=True)
        )
    )


def _whole(trace: Any) -> dict[str, Any]:
    """A trace as a mapping."""
    return dict(item_of({"trace": trace})["trace"])


def _spans(whole: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [span for span in whole.get("spans") or () if isinstance(span, Mapping)]


def _attributes(span: Mapping[str, Any]) -> Mapping[str, Any]:
    found = span.get("attributes")
    return found if isinstance(found, Mapping) else {}


def _reduced(whole: dict[str, Any], found: Sequence[tuple[int, int, Any]]) -> Iterator[dict[str, Any]]:
    """The item with one document only: the other retrievers' spans are left out."""
    for place, _, document in found:
        spans = []
        for at, span in enumerate(_spans(whole)):
            if type_of(span) != "RETRIEVER":
                spans.append(span)
            elif at == place:
                kept = {k: v for k, v in _attributes(span).items() if not k.startswith(_FLAT)}
                spans.append({**span, "attributes": {**kept, "output.value": [document]}})
        yield {"trace": {**whole, "spans": spans}}


def _documents(span: Mapping[str, Any]) -> list[Any]:
    found = _attributes(span)
    flat: dict[int, dict[str, Any]] = {}
    for key, value in found.items():
        place, _, part = key.removeprefix(_FLAT).partition(".")
        if key.startswith(_FLAT) and part and place.isdecimal() and len(place) < 10:
            flat.setdefault(int(place), {})[part.removeprefix("document.")] = value
    if flat:
        return [flat[index] for index in sorted(flat)]
    output = found.get("output.value")
    if isinstance(output, Mapping):
        output = output.get("documents")
    return list(output) if isinstance(output, list) else []
