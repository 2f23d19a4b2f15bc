"""From spans that arrive one by one, late or twice, to whole traces in the store.

A stored trace does not change, so its spans are held until it is complete: its root has ended and nothing
came for `quiet_seconds`, or nothing came for `orphan_seconds` at all. A span that comes later is rejected,
and its sender is told; one that is there already is a repetition, and is not counted.

What is held is on disk too where there is a spool: an append-only file, written before the sender gets its
answer and read again at the next start, so that what was acknowledged outlives a crash.
"""

import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge_opt.core.errors import DataError, JudgeOptError, NotFound
from judge_opt.core.files import write_bytes
from judge_opt.traces.foreign import trace_id_of
from judge_opt.traces.openinference import trace_of_spans
from judge_opt.traces.schema import Trace
from judge_opt.traces.store import Store

log = logging.getLogger("judge_opt.otlp")

Arrived = tuple[str, dict[str, Any], dict[str, Any]]
"""OpenTelemetry's trace id, the span, the attributes of its resource."""

MOST_FINISHED = 5_000
"""Finished traces whose span ids are remembered; of older ones the store is asked."""

COMPACT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class _Open:
    """A trace that is being put together."""

    spans: dict[str, dict[str, Any]] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    last: float = 0.0
    dropped: int = 0

    def ended(self) -> bool:
        return any(one["parent_id"] is None and one["end_ns"] is not None for one in self.spans.values())


class SpanAssembler:
    """Holds spans and stores traces. Thread-safe.

    Args:
        spool: the file; None holds spans in memory only.
        most_spans: of one trace; later ones are rejected.
    """

    def __init__(
        self,
        store: Store,
        *,
        quiet_seconds: float = 2.0,
        orphan_seconds: float = 60.0,
        spool: Path | None = None,
        most_spans: int = 100_000,
    ) -> None:
        self.store = store
        self.quiet_seconds = quiet_seconds
        self.orphan_seconds = orphan_seconds
        self.most_spans = most_spans
        self._open: dict[str, _Open] = {}
        self._finished: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._lock = threading.RLock()
        self._spool = None if spool is None else _Spool(spool)
        if self._spool is not None:
            self._take(self._spool.read())

    def accept(self, arrived: Sequence[Arrived]) -> tuple[int, str]:
        """Takes spans; when it returns they are in the spool.

        Returns:
            How many were rejected, and why; (0, "") where all were taken.

        Raises:
            OSError: the spool cannot be written; nothing was taken.
        """
        with self._lock:
            if self._spool is not None:
                self._spool.append(arrived)
            return self._take(arrived)

    def store_complete(self, *, ended: bool = False, everything: bool = False) -> int:
        """Stores the traces that are complete. A store that fails is logged, and tried again next time.

        Args:
            ended: also those whose root has ended just now.
            everything: also those whose root has not ended.

        Returns:
            How many were stored.
        """
        with self._lock:
            now = time.monotonic()
            ready = [
                trace_id
                for trace_id, held in self._open.items()
                if everything or (ended and held.ended()) or self._is_ready(held, now)
            ]
            if not ready:
                return 0
            traces = [(trace_id, self._trace(trace_id)) for trace_id in ready]
            stored = self._store(traces)
            if self._spool is not None and stored:
                self._trim()
            return stored

    def held(self) -> int:
        """How many traces are not stored yet."""
        with self._lock:
            return len(self._open)

    def _is_ready(self, held: _Open, now: float) -> bool:
        return now - held.last >= (self.quiet_seconds if held.ended() else self.orphan_seconds)

    def _take(self, arrived: Sequence[Arrived]) -> tuple[int, str]:
        late = many = 0
        for trace_id, span, resource in arrived:
            known = self._known(trace_id)
            if known is not None:
                late += span["span_id"] not in known
                continue
            held = self._open.setdefault(trace_id, _Open())
            held.last = time.monotonic()
            if len(held.spans) >= self.most_spans and span["span_id"] not in held.spans:
                held.dropped += 1
                many += 1
                continue
            held.spans[span["span_id"]] = span
            held.resource |= resource
        reasons = []
        if late:
            reasons.append(f"{late} span(s) came after their trace was complete and stored")
        if many:
            reasons.append(f"{many} span(s) are more than {self.most_spans} of one trace")
        return late + many, "; ".join(reasons)

    def _known(self, trace_id: str) -> frozenset[str] | None:
        """The span ids of a trace that is stored; None for a new one."""
        if trace_id in self._open:
            return None
        if trace_id not in self._finished:
            try:
                found = self.store.get_trace(trace_id_of(trace_id))
            except NotFound:
                return None
            self._remember(trace_id, frozenset(str(span.get("span_id")) for span in found.spans))
        return self._finished[trace_id]

    def _remember(self, trace_id: str, spans: frozenset[str]) -> None:
        self._finished[trace_id] = spans
        while len(self._finished) > MOST_FINISHED:
            self._finished.popitem(last=False)

    def _trace(self, trace_id: str) -> Trace:
        held = self._open[trace_id]
        trace = trace_of_spans(trace_id, list(held.spans.values()), resource=held.resource)
        if held.dropped:
            cut = {"spans_with_cuts": 0, "spans_dropped": held.dropped}
            trace = _with_metadata(trace, "judge_opt.truncated", cut)
        return trace

    def _store(self, traces: list[tuple[str, Trace]]) -> int:
        """All at once; each on its own where one is refused for good."""
        try:
            self.store.add_traces(trace for _, trace in traces)
        except JudgeOptError as error:
            if len(traces) > 1:
                return sum(self._store([one]) for one in traces)
            trace_id, trace = traces[0]
            if not isinstance(error, DataError) and not _is_taken(self.store, trace):
                log.error("%d trace(s) wait for the store: %s", len(traces), error)
                return 0
            log.error("Trace %s that was received is not stored: %s", trace.id, error)
        for trace_id, _ in traces:
            self._remember(trace_id, frozenset(self._open.pop(trace_id).spans))
        return len(traces)

    def _trim(self) -> None:
        """The spool holds what is not stored, and not much more."""
        assert self._spool is not None
        if not self._open:
            self._spool.write([])
        elif self._spool.size() > COMPACT_BYTES:
            self._spool.write(
                [
                    (trace_id, span, held.resource)
                    for trace_id, held in self._open.items()
                    for span in held.spans.values()
                ]
            )


def _is_taken(store: Store, trace: Trace) -> bool:
    """Whether the id belongs to another trace for good."""
    try:
        store.get_trace(trace.id)
    except JudgeOptError:
        return False
    return True


def _with_metadata(trace: Trace, key: str, value: Any) -> Trace:
    from dataclasses import replace

    return replace(trace, metadata={**trace.metadata, key: value})


class _Spool:
    """Lines of JSON, one a request, each on disk before it is answered; a torn last line is no line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Arrived]:
        if not self.path.is_file():
            return []
        found: list[Arrived] = []
        data = self.path.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                found += [(str(one[0]), dict(one[1]), dict(one[2])) for one in json.loads(line)]
            except (ValueError, TypeError, LookupError) as error:
                log.error(
                    "Line %d of the spool %s cannot be read and is left out: %s", number, self.path, error
                )
        if torn:
            self.write(found)  # else the next line would be joined to the torn one
        return found

    def append(self, arrived: Sequence[Arrived]) -> None:
        if not arrived:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(json.dumps(arrived, separators=(",", ":")).encode("ascii") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def write(self, arrived: Sequence[Arrived]) -> None:
        line = json.dumps(arrived, separators=(",", ":")).encode("ascii") + b"\n" if arrived else b""
        write_bytes(self.path, line)

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0
