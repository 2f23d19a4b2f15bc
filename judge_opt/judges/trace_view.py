"""A whole trace as a text that a judge can read: the span tree within a token budget.

    view = render_trace(trace, budget=4000)
    view.text      # what `{{ trace }}` becomes
    view.cut       # what is not in it, place by place

A span is one line (number, type, name, duration, error, model, tokens), its error, input, output and
attributes are lines below it. Where the budget is short, the trace's own input and output come first, then
errors, tool calls, what models said, retrieved documents, the rest; a text that came before is referred to
and not shown again. The same trace gives the same bytes, whatever its span ids are.

Everything in a trace is hostile: no value can begin a line, names that are not plain are quoted, nothing
in a span makes this raise, and the work is linear in the size of the trace. 100,000 spans take less than
150 MB besides the trace (see `tests/judges/test_trace_view_size.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.tokens import characters, estimate_tokens
from judge_opt.judges.views.fields import MOST_WEIGHT, Part, Seen, parts_of, pieces_of
from judge_opt.judges.views.lines import span_line, summary
from judge_opt.judges.views.text import SHORTEST, Cut, Layout, clip, fill, flat_length
from judge_opt.judges.views.tree import Span, SpanTree, read_tree

MIN_BUDGET = 100
"""Tokens: enough for the summary and a few characters of input and output."""

_GAP = 50  # the longest line that stands for spans which are not shown
_OMITTED = 54  # the longest mention, in its span's line, of parts that are not shown at all
_ORDER = ("TOOL", "LLM", "RETRIEVER", "RERANKER", "AGENT", "GUARDRAIL")


@dataclass(frozen=True, slots=True)
class TraceView:
    """A trace as text.

    Attributes:
        text: lines; the same trace and budget give the same text.
        tokens: of the text, estimated; at most the budget.
        spans, shown: spans in the trace, and in the text.
        repeated: texts that are referred to, since they stand in the view already.
        cut: what was left out for lack of room, place by place; () where all is shown.
        notes: what was malformed.
    """

    text: str
    tokens: int
    spans: int
    shown: int
    repeated: int
    cut: tuple[Cut, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Entry:
    """One part of a shown span on its way into the view.

    Attributes:
        want, room: characters that its lines would take, and those that it gets; 0 where it is omitted.
    """

    part: Part
    prefix: str
    layout: Layout
    text: str
    want: int
    room: int = 0


@dataclass(slots=True)
class _Block:
    """One shown span (number 0: the trace itself) with its parts."""

    number: int
    line: str
    entries: list[_Entry] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"#{self.number}" if self.number else "trace"


def render_trace(trace: Any, budget: int = 4000) -> TraceView:
    """The view of a trace.

    Args:
        trace: a `Trace`, a mapping with `spans` (and `inputs`, `outputs`), or a list of spans.
            Expectations, tags, metadata and assessments are not shown: they can hold the answer.
        budget: the most tokens of the text, estimated at three characters a token; at least 100.

    Raises:
        UsageError: the budget is too small to show anything.
    """
    check_budget(budget)
    tree = read_tree(trace)
    room = characters(budget)
    share = 6 * room // 10
    while True:
        view = _render(tree, room, share)
        unused = room - len(view.text)
        if view.shown == view.spans or unused < room // 8 or share == room:
            return view
        share = min(share + unused, room)  # what the values did not want shows more spans


def _render(tree: SpanTree, room: int, share: int) -> TraceView:
    """Args:
    room: characters of the whole text.
    share: how many of them the lines of spans may take, and the mentions of what is omitted below them.
    """
    seen = Seen()
    own = [("input", tree.inputs), ("output", tree.outputs)]
    parts = [Part(name, value, MOST_WEIGHT) for name, value in own if value is not None]
    blocks = [_block(0, summary(tree), parts, seen, room)]
    share -= len(blocks[0].line) + 1 + _OMITTED
    for span, line in _chosen(tree, share):
        blocks.append(_block(span.number, line, parts_of(span), seen, room))
    _allot(blocks, room - _gaps(blocks, len(tree.spans)))
    return _written(blocks, tree, seen.repeated)


def check_budget(budget: int) -> None:
    """Raises:
    UsageError: a budget in which nothing can be shown.
    """
    if budget < MIN_BUDGET:
        raise UsageError(
            f"A view of {budget} tokens shows nothing.", f"Give a budget of {MIN_BUDGET} tokens or more."
        )


# -- which spans ---------------------------------------------------------------------------------------------


def _chosen(tree: SpanTree, room: int) -> list[tuple[Span, str]]:
    """The spans to show, in order, with their lines: all, or the most telling that fit in `room`."""
    left, whole = room, []
    for span in tree.spans:
        line = span_line(span)
        left -= _cost(span, line)
        if left < 0:
            break
        whole.append((span, line))
    else:
        return whole
    picked: dict[int, Span] = {}
    left = room - _GAP
    edges = {0, len(tree.spans) + 1}
    classes = _classes(tree.spans)
    for fraction in (2, 1):  # no class takes more than half of what is left before each had its turn
        for spans in classes:
            most = left - left // fraction
            for span in _ends_first(spans):
                if span.number in picked:
                    continue
                beside = sum(n in picked or n in edges for n in (span.number - 1, span.number + 1))
                cost = _cost(span, span_line(span, above=-1)) + _GAP * (1 - beside)
                if left - cost < most:
                    break
                left -= cost
                picked[span.number] = span
    return _placed([picked[number] for number in sorted(picked)], tree)


def _cost(span: Span, line: str) -> int:
    return len(line) + 1 + (_OMITTED if parts_of(span) else 0)


def _classes(spans: Sequence[Span]) -> list[list[Span]]:
    """Spans by how much they tell."""
    classes: dict[Any, list[Span]] = {key: [] for key in ("first", "failed", *_ORDER, "other")}
    for span in spans:
        if span.number == 1:
            classes["first"].append(span)
        elif span.failed:
            classes["failed"].append(span)
        else:
            classes[span.type if span.type in _ORDER else "other"].append(span)
    return list(classes.values())


def _ends_first(spans: Sequence[Span]) -> Iterator[Span]:
    """First, last, second, second last, ...: where a run began and how it ended."""
    for i in range((len(spans) + 1) // 2):
        yield spans[i]
        if len(spans) - 1 - i > i:
            yield spans[-1 - i]


def _placed(spans: Sequence[Span], tree: SpanTree) -> list[tuple[Span, str]]:
    """Each span indented below its parent where that is shown. Where it is not, the line names it: looking
    for the nearest shown ancestor would cost the tree's depth for each."""
    depths: dict[int, int] = {}
    placed = []
    for span in spans:
        above = span.parent if span.parent in depths else 0
        depths[span.number] = depth = depths.get(above, 0) + 1
        placed.append((span, span_line(span, depth, above)))
    return placed


def _gaps(blocks: Sequence[_Block], spans: int) -> int:
    """Room for the lines that stand for the spans which are not shown."""
    return _GAP * len(list(_missing([block.number for block in blocks], spans)))


def _missing(numbers: Sequence[int], spans: int) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of spans that is not shown; `numbers` begins with 0."""
    for one, other in zip(numbers, [*numbers[1:], spans + 1], strict=True):
        if other > one + 1:
            yield one + 1, other - 1


# -- what of them --------------------------------------------------------------------------------------------


def _block(number: int, line: str, parts: Iterable[Part], seen: Seen, room: int) -> _Block:
    block = _Block(number, line)
    margin = line[: len(line) - len(line.lstrip(" "))] + ("  " if number else "")
    layout = Layout(between=f"\n{margin}  ")
    for part in parts:
        text = seen.compose(pieces_of(part.name, part.value), f"{block.place} {part.name}")
        prefix = f"{margin}{part.name}: "
        want = len(prefix) + flat_length(text, room, layout) + 1
        block.entries.append(_Entry(part, prefix, layout, text, want))
    return block


def _allot(blocks: Sequence[_Block], room: int) -> None:
    """Give every part its room, or none where it would be too little to show anything."""
    left = room - sum(len(block.line) + 1 for block in blocks)
    alive = [(block.number, entry) for block in blocks for entry in block.entries]
    mentioned: set[int] = set()
    while alive:
        rooms = fill([entry.want for _, entry in alive], [entry.part.weight for _, entry in alive], left)
        kept = []
        for (number, entry), given in zip(alive, rooms, strict=True):
            entry.room = given
            if given < entry.want and given < len(entry.prefix) + SHORTEST + 1:
                entry.room = 0
                left -= _OMITTED if number not in mentioned else 0
                mentioned.add(number)
            else:
                kept.append((number, entry))
        if len(kept) == len(alive):
            return
        alive = kept


def _written(blocks: Sequence[_Block], tree: SpanTree, repeated: int) -> TraceView:
    lines: list[str] = []
    cuts: list[Cut] = []
    gaps = dict(_missing([block.number for block in blocks], len(tree.spans)))
    for block in blocks:
        lines.append(block.line + _mention([entry for entry in block.entries if not entry.room]))
        for entry in block.entries:
            text, shown = "", 0
            if entry.room:
                text, shown = clip(entry.text, entry.room - len(entry.prefix) - 1, entry.layout)
                lines.append(entry.prefix + text)
            if shown < len(entry.text):
                where = f"{block.place} {entry.part.name}"
                cuts.append(Cut(where, "characters", len(entry.text) - shown, shown))
        first = block.number + 1
        if first in gaps:
            count = gaps[first] - block.number
            lines.append(f"[… {count:,} spans cut: #{first} to #{gaps[first]} …]")
            cuts.append(Cut(f"#{first} to #{gaps[first]}", "spans", count, 0))
    text = "\n".join(lines)
    return TraceView(
        text, estimate_tokens(text), len(tree.spans), len(blocks) - 1, repeated, tuple(cuts), tree.notes
    )


def _mention(omitted: Sequence[_Entry]) -> str:
    if not omitted:
        return ""
    names = ", ".join(entry.part.name for entry in omitted)
    if len(names) > 20:
        names = f"{len(omitted)} parts"
    return f" [cut: {names}, {sum(len(entry.text) for entry in omitted):,} characters]"
