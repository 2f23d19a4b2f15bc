"""Any recorded spans as a numbered tree.

Spans come from many recorders and can be hostile: parents that are not there, cycles, ids given twice,
things that are no objects. All of it gets a place in the tree, and what was wrong is noted. Numbers follow
preorder: they are short, always the same for one trace, and a text inside the trace cannot choose them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge_opt.judges.views.text import short_name

_ID_KEYS = ("span_id", "spanId", "id")
_PARENT_KEYS = ("parent_id", "parent_span_id", "parentSpanId", "parentId")
_START_KEYS = ("start_ns", "start_time_unix_nano", "startTimeUnixNano", "start_time_ns")
_END_KEYS = ("end_ns", "end_time_unix_nano", "endTimeUnixNano", "end_time_ns")
_OPERATIONS = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "embeddings": "EMBEDDING",
}
SPAN_KEYS = frozenset(
    (*_ID_KEYS, *_PARENT_KEYS, *_START_KEYS, *_END_KEYS, "trace_id", "traceId", "name", "kind", "status")
) | {"attributes", "events", "inputs", "outputs", "input", "output", "type", "span_type"}
"""The keys of a span whose meaning is known; others are shown with its attributes."""


@dataclass(slots=True)
class Span:
    """One span in its place.

    Attributes:
        number: from 1, in preorder; 0 is the trace itself.
        raw: as recorded.
        type: LLM, TOOL, RETRIEVER, AGENT, ...; SPAN where nothing says it.
        parent: the number of the span above, or 0.
        depth: 1 for a span without one above.
        children: numbers, in order.
        failed: its status is an error, or it holds an exception.
    """

    number: int
    raw: Mapping[str, Any]
    type: str
    parent: int
    depth: int
    failed: bool
    children: list[int] = field(default_factory=list)

    @property
    def attributes(self) -> Mapping[str, Any]:
        return _mapping(self.raw.get("attributes"))

    @property
    def name(self) -> str:
        return short_name(self.raw.get("name"))

    @property
    def status(self) -> Mapping[str, Any]:
        status = self.raw.get("status")
        if isinstance(status, str):
            return {"code": status}
        return _mapping(status)

    @property
    def nanoseconds(self) -> float | None:
        """How long it took; None where a time is missing or impossible."""
        start, end = _number(_first(self.raw, _START_KEYS)), _number(_first(self.raw, _END_KEYS))
        return end - start if start is not None and end is not None and end >= start else None


@dataclass(frozen=True, slots=True)
class SpanTree:
    """A trace for reading.

    Attributes:
        inputs, outputs: of the trace itself.
        spans: in preorder; `spans[i].number` is i + 1.
        notes: what was wrong with them, a few words each.
    """

    inputs: Any
    outputs: Any
    spans: list[Span]
    notes: tuple[str, ...]

    def get(self, number: int) -> Span | None:
        return self.spans[number - 1] if 1 <= number <= len(self.spans) else None


def read_tree(trace: Any) -> SpanTree:
    """The tree of a `Trace`, a mapping with `spans`, or a list of spans; linear in the number of spans.

    Anything else counts as the output of a trace without spans. Expectations, tags, metadata and
    assessments are left out: they can hold the answer that the judge is to find.
    """
    inputs, outputs, recorded = _contents(trace)
    notes: list[str] = []
    raws = _objects(recorded, notes)
    parents = _parents(raws, notes)
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        children.setdefault(parent, []).append(place)
    for siblings in children.values():
        _by_start(siblings, raws)
    spans: list[Span] = []
    numbers: dict[int, int] = {}
    for place, parent, depth in _preorder(children, parents, notes):
        above = numbers.get(parent, 0)
        numbers[place] = number = len(spans) + 1
        raw = raws[place]
        spans.append(Span(number, raw, type_of(raw), above, depth, _failed(raw)))
        if above:
            spans[above - 1].children.append(number)
    return SpanTree(inputs, outputs, spans, tuple(notes))


def type_of(raw: Mapping[str, Any]) -> str:
    """What kind of step a span is, in OpenInference's words."""
    attributes = _mapping(raw.get("attributes"))
    named = attributes.get("openinference.span.kind") or attributes.get("mlflow.spanType")
    if named is None:
        named = raw.get("span_type") or raw.get("type")
    if isinstance(named, str) and 0 < len(named) <= 20 and named.replace("_", "").isalnum():
        named = named.upper()
        return "LLM" if named == "CHAT_MODEL" else named
    operation = attributes.get("gen_ai.operation.name")
    return _OPERATIONS.get(operation, "SPAN") if isinstance(operation, str) else "SPAN"


def exceptions(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The attributes of its exception events."""
    events = raw.get("events")
    for event in events if isinstance(events, Sequence) and not isinstance(events, str | bytes) else ():
        if isinstance(event, Mapping) and event.get("name") == "exception":
            yield _mapping(event.get("attributes"))


def _failed(raw: Mapping[str, Any]) -> bool:
    status = raw.get("status")
    code = status.get("code", status.get("status_code")) if isinstance(status, Mapping) else status
    if isinstance(code, str) and code.upper().endswith("ERROR"):
        return True
    return any(True for _ in exceptions(raw))


def _contents(trace: Any) -> tuple[Any, Any, Any]:
    """(inputs, outputs, spans)."""
    if isinstance(trace, Mapping):
        data = trace.get("data")
        spans = trace.get("spans")
        if spans is None and isinstance(data, Mapping):
            spans = data.get("spans")
        return trace.get("inputs"), trace.get("outputs"), spans
    if hasattr(trace, "spans"):
        return getattr(trace, "inputs", None), getattr(trace, "outputs", None), trace.spans
    if isinstance(trace, list | tuple):
        return None, None, trace
    return None, trace, None


def _objects(recorded: Any, notes: list[str]) -> list[Mapping[str, Any]]:
    if recorded is None:
        return []
    if not isinstance(recorded, Sequence) or isinstance(recorded, str | bytes):
        recorded = [recorded]
    raws = [one if isinstance(one, Mapping) else {"attributes": {"value": one}} for one in recorded]
    if odd := sum(not isinstance(one, Mapping) for one in recorded):
        notes.append(f"{odd:,} no objects")
    return raws


def _parents(raws: Sequence[Mapping[str, Any]], notes: list[str]) -> list[int]:
    """For each span the position of its parent, or -1."""
    places: dict[Any, int] = {}
    twice = 0
    for place, raw in enumerate(raws):
        own = _id(raw, _ID_KEYS)
        if own is not None and places.setdefault(own, place) != place:
            twice += 1
    parents, lost = [], 0
    for raw in raws:
        named = _id(raw, _PARENT_KEYS)
        if isinstance(named, str) and not named.strip("0"):
            named = None  # OpenTelemetry's way to write that there is none
        parent = places.get(named, -1) if named is not None else -1
        lost += named is not None and parent < 0
        parents.append(parent)
    if twice:
        notes.append(f"{twice:,} with another's id")
    if lost:
        notes.append(f"{lost:,} whose parent is missing")
    return parents


def _preorder(
    children: dict[int, list[int]], parents: list[int], notes: list[str]
) -> Iterator[tuple[int, int, int]]:
    """(position, parent's position or -1, depth) of every span. A cycle begins where it was recorded
    first, under no parent."""
    seen = bytearray(len(parents))
    circles = 0

    def below(start: int) -> Iterator[tuple[int, int, int]]:
        pending = [(start, -1, 1)]
        while pending:
            place, parent, depth = pending.pop()
            if seen[place]:
                continue
            seen[place] = 1
            yield place, parent, depth
            pending.extend((child, place, depth + 1) for child in reversed(children.get(place, ())))

    for root in children.get(-1, ()):
        yield from below(root)
    for place in range(len(parents)):
        if not seen[place]:
            circles += 1
            yield from below(_cycle_start(place, parents))
    if circles:
        notes.append(f"{circles:,} cycles of parents")


def _cycle_start(place: int, parents: Sequence[int]) -> int:
    """The first recorded span of the cycle that stands above `place`. Everything on the way hangs below
    that cycle and is visited with it, so that all walks together are linear."""
    for _ in range(2):  # the first round reaches the cycle, the second goes around it once
        trail = set()
        while place not in trail:
            trail.add(place)
            place = parents[place]
    return min(trail)


def _by_start(siblings: list[int], raws: Sequence[Mapping[str, Any]]) -> None:
    """In order of time where each says when it began, else as recorded."""
    starts = {place: _number(_first(raws[place], _START_KEYS)) for place in siblings}
    if all(start is not None for start in starts.values()):
        siblings.sort(key=lambda place: starts[place] or 0)


def _id(raw: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value = _first(raw, keys)
    if value is None and keys is _ID_KEYS:
        value = _mapping(raw.get("context")).get("span_id")
    return value if isinstance(value, str | int) and value != "" else None


def _first(raw: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((raw[key] for key in keys if raw.get(key) is not None), None)


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -1e20 < value < 1e20 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
