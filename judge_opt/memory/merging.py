"""Guidelines from several reflection calls made one list: near-duplicates merged, contradictions found.

Embeddings propose pairs. What is nearly the same text is merged at once; what is only alike is put to the
reflection LM, all pairs in one call. Two rules that differ in a label, a negation or a direction are never
merged by their looks: "should pass" and "should not pass" are near neighbours in any embedding space.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from judge_opt.core.text import fold
from judge_opt.core.values import ValueType
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.reflect import Unanswered, filled, reflect
from judge_opt.memory.vectors import TextEmbedder

TWIN = 0.92
"""Cosine from which two guidelines say the same."""
ALIKE = 0.6
"""Cosine from which they may say the same, or contradict each other."""
_TURNS = frozenset(
    """not no never without unless n't none cannot neither nor lacks lack fails fail higher lower better worse more
    less favour favor against reward rewards penalise penalize positive negative good bad up down increase
    decrease raise reduce prefer avoid pass high low strong weak""".split()  # noqa: SIM905 (as a list: forty lines)
)
"""Words that can turn a rule round."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Attributes:
    guidelines: without duplicates, in order; the first of several stays and takes over the others' sources.
    members: for each of them the positions, in what was given, of those that it stands for; its own first.
    contradictions: pairs of positions in `guidelines`, the lower first.
    asked: the reflection LM was asked.
    """

    guidelines: tuple[Guideline, ...]
    members: tuple[tuple[int, ...], ...]
    contradictions: tuple[tuple[int, int], ...]
    asked: bool
    warnings: tuple[str, ...] = ()


def merge(
    guidelines: Sequence[Guideline], value_type: ValueType, space: TextEmbedder, lm: Any, seed: int
) -> Merged:
    """Merge what says the same.

    Args:
        guidelines: the best supported first.
        lm: the reflection `dspy.LM`; None asks nobody.

    Raises:
        JudgeOptError: an endpoint cannot be used at all.
    """
    if len(guidelines) < 2:
        return Merged(tuple(guidelines), tuple((i,) for i in range(len(guidelines))), (), False)
    vectors = space.embed([g.text for g in guidelines])
    near = {(i, j): float(vectors[i] @ vectors[j]) for i, j in combinations(range(len(guidelines)), 2)}
    same = {
        pair
        for pair, cosine in near.items()
        if cosine >= TWIN and not opposed(*_texts(guidelines, pair), value_type)
    }
    home = list(range(len(guidelines)))
    _join(home, same)
    first = [i for i in range(len(guidelines)) if home[i] == i]
    doubtful = {pair for pair, cosine in near.items() if cosine >= ALIKE and set(pair) <= set(first)}
    against: set[tuple[int, int]] = set()
    warnings: list[str] = []
    if doubtful and lm is not None:
        try:
            said, against = _asked([guidelines[i] for i in first], first, lm, seed)
            # A weak model names pairs at random: only what is alike can be the same, or the contrary.
            _join(home, {p for p in said & doubtful if not opposed(*_texts(guidelines, p), value_type)})
            against &= doubtful
        except (Unanswered, ValueError, KeyError, TypeError) as error:
            why = str(error)[:100] or "unreadable reply"
            warnings.append(f"guidelines that are alike were not merged: {why}")
    roots = [_root(home, i) for i in range(len(guidelines))]
    kept = [i for i in range(len(guidelines)) if roots[i] == i]
    members = [tuple(j for j in range(len(guidelines)) if roots[j] == i) for i in kept]
    made = []
    for i, several in zip(kept, members, strict=True):
        sources = dict.fromkeys(s for j in several for s in guidelines[j].sources)
        pinned = any(guidelines[j].pinned for j in several)
        made.append(replace(guidelines[i], sources=tuple(sources), pinned=pinned))
    place = {i: at for at, i in enumerate(kept)}
    clash = {(min(a, b), max(a, b)) for i, j in against if (a := place[roots[i]]) != (b := place[roots[j]])}
    return Merged(
        tuple(made), tuple(members), tuple(sorted(clash)), bool(doubtful and lm is not None), tuple(warnings)
    )


def opposed(one: str, other: str, value_type: ValueType) -> bool:
    """True where two texts differ in a word that can turn a rule round: a label, a negation, a direction."""
    labels = (
        {word for label in value_type.choices() for word in _words(label)} if value_type.is_choice else set()
    )
    return bool((_words(one) ^ _words(other)) & (labels | _TURNS))


def _join(home: list[int], pairs: Collection[tuple[int, int]]) -> None:
    """Make each pair one family; the lowest position stands for it."""
    for i, j in sorted(pairs):
        a, b = sorted((_root(home, i), _root(home, j)))
        home[b] = a


def _root(home: Sequence[int], i: int) -> int:
    while home[i] != i:
        i = home[i]
    return i


def _texts(guidelines: Sequence[Guideline], pair: tuple[int, int]) -> tuple[str, str]:
    return guidelines[pair[0]].text, guidelines[pair[1]].text


def _words(text: str) -> set[str]:
    return set(re.findall(r"n't|[^\W_]+", fold(text)))


def _asked(
    guidelines: Sequence[Guideline], places: Sequence[int], lm: Any, seed: int
) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    rules = "\n".join(f"{i + 1}. {g.text}" for i, g in enumerate(guidelines))
    pairs = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
    schema = {
        "type": "object",
        "properties": {"same": pairs, "contradict": pairs},
        "required": ["same", "contradict"],
        "additionalProperties": False,
    }
    reply = reflect(lm, filled("merge", {"rules": rules}), "pairs", schema, max_tokens=600, seed=seed)
    data = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
    return _pairs(data["same"], places), _pairs(data["contradict"], places)


def _pairs(data: Any, places: Sequence[int]) -> set[tuple[int, int]]:
    """All pairs within each list of numbers (from 1) that is named, as positions."""
    found = set()
    for group in data:
        if isinstance(group, list) and all(isinstance(x, int) and 0 < x <= len(places) for x in group):
            found |= set(combinations(sorted({places[x - 1] for x in group}), 2))
    return found
