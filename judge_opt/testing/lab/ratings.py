"""Bare numbers that rate an item ("score: 0.5", "4/5"), read where a text gives no label at all."""

import re
from collections.abc import Sequence

from judge_opt.testing.lab.items import Found

_N = r"-?\d+(?:\.\d+)?"
_END = r"(?=[\"'`*\])}]*\s*(?:$|[,;(<)\]}|]|\.(?!\d)|because\b))"
_OF = rf"(?:\s*(?:/|\bout\s+of\b)\s*(?P<top>{_N})|\s*(?P<percent>%))?"
_KEYED = re.compile(
    r"(?<![a-z])(?P<key>scores?|scored|ratings?|rated|rewards?|grades?|graded|marks?|metrics?)(?![a-z])"
    r"(?:[^\w\n]*\([^()\n]{0,30}\))?"  # what the number may be
    r"(?:[\W_]|\b(?:of|is|was|value|it|as|at|with)\b){1,12}?"
    r"(?:(?<=[\W_])[a-z][\w -]{0,30}[\"'*]*\s*[:=>\n][\s\"'*#]*)?"  # the name of one score of several
    rf"(?P<value>{_N}){_OF}(?:\s*(?:points?|stars?)\b)?{_END}",
    re.IGNORECASE | re.MULTILINE,
)
_COUNTED = re.compile(rf"(?<![\w.])(?P<value>{_N}){_OF}\s*(?:points?|stars?)\b", re.IGNORECASE)
_OTHER = re.compile(r"\b(?:confidence|probability|similarity|certainty|match)\W*$", re.IGNORECASE)
_TOPS = (1.0, 5.0, 10.0, 100.0)


def numbers(text: str, stretches: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
    """(place, goodness from -1 to 1) of each number that rates something in these stretches of the text.

    A number that says of how many is a share of it. The others are on one scale, whose top is the first of
    1, 5, 10 and 100 that holds them all; on 5 and 10 the lowest is 1 unless a 0 is there, and where a number
    is negative the lowest is minus the top. Numbers above 100 rate nothing.
    """
    found: dict[int, tuple[float, float | None]] = {}
    for start, end in stretches:
        for pattern in (_KEYED, _COUNTED):
            for match in pattern.finditer(text, start, end):
                if not _OTHER.search(text[max(0, match.start() - 20) : match.start()].replace("_", " ")):
                    top = 100.0 if match["percent"] else float(match["top"]) if match["top"] else None
                    found[match.start("value")] = float(match["value"]), top
    free = [value for value, top in found.values() if top is None]
    high = next((top for top in _TOPS if not free or max(map(abs, free)) <= top), None)
    low = 0.0
    if free and high is not None:
        low = -high if min(free) < 0 else float(high in (5.0, 10.0) and min(free) >= 1)
    told = []
    for at, (value, top) in sorted(found.items()):
        bottom, ceiling = (low, high) if top is None else (0.0, top)
        if ceiling is not None and ceiling > bottom and bottom <= value <= ceiling:
            told.append((at, 2.0 * (value - bottom) / (ceiling - bottom) - 1.0))
    return told


def mentions(items: Sequence[Found]) -> list[tuple[Found, list[int]]]:
    """Items of the same text that follow each other as one, with their numbers: from the first's beginning to
    the last's end."""
    found: list[tuple[Found, list[int]]] = []
    for index, item in enumerate(items):
        if found and found[-1][0].text == item.text:
            before, same = found[-1]
            found[-1] = Found(before.start, item.end, item.text, item.shown), [*same, index]
        else:
            found.append((item, [index]))
    return found
