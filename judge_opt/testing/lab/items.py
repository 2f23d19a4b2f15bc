"""Items: written from features, and read back out of any text."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from judge_opt.testing.lab.lexicon import FEATURES, LABELS, NUISANCE, OPENER, TOPICS


@dataclass(frozen=True, slots=True)
class Found:
    """An item in a text.

    Attributes:
        start, end: its place.
        text: with blanks in the place of all other white space.
        shown: the features whose sentences occur in it.
    """

    start: int
    end: int
    text: str
    shown: frozenset[str]


def _flexible(sentence: str) -> str:
    return re.escape(sentence).replace(r"\ ", r"\s+")


_OPENING = re.compile(
    _flexible(OPENER)
    .replace(re.escape("{topic}"), "(?P<topic>" + "|".join(TOPICS) + ")")
    .replace(re.escape("{number}"), r"(?P<number>\d+)"),
    re.IGNORECASE,
)
_MEANING = {
    " ".join(sentence.lower().split()): feature.key
    for feature in FEATURES.values()
    for sentence in feature.sentences
}
_KNOWN = re.compile(
    "|".join(_flexible(s) for s in (*(s for f in FEATURES.values() for s in f.sentences), *NUISANCE)),
    re.IGNORECASE,
)
_GAP = 120
"""Characters of unknown text after which an item is over."""


_ORDER = re.compile(
    rf"\b(?:ignore|disregard)\b[^.]*\.\s+[^.]*?\b(?P<label>{'|'.join(LABELS)})\b", re.IGNORECASE
)


def ordered_label(text: str) -> str:
    """The label that an instruction inside an item demands; "" where it holds none."""
    found = _ORDER.search(text)
    return found["label"].lower() if found else ""


def write_item(
    topic: str, number: int, shown: Sequence[str], nuisance: int, rng: random.Random, injected: str = ""
) -> str:
    """A reply that shows exactly these features, in varied order and wording.

    Args:
        injected: an instruction to the judge, put where the item goes on after it.
    """
    parts = [rng.choice(FEATURES[key].sentences) for key in shown] + rng.sample(NUISANCE, nuisance)
    rng.shuffle(parts)
    if injected:
        parts = [injected, *(parts or [NUISANCE[0]])]
    return " ".join([OPENER.format(topic=topic, number=number), *parts])


def find_items(text: str) -> list[Found]:
    """Every item in `text`, in order. Line breaks within an item do not matter."""
    openings = list(_OPENING.finditer(text))
    found = []
    for index, opening in enumerate(openings):
        limit = openings[index + 1].start() if index + 1 < len(openings) else len(text)
        length, said, shown = _item(text[opening.start() : limit], opening.end() - opening.start())
        found.append(Found(opening.start(), opening.start() + length, said, shown))
    return found


@lru_cache(maxsize=20_000)
def _item(text: str, opened: int) -> tuple[int, str, frozenset[str]]:
    """(length, text with single blanks, features) of the item at the beginning of `text`, whose opening is
    `opened` characters long. The same items stand in request after request."""
    end, shown = opened, set()
    for sentence in _KNOWN.finditer(text, opened):
        if sentence.start() - end > _GAP:
            break
        end = sentence.end()
        meaning = _MEANING.get(" ".join(sentence[0].lower().split()))
        if meaning is not None:
            shown.add(meaning)
    return end, " ".join(text[:end].split()), frozenset(shown)
