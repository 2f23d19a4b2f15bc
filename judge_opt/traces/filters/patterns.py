"""LIKE patterns: `%` is any text, `_` one character, and a backslash takes either as it is.

A pattern is read once into pieces, and written in the form that a database wants, or matched here: SQLite's
own LIKE ignores case, and only that of ASCII.
"""

import re
from collections.abc import Callable
from functools import lru_cache

ANY, ONE = "%", "_"
ESCAPE = "!"
"""The escape character of patterns that are sent to a database."""

Piece = tuple[str, str]
"""("%", ""), ("_", "") or ("text", literal text)."""


def read_pattern(pattern: str) -> list[Piece]:
    """The pieces of a pattern; a backslash at the end, or before another character, is itself."""
    pieces: list[Piece] = []
    literal = ""
    place = 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\" and pattern[place + 1 : place + 2] in ("%", "_", "\\"):
            literal += pattern[place + 1]
            place += 2
            continue
        if char in (ANY, ONE):
            if literal:
                pieces.append(("text", literal))
                literal = ""
            pieces.append((char, ""))
        else:
            literal += char
        place += 1
    if literal:
        pieces.append(("text", literal))
    return pieces


def literal_pattern(text: str) -> str:
    """The pattern that only `text` matches."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def write_pattern(pattern: str, stored: Callable[[str], str]) -> str:
    """The pattern for a database, with `!` as the escape.

    Args:
        stored: from literal text to the form in which the database holds it.
    """
    written = ""
    for kind, literal in read_pattern(pattern):
        if kind == "text":
            written += re.sub(r"([!%_])", r"!\1", stored(literal))
        else:
            written += kind
    return written


@lru_cache(maxsize=64)
def matcher(written: str, ignore_case: bool) -> Callable[[str], bool]:
    """Whether a text matches a pattern that `write_pattern` wrote.

    The pieces between two `%` are searched from left to right, the leftmost match of each: that is right
    because a piece has a fixed length, and takes no more than length times length, whatever the pattern.
    """
    segments: list[str] = [""]
    place = 0
    while place < len(written):
        char = written[place]
        if char == ESCAPE:
            place += 1
            segments[-1] += re.escape(written[place])
        elif char == ANY:
            segments.append("")
        else:
            segments[-1] += "." if char == ONE else re.escape(char)
        place += 1
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    found = [re.compile(segment, flags) for segment in segments]
    last = re.compile(segments[-1] + r"\Z", flags)
    length = _length(segments[-1])

    def matches(text: str) -> bool:
        if len(found) == 1:
            return last.match(text) is not None
        start = found[0].match(text)
        if start is None:
            return False
        end = start.end()
        for segment in found[1:-1]:
            hit = segment.search(text, end)
            if hit is None:
                return False
            end = hit.end()
        place = len(text) - length
        return place >= end and last.match(text, place) is not None

    return matches


def _length(segment: str) -> int:
    """How many characters a segment matches: escapes count as one."""
    return len(re.sub(r"\\(.)", r"\1", segment, flags=re.DOTALL))
