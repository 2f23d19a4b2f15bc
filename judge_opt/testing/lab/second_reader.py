"""A second reader of requests, written apart from `reading` and by another method, to check it.

`reading` counts breaks between an item and what is said of it. This one cuts: the text is divided at the
strongest separators that part its items (messages, numbered headings, lines that repeat, objects, sections,
paragraphs, lines, repeated keys) until each piece holds one item at most, and what stands in a piece belongs
to its item. Whose words they are is decided by sentence, key, enclosing key and section, in this order. The
server does not use it; tests hold the two against each other on real prompts.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge_opt.testing.lab.grammar import Rule, Sentence, sentences
from judge_opt.testing.lab.lexicon import FEATURES, LABEL_SETS, LABELS, NUISANCE, OPENER, TOPICS
from judge_opt.testing.lab.scores import right_label
from judge_opt.testing.lab.second_ratings import goodness_of, second_numbers


@dataclass(slots=True)
class Entry:
    """An item's text and what is said of it."""

    text: str
    start: int
    end: int
    labels: list[str] = field(default_factory=list)
    model_labels: list[str] = field(default_factory=list)
    reasons: list[tuple[tuple[str, bool], ...]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SecondReading:
    """As `reading.Reading`; `rules` are distinct and in order."""

    entries: tuple[Entry, ...]
    rules: tuple[Rule, ...]
    scale: tuple[str, ...]


_SENTENCES = sorted((*NUISANCE, *(s for f in FEATURES.values() for s in f.sentences)), key=len, reverse=True)
_NEXT_SENTENCE = re.compile(
    r"\s+(?:" + "|".join(r"\s+".join(map(re.escape, s.split())) for s in _SENTENCES) + ")"
)
_OPENED = re.compile(
    r"\s+".join(map(re.escape, OPENER.split()))
    .replace(r"\{topic\}", "(?:" + "|".join(TOPICS) + ")")
    .replace(r"\{number\}", r"\d+")
)
_ANY_LABEL = "|".join(sorted(LABELS, key=len, reverse=True))
_GIVEN = re.compile(
    rf"(?:[:=]|(?:is|said|says|rated|->)\s|^|\]\]|>)[\s\"'`*(\[]*(?P<label>{_ANY_LABEL})"
    r"(?=[\"'`*\])}]*\s*(?:$|[.,;)<\]}(]|because\b|-))",
    re.IGNORECASE | re.MULTILINE,
)
_PEOPLE = re.compile(
    r"\b(experts?|humans?|raters?|annotators?|reviewers?|people|gold|oracle|feedback|correct|right|users?|"
    r"expected)\b",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(judge|model|generated|predict\w*|assistant|worse|better|trajector\w+|system|current)\b",
    re.IGNORECASE,
)
_SECTION = re.compile(
    r"^[ \t]*(?:\[\[\W*(?P<a>\w[\w ]*?)\W*\]\]|#+[ \t]+(?P<b>\w[^\n]*?)|<(?P<c>\w+)>)[ \t]*$", re.MULTILINE
)
_USER, _ASSISTANT = "\x1d", "\x1f"


def second_read(messages: Sequence[Mapping[str, Any]], choices: Sequence[str] = ()) -> SecondReading:
    """Read a request; arguments as of `reading.read`."""
    text = _flat(messages)
    entries = _find(text)
    outside = _outside(text, entries)
    told = [one for start, end in outside for one in _sentences_in(text, start, end)]
    rules = tuple(dict.fromkeys(one.rule for one in told if one.rule and not _by_assistant(text, one.at)))
    barred = [(one.start, one.start + len(one.text)) for one in told if one.rule is not None]
    given = [
        (m.start("label"), m["label"].lower())
        for start, end in outside
        for m in _GIVEN.finditer(text, start, end)
        if not any(a <= m.start("label") < b for a, b in barred) and not _is_choice(text, m.start("label"))
    ]
    scale = _scale_of(text, outside, choices, {label for _, label in given})
    if entries:
        given = [(at, label) for at, label in given if not scale or label in scale]
        reasons = [one for one in told if one.rule is None]
        pieces = _pieces(text, entries, sorted([at for at, _ in given] + [one.at for one in reasons]))
        for at, label in given:
            if (entry := _owner_of(pieces, at)) is not None:
                (entry.model_labels if _is_models(text, at) else entry.labels).append(label)
        for one in reasons:
            entry = _owner_of(pieces, one.at)
            if entry is not None and not _is_models(text, one.at):
                entry.reasons.append(one.literals)
        for k, entry in enumerate(entries):
            if entry.model_labels and not entry.labels:
                after = entries[k + 1].start if k + 1 < len(entries) else len(text)
                entry.labels += right_label(text[entry.end : after], entry.model_labels[-1], scale)
        if not any(entry.labels or entry.model_labels for entry in entries):
            _rate(text, entries, outside)
    return SecondReading(tuple(entries), rules, scale)


def _rate(text: str, entries: Sequence[Entry], outside: Sequence[tuple[int, int]]) -> None:
    """Numbers in the place of labels, cut out as these are; the last mention of an item stands for those that
    directly precede it."""
    told = goodness_of([one for start, end in outside for one in second_numbers(text, start, end)])
    if not told:
        return
    runs = [list(same) for _, same in itertools.groupby(entries, key=lambda entry: entry.text)]
    whole = [Entry(same[0].text, same[0].start, same[-1].end) for same in runs]
    pieces = _pieces(text, whole, [at for at, _ in told])
    for at, goodness in told:
        entry = _owner_of(pieces, at)
        for one, same in zip(whole, runs, strict=True):
            if one is entry:
                same[-1].scores.append(goodness)
    for same in runs:
        said = [why for entry in same for why in entry.reasons]
        for entry in same:
            entry.reasons.clear()
        same[-1].reasons += said


def _flat(messages: Sequence[Mapping[str, Any]]) -> str:
    """One text; a sign before each message; escaped quotes and breaks as what they stand for."""
    text = ""
    for message in messages:
        sign = _ASSISTANT if message.get("role") == "assistant" else _USER
        text += f"\n{sign}\n{message.get('content') or ''}"
    text = re.sub(r"\\([nt\"])", lambda m: {"n": "\n", "t": " ", '"': '"'}[m[1]], text)
    text = re.sub("[\u200b-\u200d\ufeff]", "", text)
    # A full line that the next one continues in lower case was wrapped.
    return re.sub(r"(?m)(?<=^.{40})([^\n]*[a-z,])\n(?=[a-z])", r"\1 ", text)


def _find(text: str) -> list[Entry]:
    """Items: an opening, and known sentences for as long as they follow."""
    found = []
    for opening in _OPENED.finditer(text):
        end = opening.end()
        while following := _NEXT_SENTENCE.match(text, end):
            end = following.end()
        found.append(Entry(" ".join(text[opening.start() : end].split()), opening.start(), end))
    return found


def _outside(text: str, entries: Sequence[Entry]) -> list[tuple[int, int]]:
    edges = [0, *(edge for one in entries for edge in (one.start, one.end)), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _sentences_in(text: str, start: int, end: int) -> list[Sentence]:
    return [
        Sentence(start + one.start, start + one.at, one.text, one.literals, one.rule)
        for one in sentences(text[start:end])
    ]


def _by_assistant(text: str, at: int) -> bool:
    return text.rfind(_ASSISTANT, 0, at) > text.rfind(_USER, 0, at)


def _is_choice(text: str, at: int) -> bool:
    """Whether the label at `at` stands in a list of what may be said."""
    around = text[max(0, at - 40) : at + 60]
    here = [m[0].lower() for m in re.finditer(rf"\b(?:{_ANY_LABEL})\b", around, re.IGNORECASE)]
    listed = rf"\b(?:{_ANY_LABEL})\b[\"'`]*\s*(?:,|;|/|\||or)\s*(?:or\s+)?[\"'`]*(?:{_ANY_LABEL})\b"
    return len(set(here)) > 1 and bool(re.search(listed, around, re.IGNORECASE))


def _scale_of(
    text: str, outside: Sequence[tuple[int, int]], choices: Sequence[str], given: set[str]
) -> tuple[str, ...]:
    """The label set that is named: by the schema, else whole within a few words, else by what was given."""
    named = {one.lower() for one in choices} & set(LABELS)
    around = "\n".join(text[start:end] for start, end in outside)
    words = [(m.start(), m[0].lower()) for m in re.finditer(rf"\b(?:{_ANY_LABEL})\b", around, re.IGNORECASE)]
    fitting: list[tuple[str, ...]] = []
    for labels in LABEL_SETS:
        if named:
            if named <= set(labels):
                fitting.append(labels)
            continue
        for k, (at, _) in enumerate(words):
            near = [word for place, word in words[k : k + len(labels)] if place - at < 20 * len(labels)]
            if set(near) == set(labels):
                fitting.append(labels)
                break
    if not fitting:
        fitting = [labels for labels in LABEL_SETS if given and given <= set(labels)]
        return min(fitting, key=len) if fitting else ()
    return min(fitting, key=len) if named else max(fitting, key=len)


# -- cutting --------------------------------------------------------------------------------------------------

Piece = tuple[int, int, Entry | None]


def _pieces(text: str, entries: Sequence[Entry], said: Sequence[int]) -> list[Piece]:
    """(start, end, item) of the text's pieces, each with the item to which what stands in it belongs."""
    cut = _cut(text, 0, len(text), list(entries))
    # A piece without an item goes with the one before, or with the one after where the text begins so.
    talking = [(a, b, e) for a, b, e in cut if e is not None or any(a <= at < b for at in said)]
    first_said = next((k for k, (_, _, e) in enumerate(talking) if e is None), None)
    first_item = next((k for k, (_, _, e) in enumerate(talking) if e is not None), None)
    ahead = first_said is not None and first_item is not None and first_said < first_item
    bare = [e for a, b, e in talking if e is not None and not any(a <= at < b for at in said)]
    if not bare:  # every item has its own words in its piece: a piece without one says nothing of any
        return cut
    owned: list[Piece] = []
    for k, (start, end, entry) in enumerate(cut):
        if entry is None:
            side = [e for _, _, e in (cut[k + 1 :] if ahead else reversed(cut[:k])) if e is not None]
            entry = side[0] if side else None
        owned.append((start, end, entry))
    return owned


def _owner_of(pieces: Sequence[Piece], at: int) -> Entry | None:
    return next((entry for start, end, entry in pieces if start <= at < end), None)


def _cut(text: str, start: int, end: int, inside: list[Entry]) -> list[Piece]:
    if len(inside) <= 1:
        return [(start, end, inside[0] if inside else None)]
    for separator in _SEPARATORS:
        places = [at for at in separator(text, start, end, inside) if start < at < end]
        places = [at for at in places if not any(one.start < at < one.end for one in inside)]
        edges = [start, *sorted(set(places)), end]
        parts = [(a, b, [one for one in inside if a <= one.start < b]) for a, b in itertools.pairwise(edges)]
        if sum(bool(held) for _, _, held in parts) > 1:
            return [piece for a, b, held in parts for piece in _cut(text, a, b, held)]
    return [(start, end, inside[0])]


def _by(pattern: str) -> Callable[[str, int, int, Sequence[Entry]], list[int]]:
    compiled = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
    return lambda text, start, end, inside: [m.start() for m in compiled.finditer(text, start, end)]


def _repeated_lines(text: str, start: int, end: int, inside: Sequence[Entry]) -> list[int]:
    """Beginnings of a line that stands, the same, before every item but perhaps one."""
    lines = [(m.start(), m[0].strip()) for m in re.finditer(r"^[^\n]+$", text[start:end], re.MULTILINE)]
    lines = [
        (start + at, line)
        for at, line in lines
        if line and not any(one.start < start + at < one.end for one in inside)
    ]
    for line, count in Counter(line for _, line in lines).items():
        if len(inside) - 1 <= count <= len(inside) and re.fullmatch(r"\W*\w+\W*", line):
            if line.lower().strip(":") in LABELS:
                continue
            places = [at for at, other in lines if other == line]
            if places[0] < inside[0].start or count == len(inside):
                return places
    return []


def _repeated_keys(text: str, start: int, end: int, inside: Sequence[Entry]) -> list[int]:
    """Places of the first key that comes once an item, and before it."""
    keys = [(m.start(), m["key"]) for m in re.finditer(r"[\"']?\b(?P<key>\w+)[\"']?\s*:\s", text[start:end])]
    for key, count in Counter(key for _, key in keys).items():
        places = [start + at for at, other in keys if other == key]
        if count == len(inside) and all(a < one.start for a, one in zip(places, inside, strict=True)):
            return places
    return []


_SEPARATORS: tuple[Callable[[str, int, int, Sequence[Entry]], list[int]], ...] = (
    _by(_USER),
    _by(r"^\W*(?:example|item|record|case|row|sample)\s+\d+\b"),
    _repeated_lines,
    _by(r"(?<=\})\s*,?\s*(?=\{)"),
    _by(_SECTION.pattern),
    _by(r"^[ \t]*$"),
    _repeated_keys,
    _by(r"^"),
)


# -- whose words ------------------------------------------------------------------------------------------------


def _is_models(text: str, at: int) -> bool:
    """Whether the judging model said what stands at `at`."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    sentence = re.split(r"[.!?]\s|\"\s*,|'\s*,", line)[-1]
    for words in (sentence, *_enclosing(text, at)):
        plain = words.replace("_", " ")
        machine = [m.end() for m in _MACHINE.finditer(plain)]
        people = [m.end() for m in _PEOPLE.finditer(plain)]
        if machine or people:
            return max(machine, default=-1) > max(people, default=-1)
    return False


def _enclosing(text: str, at: int) -> list[str]:
    """What the words stand under: keys of open objects, innermost first, then the section, then headings of
    higher rank."""
    begin = max(text.rfind(_USER, 0, at), text.rfind(_ASSISTANT, 0, at))
    before = text[max(begin, at - 1500) : at]
    names, depth = [], 0
    for m in reversed(list(re.finditer(r"(?:[\"'](?P<key>[\w ]+)[\"']\s*:\s*)?\{|\}", before))):
        if m[0] == "}":
            depth += 1
        elif depth:
            depth -= 1
        elif m["key"]:
            names.append(m["key"])
    level = 99
    for section in reversed(list(_SECTION.finditer(before))):
        title = section["a"] or section["b"] or section["c"]
        rank = len(section[0].lstrip()) - len(section[0].lstrip().lstrip("#"))
        if not rank:
            names.append(title)
            break
        if rank < level:
            level = rank
            names.append(title)
    return names
