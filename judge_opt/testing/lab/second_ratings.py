"""The second reader's numbers, apart from `ratings`: a number rates where the words just before it say so."""

import re

_NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?:\.\d+)?(?![\w]|\.\d)")
_WORD = re.compile(r"[A-Za-z]+")
_STEM = re.compile(r"(?:scor(?:es?|ed)|rat(?:ings?|ed)|rewards?|grade[sd]?|marks?|metrics?)$", re.IGNORECASE)
_FILLER = {"of", "is", "was", "value", "it", "as", "at", "with"}
_NOT_A_RATING = {"confidence", "probability", "similarity", "certainty", "match"}
_CLOSED = re.compile(r"[\"'`*\])}]*\s*(?:$|[,;()<\]}|]|\.(?!\d)|because\b)", re.IGNORECASE | re.MULTILINE)
_SHARE = re.compile(r"\s*(?:%|(?:/|out\s+of\b)\s*(?P<of>\d+(?:\.\d+)?))", re.IGNORECASE)
_UNIT = re.compile(r"\s*(?:points?|stars?)\b", re.IGNORECASE)


def second_numbers(text: str, start: int, end: int) -> list[tuple[int, float, float | None]]:
    """(place, number, of how many where that is told) of what rates in this stretch."""
    told = []
    after = start
    for match in _NUMBER.finditer(text, start, end):
        before = re.sub(r"\([^()\n]{0,30}\)", " ", text[max(after, match.start() - 70) : match.start()])
        share = _SHARE.match(text, match.end())
        rest = share.end() if share else match.end()
        unit = _UNIT.match(text, rest)
        named = _named(before) and _CLOSED.match(text, unit.end() if unit else rest)
        if (named or unit) and not _NOT_A_RATING & {word.lower() for word in _WORD.findall(before)[-3:]}:
            of = None if share is None else float(share["of"] or 100)
            told.append((match.start(), float(match[0]), of))
        if not re.search(r"\([^()\n]*$", text[max(start, match.start() - 30) : match.start()]):
            after = match.end()
    return told


def _named(before: str) -> bool:
    """Whether the last word says that a number rates; fillers and one name after it do not matter."""
    words = list(_WORD.finditer(before))
    while words and words[-1][0].lower() in _FILLER:
        words.pop()
    if not words:
        return False
    if _STEM.match(words[-1][0]):
        return True
    name = re.search(r"[:=>{\n#]\W*(?P<name>[A-Za-z][\w -]{0,30})[\"'*]*\s*[:=>\n][\s\"'*#]*$", before)
    if name is None:
        return False
    over = _WORD.findall(before[: name.start("name")])
    return bool(over) and bool(_STEM.match(over[-1]))


def goodness_of(told: list[tuple[int, float, float | None]]) -> list[tuple[int, float]]:
    """(place, from -1 for the worst to 1 for the best); see `ratings.numbers` for the scale."""
    free = [number for _, number, of in told if of is None]
    top = 0.0
    for top in (1.0, 5.0, 10.0, 100.0):
        if all(-top <= number <= top for number in free):
            break
    if any(number < 0 for number in free):
        bottom = -top
    else:
        bottom = 1.0 if top in (5.0, 10.0) and 0 not in free and min(free) >= 1 else 0.0
    made = []
    for at, number, of in told:
        lowest, highest = (bottom, top) if of is None else (0.0, of)
        if highest > lowest and lowest <= number <= highest:
            made.append((at, (number - lowest) / (highest - lowest) * 2.0 - 1.0))
    return made
