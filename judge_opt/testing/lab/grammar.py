"""The grammar of guideline statements: the only structure that the lab's model reads besides items, labels
and reasons. docs/lab.md publishes it.

A statement is one sentence with
1. one or more features, each named by a phrase of the lexicon in any form ("names a date", "not naming a
   date", "without naming a date"), all of which must hold;
2. an effect: a direction ("higher", "against", "better", "penalise") or a label ("towards fail", "is good");
3. a sign that it speaks of items in general ("replies that", "if a reply", "whenever", a gerund at its
   beginning, "should", "rate");
4. no sign that it speaks of one item or one opinion ("this", "it was", "the expert said", "I", "because it").

A sentence with features that misses 2 or 3, or has 4, is a reason: it says something of one item.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from judge_opt.testing.lab.lexicon import FEATURES, LABELS

Literal = tuple[str, bool]
"""(feature, whether it has to be there)."""

STRENGTHS = {"slightly": 0.5, "": 1.0, "strongly": 1.6}


@dataclass(frozen=True, slots=True)
class Rule:
    """Attributes:
    literals: what has to hold, sorted; never empty.
    direction: 1 for better, -1 for worse; where a label is named, None.
    label: the label to which it leads, or "".
    strength: one of `STRENGTHS`' values.
    """

    literals: tuple[Literal, ...]
    direction: int | None
    label: str = ""
    strength: float = 1.0

    def holds(self, shown: frozenset[str]) -> bool:
        """True where an item that shows these features meets every condition."""
        return all((feature in shown) == there for feature, there in self.literals)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that names features. `start` and `at` are the places of its beginning and of the first
    feature named."""

    start: int
    at: int
    text: str
    literals: tuple[Literal, ...]
    rule: Rule | None


def _phrases() -> dict[str, str]:
    forms = {}
    for feature in FEATURES.values():
        for phrase in (*feature.names, *feature.third, *feature.gerund):
            forms[phrase] = feature.key
    return forms


_FORMS = _phrases()
_MENTION = re.compile(
    r"\b("
    + "|".join(re.escape(p).replace(r"\ ", r"\s+") for p in sorted(_FORMS, key=len, reverse=True))
    + r")\b",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(not|n't|never|without|fails?\s+to|failing\s+to|unless)\s+(\w+\s+){0,2}$", re.IGNORECASE
)
_LABEL = "|".join(sorted(LABELS, key=len, reverse=True))
_TO_LABEL = re.compile(
    r"\b(?:towards?|as|rated?|verdict|label|label+ed|called|is|are|means?|gets?|deserves?|should|be)\s+"
    rf"(?:(?:an?|the|verdict|label)\s+)*[\"'`*]*(?P<label>{_LABEL})\b",
    re.IGNORECASE,
)
_UP = re.compile(
    r"\b(higher|better|favou?r\w*|positive\w*|raises?|upgrade\w*|rewards?|prefer\w*|best)\b", re.IGNORECASE
)
_DOWN = re.compile(
    r"\b(lower|worse|against|negative\w*|lowers|penali[sz]e\w*|downgrade\w*|punish\w*|worst)\b", re.IGNORECASE
)
_GENERAL = re.compile(
    r"\b(replies|responses|answers|outputs|items|messages|texts|any|every|each|all|whenever|if|when|an?\s+"
    r"(?:reply|response|answer|output|item|message|text)|should|must|always|prefer|penali[sz]e|reward|rate)\b",
    re.IGNORECASE,
)
_PARTICULAR = re.compile(
    r"\b(this|here|i|my|me|was|were|said|says|told|gave|should\s+have|because:?\s+(?:it|the|this)|since\s+it|"
    r"experts?|raters?|annotators?|reviewers?|feedback)\b",
    re.IGNORECASE,
)
_STRONGLY = re.compile(r"\b(strongly|much|very|always|heavily|far|decisive\w*)\b", re.IGNORECASE)
_SLIGHTLY = re.compile(r"\b(slightly|a\s+little|somewhat|weakly|a\s+bit)\b", re.IGNORECASE)
_END = re.compile(r"[.!?;](?=[\s\"'`)\]]|$)|\n+|\"\s*[,:\]}]|^\s*[-*\u2022]\s+|^\s*\d+[.)]\s+", re.MULTILINE)


def sentences(text: str) -> list[Sentence]:
    """The sentences of `text` that name features, in order."""
    return list(_sentences(text))


@lru_cache(maxsize=20_000)
def _sentences(text: str) -> tuple[Sentence, ...]:
    """What stands between two items is often the same in the next request."""
    found, start = [], 0
    for end in [m.end() for m in _END.finditer(text)] + [len(text)]:
        read = _sentence(text[start:end], start)
        if read is not None:
            found.append(read)
        start = end
    return tuple(found)


def _sentence(text: str, start: int) -> Sentence | None:
    mentions = list(_MENTION.finditer(text))
    if not mentions:
        return None
    literals: dict[str, bool] = {}
    before = 0
    for mention in mentions:
        feature = _FORMS[" ".join(mention[0].lower().split())]
        literals[feature] = not _NOT.search(text[before : mention.start()])
        before = mention.end()
    known = tuple(sorted(literals.items()))
    bare = _MENTION.sub(" \u00a7 ", text)
    return Sentence(start, start + mentions[0].start(), text, known, _rule(bare, known))


def _rule(bare: str, literals: tuple[Literal, ...]) -> Rule | None:
    """The rule in a sentence whose mentions were replaced by a sign."""
    begins = re.match(r"\W*(?:not\s+)?\u00a7", bare, re.IGNORECASE) and not re.match(r"\W*\u00a7\W*$", bare)
    if _PARTICULAR.search(bare) or not (begins or _GENERAL.search(bare)):
        return None
    strength = STRENGTHS["strongly"] if _STRONGLY.search(bare) else STRENGTHS[""]
    if _SLIGHTLY.search(bare):
        strength = STRENGTHS["slightly"]
    up, down = _UP.search(bare), _DOWN.search(bare)
    if bool(up) != bool(down):
        cue = up or down
        assert cue is not None
        reverse = re.search(r"\bnot\s+(?:be\s+\w+\s+|be\s+)?$", bare[: cue.start()], re.IGNORECASE)
        return Rule(literals, (1 if up else -1) * (-1 if reverse else 1), strength=strength)
    if named := _TO_LABEL.search(bare):
        return Rule(literals, None, named["label"].lower(), strength)
    return None


def statement(rule: Rule, rng: random.Random, features: Sequence[str] = ()) -> str:
    """`rule` in one of the grammar's wordings.

    Args:
        features: the order in which the conditions are named; default: as they are sorted.
    """
    literals = sorted(rule.literals, key=lambda one: features.index(one[0]) if one[0] in features else 99)
    degree = {0.5: "slightly ", 1.6: "strongly "}.get(rule.strength, "")
    more = {0.5: "slightly ", 1.6: "much "}.get(rule.strength, "")
    third = " and ".join(_clause(one, "third", rng) for one in literals)
    plural = " and ".join(_clause(one, "plural", rng) for one in literals)
    gerund = " and ".join(_clause(one, "gerund", rng) for one in literals)
    if rule.direction is None:
        return rng.choice(
            (
                f"If a reply {third}, lean {degree}towards {rule.label}.",
                f"Replies that {plural} should {degree}be rated {rule.label}.",
                f"When a reply {third}, the verdict is {degree}towards {rule.label}.",
            )
        )
    up = rule.direction > 0
    return rng.choice(
        (
            f"Replies that {plural} should be rated {more}{'higher' if up else 'lower'}.",
            f"If a reply {third}, rate it {more}{'higher' if up else 'lower'}.",
            f"{gerund[0].upper()}{gerund[1:]} counts {degree}{'in favour of' if up else 'against'} a reply.",
            f"A reply that {third} deserves a {more}{'better' if up else 'worse'} verdict.",
        )
    )


def _clause(one: Literal, form: str, rng: random.Random) -> str:
    feature, there = FEATURES[one[0]], one[1]
    which = rng.randrange(len(feature.names))
    name = feature.names[which]
    if form == "third":
        return feature.third[which] if there else f"does not {name}"
    if form == "plural":
        return name if there else f"do not {name}"
    return feature.gerund[which] if there else f"not {feature.gerund[which]}"
