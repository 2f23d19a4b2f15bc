"""Looking into a trace that is too large to show: list, open, search, read.

What an agent may call. Every answer is bounded, no argument can make one fail, and spans go by the numbers
of the view (`#12`), which nothing inside the trace can choose.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.tokens import characters
from judge_opt.judges.views.fields import Part, parts_of, pieces_of
from judge_opt.judges.views.lines import span_line, summary
from judge_opt.judges.views.messages import parsed
from judge_opt.judges.views.text import SHORTEST, Layout, clip, fill, flat, flat_length, pieces, text_of
from judge_opt.judges.views.tree import Span, SpanTree, read_tree

PAGE = 20
"""Spans, or places found, in one answer."""

LEAST_TOKENS = 500
"""What one answer needs, so that every part of a span is at least begun."""

_QUOTED = Layout("\n| ", "\n| ")
_PIECES = Layout(between="\n  ")
_AROUND = 60
_LONGEST_ARGUMENT = 300

TOOLS = {
    "list_spans": (
        "Lists the spans under a span, or the topmost spans of the trace.",
        {"parent": "number of the span, such as '#4'; none for the topmost", "page": "from 1"},
    ),
    "get_span": (
        "Opens one span: its input, output, error and attributes, cut where they are long.",
        {"span_id": "number of the span, such as '#4'; 'trace' for the input and output of the whole"},
    ),
    "search_spans": (
        "Finds a text in the names and contents of all spans.",
        {"text": "what to look for; case does not matter", "page": "from 1"},
    ),
    "get_text": (
        "Reads on in one long part of a span.",
        {
            "span_id": "number of the span, such as '#4', or 'trace'",
            "path": "input, output, error, attributes or events; further steps after '/', as in output/items/0",
            "offset": "the first character to read, from 0",
        },
    ),
}
"""Tool to (what it does, argument to its meaning)."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One call that was made, and its answer."""

    tool: str
    arguments: Mapping[str, Any]
    answer: str


class SpanTools:
    """The tools on one trace.

    Args:
        trace: as of `render_trace`.
        tokens: the most that one answer may take, estimated; at least `LEAST_TOKENS`.

    Attributes:
        lookups: the calls so far, in order; a call that was made before is answered by a reference.
    """

    def __init__(self, trace: Any, tokens: int = 2000) -> None:
        self.tree: SpanTree = read_tree(trace)
        self.room = characters(tokens)
        self.lookups: list[Lookup] = []
        self._tools: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "list_spans": self._list,
            "get_span": self._get,
            "search_spans": self._search,
            "get_text": self._read,
        }

    def call(self, tool: str, arguments: Any) -> str:
        """The answer of a tool, or a line that says what is wrong with the call. Never raises."""
        given = {k: v for k, v in arguments.items() if _short(v)} if isinstance(arguments, Mapping) else {}
        if tool not in self._tools:
            return f"There is no such tool. Use {', '.join(self._tools)} or finish."
        asked = {name: given[name] for name in TOOLS[tool][1] if name in given}
        for i, one in enumerate(self.lookups, 1):
            if (one.tool, one.arguments) == (tool, asked):
                return f"You have asked this before: see result {i}."
        answer = self._tools[tool](asked)
        self.lookups.append(Lookup(tool, asked, answer))
        return answer

    def _list(self, asked: Mapping[str, Any]) -> str:
        parent = asked.get("parent")
        above: Span | None = None
        if parent is not None and _number(parent) != 0:
            above = self._span(parent)
            if above is None:
                return self._no_span(parent)
        numbers = above.children if above else [span.number for span in self.tree.spans if span.parent == 0]
        where = f"under #{above.number}" if above else "at the top"
        if not numbers:
            return f"There are no spans {where}."
        page = self._page(numbers, asked.get("page"), f"Spans {where}")
        each = (self.room - len(page.title)) // PAGE - 1
        lines = []
        for number in page.items:
            span = self.tree.spans[number - 1]
            below = f", {len(span.children):,} below" if span.children else ""
            lines.append(f"{span_line(span, depth=1)}{below}"[:each])
        return "\n".join([page.title, *lines])

    def _get(self, asked: Mapping[str, Any]) -> str:
        found = self._place(asked.get("span_id"))
        if found is None:
            return self._no_span(asked.get("span_id"))
        span, parts = found
        title = _line(span) if span else summary(self.tree)
        names = [f"{part.name}: " for part in parts]
        texts = [pieces([piece.lead + piece.text for piece in pieces_of(p.name, p.value)]) for p in parts]
        wants = [
            len(name) + flat_length(text, self.room, _PIECES) + 1
            for name, text in zip(names, texts, strict=True)
        ]
        least = [min(want, len(name) + SHORTEST + 1) for want, name in zip(wants, names, strict=True)]
        more = [want - some for want, some in zip(wants, least, strict=True)]
        given = fill(more, [1] * len(more), self.room - len(title) - 1 - sum(least))
        lines = [title]
        for name, text, some, extra in zip(names, texts, least, given, strict=True):
            lines.append(name + clip(text, some + extra - len(name) - 1, _PIECES)[0])
        return "\n".join(lines)

    def _search(self, asked: Mapping[str, Any]) -> str:
        text = asked.get("text")
        if not isinstance(text, str) or not text.strip():
            return "Say which text to look for."
        pattern = re.compile(re.escape(text), re.IGNORECASE)
        places = [hit for span in self.tree.spans if (hit := _hit(span, pattern)) is not None]
        if not places:
            return "No span holds this text."
        page = self._page(places, asked.get("page"), "Spans that hold it")
        each = (self.room - len(page.title)) // PAGE - 1
        return "\n".join([page.title, *(f"#{number} {where}"[:each] for number, where in page.items)])

    def _read(self, asked: Mapping[str, Any]) -> str:
        found = self._place(asked.get("span_id"))
        if found is None:
            return self._no_span(asked.get("span_id"))
        span, parts = found
        place = f"#{span.number}" if span else "trace"
        name, *steps = str(asked.get("path") or "output").strip("/").split("/")
        part = next((part for part in parts if part.name == name), None)
        if part is None:
            return f"{place} has {', '.join(part.name for part in parts) or 'nothing to read'}."
        value = part.value
        for step in steps:
            value = _below(value, step)
            if value is None:
                return f"{place} {name} has nothing at that path."
        text = text_of(value)
        offset = min(max(_number(asked.get("offset")) or 0, 0), len(text))
        return self._slice(f"{place} {name}", text, offset)

    def _slice(self, place: str, text: str, offset: int) -> str:
        some = text[offset : offset + self.room]
        room = self.room - 140  # the longest title
        while len(flat(some, _QUOTED)) > room:
            some = some[: min(len(some) - 1, len(some) * room // len(flat(some, _QUOTED)))]
        end = offset + len(some)
        rest = f"; read on with offset {end}" if end < len(text) else ""
        title = f"{place}, characters {offset:,} to {end:,} of {len(text):,}{rest}:"
        return f"{title}\n| {flat(some, _QUOTED)}"

    def _place(self, number: Any) -> tuple[Span | None, list[Part]] | None:
        """A span with its parts; None and the trace's own; None where there is no such span."""
        if number in ("trace", "#0", "0", 0):
            own = [("input", self.tree.inputs), ("output", self.tree.outputs)]
            return None, [Part(name, value, 1) for name, value in own if value is not None]
        span = self._span(number)
        return (span, parts_of(span)) if span else None

    def _span(self, number: Any) -> Span | None:
        read = _number(number)
        return self.tree.get(read) if read is not None else None

    def _no_span(self, asked: Any) -> str:
        if asked is None:
            return "Say which span, by its number, such as '#1'."
        return f"There is no such span: numbers go from #1 to #{len(self.tree.spans)}."

    def _page(self, items: Sequence[Any], asked: Any, what: str) -> "_Page":
        pages = -(-len(items) // PAGE)
        page = min(max(_number(asked) or 1, 1), pages)
        some = items[(page - 1) * PAGE : page * PAGE]
        first = (page - 1) * PAGE + 1
        title = f"{what} ({first:,} to {first + len(some) - 1:,} of {len(items):,}, page {page} of {pages}):"
        return _Page(title, some)


@dataclass(frozen=True, slots=True)
class _Page:
    title: str
    items: Sequence[Any]


def _line(span: Span) -> str:
    above = f", under #{span.parent}" if span.parent else ""
    below = f", {len(span.children):,} below" if span.children else ""
    return f"{span_line(span, depth=1)}{above}{below}"


def _hit(span: Span, pattern: re.Pattern[str]) -> tuple[int, str] | None:
    """(number, what was found where), the first place in a span."""
    line = span_line(span, depth=1)
    if pattern.search(line):
        return span.number, line.split(" ", 1)[1]
    for part in parts_of(span):
        text = pieces([piece.lead + piece.text for piece in pieces_of(part.name, part.value)])
        if (found := pattern.search(text)) is not None:
            around = text[max(found.start() - _AROUND, 0) : found.end() + _AROUND]
            return span.number, f"{part.name}, character {found.start():,}: {flat(around)}"
    return None


def _below(value: Any, step: str) -> Any:
    value = parsed(value)
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list | tuple) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
        return value[int(step)]
    return None


def _short(value: Any) -> bool:
    """True for what an argument can be: a text or a number of ordinary size."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_ARGUMENT
    return isinstance(value, int | float) and abs(value) < 10**15


def _number(value: Any) -> int | None:
    """A number of a span or a page: 4, "4", "#4"."""
    if isinstance(value, int | float):
        return int(value)
    text = value.strip().lstrip("#") if isinstance(value, str) else ""
    return int(text) if text.isdecimal() and len(text) < 16 else None
