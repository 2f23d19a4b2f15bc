"""How the lab's model reads a request: items, labels, reasons and rules, in any order and format.

Nothing here knows a caller. Items are found by their sentences, rules by the grammar; labels by standing
where a value stands ("label: good", a line of its own, a closed mark). What a label or a reason belongs to
is decided as a person would: by the fewest breaks (blank lines, separators, message borders) between the
two, and where that is even, by the order that the rest of the text keeps.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from judge_opt.testing.lab.grammar import Rule, Sentence, sentences
from judge_opt.testing.lab.items import Found, find_items
from judge_opt.testing.lab.lexicon import LABEL_SETS, LABELS
from judge_opt.testing.lab.ratings import mentions, numbers
from judge_opt.testing.lab.scores import right_label

Source = Literal["human", "model"]

_L = "|".join(sorted(LABELS, key=len, reverse=True))
_Q = r"[\"'`*]*"
_LISTED = re.compile(
    rf"{_Q}\b(?:{_L})\b{_Q}(?:\s*(?:,\s*or\b|,\s*and\b|,|;|/|\||\bor\b|\band\b)\s*{_Q}\b(?:{_L})\b{_Q})+",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(?:[:=>\]]|->|\b(?:said|says|gave|chose|answered|rated(?:\s+it)?|label+ed(?:\s+it)?|"
    r"(?:verdict|label|rating|judge?ment|score)\s+(?:is|was)))"
    rf"[\s\"'`*\[(]*\b(?P<label>{_L})\b(?=[\"'`*]*\s*(?:[.,;:)\]}}<(\n-]|$|because\b|since\b|for\b))",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"^[^\w\n]*(?P<label>{_L})[^\w\n]*$", re.IGNORECASE | re.MULTILINE)
_BREAK = re.compile(r"\n[ \t]*(?=\n)|\x1e[AU]|^[^\w\n]*[-=*#{}~_`|]+[^\w\n]*$", re.MULTILINE)
_HEADING = re.compile(
    r"^\W*(?:item|example|record|case|row|sample|entry|instance|id)?s?\W*\d*\W*$", re.IGNORECASE
)
_MODEL = re.compile(
    r"\b(?:judge|model|predicted|prediction|generated|assistant|current|system|trajectory|"
    r"trajectories|program\s+(?:trajector\w+|outputs?)|attempt)(?:'?s)?\b",
    re.IGNORECASE,
)
_HUMAN = re.compile(
    r"\b(?:expert|human|gold|truth|expected|annotator|rater|user|reviewer|correct|target|reference|desired|"
    r"people|person|oracle)(?:'?s)?\b",
    re.IGNORECASE,
)
_FRAMED = re.compile(r"^\s*(?:[\[#=*<~{-]{2,}|<)\W*(?P<title>\w[\w /-]{0,60})\W{2,}\s*$")
"""A line that is a heading by the marks around it."""
_FAR = 8
"""Breaks from which on two things do not belong together."""


@dataclass(slots=True)
class Record:
    """An item with what the text says of it; labels in lower case. Scores, from -1 to 1, are read where the
    whole text gives no label."""

    item: Found
    labels: list[str] = field(default_factory=list)
    model_labels: list[str] = field(default_factory=list)
    reasons: list[Sentence] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def rated(self) -> bool:
        """Whether people's label or a number is told."""
        return bool(self.labels or self.scores)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request says.

    Attributes:
        text: all messages, normalized.
        records: the items in order, with their labels and reasons.
        rules: distinct, in order.
        scale: the label set that is asked for, worst first; () where none can be made out.
    """

    text: str
    records: tuple[Record, ...]
    rules: tuple[Rule, ...]
    scale: tuple[str, ...]

    @property
    def judged(self) -> Record | None:
        """The item under judgement: the last one without a label, else the last; None without items."""
        open_ = [record for record in self.records if not record.labels]
        return open_[-1] if open_ else (self.records[-1] if self.records else None)


def read(messages: Sequence[Mapping[str, Any]], choices: Sequence[str] = ()) -> Reading:
    """Read a request.

    Args:
        messages: OpenAI's, with text content.
        choices: labels that a JSON schema allows.
    """
    return _read(joined(messages), tuple(choices))


@lru_cache(maxsize=512)
def _read(text: str, choices: tuple[str, ...]) -> Reading:
    """Optimizers ask the same again and again. Whoever gets a reading leaves it as it is."""
    items = find_items(text)
    named = [one for chunk in _between(text, items) for one in _shifted(text, *chunk)]
    rules = tuple(dict.fromkeys(one.rule for one in named if one.rule and not _spoken(text, one.at)))
    places = _label_places(text, items, named)
    scale = _scale(text, items, choices, [label for _, label in places])
    records = [Record(item) for item in items]
    if records:
        before = _labels_first([at for at, _ in places], items, text)
        for at, label in places:
            owner = _owner(text, at, items, before)
            if owner is not None and (not scale or label in scale):
                record = records[owner]
                (record.model_labels if _source(text, at) == "model" else record.labels).append(label)
        for one in named:
            if one.rule is None and _source(text, one.at) == "human":
                owner = _owner(text, one.at, items, before)
                if owner is not None:
                    records[owner].reasons.append(one)
        infer_labels(text, records, scale)
        if not any(record.labels or record.model_labels for record in records):
            _rate(text, records)
    return Reading(text, tuple(records), rules, scale)


def joined(messages: Sequence[Mapping[str, Any]]) -> str:
    """All messages as one text, with escapes undone and a sign at each border."""
    parts = []
    for message in messages:
        content = message.get("content") or ""
        if not isinstance(content, str):
            content = "".join(str(part.get("text", "")) for part in content)
        parts.append(("\n\x1eA\n" if message.get("role") == "assistant" else "\n\x1eU\n") + content)
    text = "".join(parts).replace("\\n", "\n").replace("\\t", " ").replace('\\"', '"')
    text = re.sub("[\u200b\u200c\u200d\ufeff]", "", text)
    # A long line that goes on in lower case was wrapped; a short one is a heading or a value.
    return re.sub(r"(?<=[^\n]{30}[a-z,])[ \t]*\n[ \t]*(?=[a-z])", " ", text)


def outside(reading: Reading) -> str:
    """The text without the items."""
    items = [record.item for record in reading.records]
    return "\n".join(reading.text[start:end] for start, end in _between(reading.text, items))


def infer_labels(text: str, records: Sequence[Record], scale: Sequence[str]) -> None:
    """Where only the model's label and its score are told, the label that people must have given."""
    for record, (start, end) in zip(records, _between(text, [r.item for r in records])[1:], strict=True):
        if record.model_labels and not record.labels:
            record.labels += right_label(text[start:end], record.model_labels[-1], scale)


def _rate(text: str, records: Sequence[Record]) -> None:
    """Give each item the numbers that rate it. One that is shown several times in a row, as in a trace and as its
    output, is one item: the last of them has what is said of all."""
    items = [record.item for record in records]
    told = numbers(text, _between(text, items))
    if not told:
        return
    runs = mentions(items)
    spans = [span for span, _ in runs]
    before = _labels_first([at for at, _ in told], spans, text)
    for at, goodness in told:
        within = [k for k, span in enumerate(spans) if span.start < at < span.end]
        owner = within[0] if within else _owner(text, at, spans, before)
        if owner is not None:
            records[runs[owner][1][-1]].scores.append(goodness)
    for _, (*others, last) in runs:
        for other in others:
            records[last].reasons[:0] = records[other].reasons
            records[other].reasons.clear()


def _between(text: str, items: Sequence[Found]) -> list[tuple[int, int]]:
    starts, ends = [0, *(i.end for i in items)], [*(i.start for i in items), len(text)]
    return list(zip(starts, ends, strict=True))


def _shifted(text: str, start: int, end: int) -> list[Sentence]:
    return [
        Sentence(start + one.start, start + one.at, one.text, one.literals, one.rule)
        for one in sentences(text[start:end])
    ]


def _spoken(text: str, at: int) -> bool:
    """True inside an earlier reply of the model: what it said itself is no guideline."""
    return text.rfind("\x1eA", 0, at) > text.rfind("\x1eU", 0, at)


def _label_places(text: str, items: Sequence[Found], named: Sequence[Sentence]) -> list[tuple[int, str]]:
    """(place, label) of each label that somebody gave, in order."""
    barred = [(i.start, i.end) for i in items]
    barred += [(s.start, s.start + len(s.text)) for s in named if s.rule is not None]
    barred += [m.span() for m in _LISTED.finditer(text) if _is_list(m[0])]
    places = {
        match.start("label"): match["label"].lower()
        for pattern in (_VALUE, _ALONE)
        for match in pattern.finditer(text)
    }
    barred.sort()
    kept, furthest, upcoming = [], 0, 0
    for at, label in sorted(places.items()):
        while upcoming < len(barred) and barred[upcoming][0] <= at:
            furthest = max(furthest, barred[upcoming][1])
            upcoming += 1
        if at >= furthest:
            kept.append((at, label))
    return kept


def _is_list(text: str) -> bool:
    """True for a list of what may be said; people's labels in a row repeat themselves or are few."""
    labels = [m.lower() for m in re.findall(rf"\b(?:{_L})\b", text, re.IGNORECASE)]
    return len(set(labels)) == len(labels)


def _scale(text: str, items: Sequence[Found], choices: Sequence[str], seen: Sequence[str]) -> tuple[str, ...]:
    wanted = {choice.lower() for choice in choices} & set(LABELS)
    if not wanted:
        for start, end in _between(text, items):
            for match in _LISTED.finditer(text, start, end):
                found = {m.lower() for m in re.findall(rf"\b(?:{_L})\b", match[0], re.IGNORECASE)}
                wanted = found if len(found) > len(wanted) else wanted
    wanted = wanted or set(seen)
    fitting = [labels for labels in LABEL_SETS if wanted and wanted <= set(labels)]
    return min(fitting, key=len) if fitting else ()


@lru_cache(maxsize=50_000)
def _breaks(text: str) -> int:
    """How strongly a stretch of text separates what stands at its two ends."""
    count = 0
    for match in _BREAK.finditer(text):
        count += {"\x1eA": 1, "\x1eU": 3}.get(match[0], 1)
    for line in text.split("\n")[1:-1]:
        if _HEADING.match(line) and re.search(r"\w", line):
            count += 3 if re.search(r"\d", line) else 1  # "Example 2" begins another; "Item:" may not
    return count


def _costs(text: str, at: int, items: Sequence[Found]) -> tuple[float, float, int]:
    """(breaks to the item before, breaks to the item after, index of the item after)."""
    after = bisect_left(items, at + 1, key=lambda item: item.start)
    back = float(_breaks(text[items[after - 1].end : at])) if after else float("inf")
    ahead = float(_breaks(text[at : items[after].start])) if after < len(items) else float("inf")
    return back, ahead, after


def _labels_first(places: Sequence[int], items: Sequence[Found], text: str) -> bool:
    """True where the text keeps to the order label, item."""
    votes, first, last = 0, False, False
    for at in places:
        back, ahead, after = _costs(text, at, items)
        if max(back, ahead) < float("inf") and min(back, ahead) < _FAR:
            votes += (ahead < back) - (back < ahead)
        first |= after == 0 and ahead < _FAR
        last |= after == len(items) and back < _FAR
    return votes > 0 if votes else first and not last


def _owner(text: str, at: int, items: Sequence[Found], before: bool) -> int | None:
    back, ahead, after = _costs(text, at, items)
    if min(back, ahead) >= _FAR:
        return None
    if back == ahead:
        return after if before else after - 1
    return after if ahead < back else after - 1


def _source(text: str, at: int) -> Source:
    """Whose label or reason stands at `at`: by the nearest word before it that names somebody, on its line,
    on a short line above, or in a heading over it; people's where nobody is named."""
    return _source_after(text[max(0, at - 600) : at])


@lru_cache(maxsize=50_000)
def _source_after(before: str) -> Source:
    lines = before.replace("_", " ").split("\n")
    for number, line in enumerate(reversed(lines[-4:])):
        if number and (len(line) > 60 or "\x1e" in line):
            break
        model = max((m.end() for m in _MODEL.finditer(line)), default=-1)
        human = max((m.end() for m in _HUMAN.finditer(line)), default=-1)
        if max(model, human) >= 0:
            return "model" if model > human else "human"
        if number and not line.strip():
            break
    return _under(lines)


def _under(lines: Sequence[str]) -> Source:
    """Whose words stand below these lines, by the headings that they are under."""
    level = 99
    for line in reversed(lines):
        if _FRAMED.match(line):
            return "model" if _MODEL.search(line) and not _HUMAN.search(line) else "human"
        heading = re.match(r"\s*(#+)\s", line)
        if heading and len(heading[1]) < level:
            level = len(heading[1])
            if _MODEL.search(line) or _HUMAN.search(line):
                return "human" if _HUMAN.search(line) else "model"
    return "human"
