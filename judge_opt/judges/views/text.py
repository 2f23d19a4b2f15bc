"""Values as text that cannot pretend to be anything else, cut to a given length.

A view is made of lines, and hostile text holds line breaks: written as it is, a tool's result could begin
a line of its own that looks like the next span, or like the user's next turn. Every break inside a value
is therefore written as its `Layout` says, and the length of what comes out is known before it is put
together.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from judge_opt.core.text import encodable, printable

BETWEEN = "\x1f"
"""Stands between the pieces of a composed text, such as the messages of one call; see `pieces`."""


class Layout(NamedTuple):
    """How breaks are written: those inside a text, and `BETWEEN` its pieces."""

    inside: str = "\\n"
    between: str = "\\n"


ONE_LINE = Layout()

_BREAK = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_PLAIN_NAME = re.compile(r"[\w.:/@ -]*\w[\w.:/@ -]*", re.ASCII)
_DEEPEST = 12
_MOST_NODES = 2000


@dataclass(frozen=True, slots=True)
class Cut:
    """What a view leaves out in one place.

    Attributes:
        where: the place, as the view's own text names it: "#3 output", "#7-#120", "turn 4".
        unit: what is counted: characters, spans or turns.
        cut, shown: how many of them are left out, and how many are there; together all.
    """

    where: str
    unit: str
    cut: int
    shown: int

    def to_json(self) -> dict[str, Any]:
        return {"where": self.where, "unit": self.unit, "cut": self.cut, "shown": self.shown}


def text_of(value: Any) -> str:
    """Any value as text: text as it is, everything else as JSON on one line. Never raises.

    What JSON cannot carry (cycles, nesting without end, numbers of thousands of digits) is shown as far as
    it goes. An object of another type is its type's name: its own text may hold an address in memory.
    """
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_pruned(value, _DEEPEST, [_MOST_NODES]), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(map(text_of, value))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return list(value)
    if isinstance(value, date | time | Decimal | UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return f"<{type(value).__name__}>"


def _pruned(value: Any, depth: int, left: list[int]) -> Any:
    """At most `depth` levels and `left[0]` values of it."""
    left[0] -= 1
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 1000 else "<a number of thousands of digits>"
    if depth == 0 or left[0] <= 0:
        return "…"
    if not isinstance(value, Mapping | list | tuple):
        value = _plain(value)
    if isinstance(value, Mapping):
        some = islice(value.items(), max(left[0], 0))
        return {_key(key): _pruned(inner, depth - 1, left) for key, inner in some}
    if isinstance(value, list | tuple):
        return [_pruned(inner, depth - 1, left) for inner in islice(value, max(left[0], 0))]
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else f"<{type(key).__name__}>"


def pieces(texts: Sequence[str]) -> str:
    """Texts as one, each a piece of its own; none of them can pretend to be two."""
    return BETWEEN.join(text.replace(BETWEEN, "\n") for text in texts)


def flat(text: str, layout: Layout = ONE_LINE) -> str:
    """The text with every kind of line break written as the layout says, lone surrogates as escapes."""
    inside, between = layout
    return encodable(_BREAK.sub(lambda found: between if found[0] == BETWEEN else inside, text))


def flat_length(text: str, limit: int, layout: Layout = ONE_LINE) -> int:
    """`len(flat(text))` where that is at most `limit`, else some number above `limit`; costs no more than
    `limit` characters do."""
    return len(text) if len(text) > limit else len(flat(text, layout))


def mark(cut: int) -> str:
    """What stands in the place of `cut` characters."""
    return f"[… {cut:,} characters cut …]"


SHORTEST = 60
"""The least room that `clip` takes: a mark and a few characters on both sides."""


def clip(text: str, room: int, layout: Layout = ONE_LINE) -> tuple[str, int]:
    """The text in at most `room` characters, its middle replaced by a mark where it is longer.

    Args:
        room: at least `SHORTEST`, or what the whole text takes.

    Returns:
        the text, flattened; and how many characters of the original it shows.
    """
    if flat_length(text, room, layout) <= room:
        return flat(text, layout), len(text)
    keep = room - len(mark(len(text)))
    tail = _fitting(text, keep // 3, layout, end=True)
    head = _fitting(text, keep - keep // 3, layout, end=False)
    shown = head + tail
    end = flat(text[len(text) - tail :], layout) if tail else ""
    return f"{flat(text[:head], layout)}{mark(len(text) - shown)}{end}", shown


def _fitting(text: str, room: int, layout: Layout, *, end: bool) -> int:
    """How many characters of the text's beginning or end fit in `room`."""
    some = text[len(text) - room :] if end else text[:room]

    def size(count: int) -> int:
        part = some[len(some) - count :] if end else some[:count]
        return len(flat(part, layout))

    if size(len(some)) <= room:
        return len(some)
    return bisect_right(range(len(some)), room, key=size) - 1


def short_name(value: Any, longest: int = 60) -> str:
    """A name from outside for use inside a line: quoted unless it is made of letters, digits and `.:/@-_`,
    so that it cannot look like anything else that stands there."""
    text = value if isinstance(value, str) else "" if value is None else text_of(value)
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    text = printable(flat(text)).strip()[: 2 * longest]
    if _PLAIN_NAME.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def fill(wants: Sequence[int], weights: Sequence[int], room: int) -> list[int]:
    """Shares of `room`, weighted max-min fair: nobody gets more than it wants, and what it does not want
    goes to the others in proportion to their weights."""
    given = [0] * len(wants)
    left, weight = max(room, 0), sum(weights)
    for i in sorted(range(len(wants)), key=lambda i: (wants[i] / weights[i], i)):
        given[i] = min(wants[i], left * weights[i] // weight)
        left -= given[i]
        weight -= weights[i]
    return given
