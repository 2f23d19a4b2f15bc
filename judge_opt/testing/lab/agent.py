"""The agent persona: writes an output whose features follow its instructions, as far as it keeps to them.

An instruction names features by the grammar's phrases: in the imperative ("Name a date. Never blame the
customer."), or as a guideline ("Replies that name a date should be rated higher"), which it takes for what is
wanted. Of two that contradict each other the later one counts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from judge_opt.testing.lab.draws import chance, stream
from judge_opt.testing.lab.grammar import Sentence, sentences
from judge_opt.testing.lab.items import write_item
from judge_opt.testing.lab.lexicon import FEATURES, TOPICS
from judge_opt.testing.lab.parameters import AgentParameters
from judge_opt.testing.lab.reading import joined, outside, read

_TOPIC = re.compile(r"\b(" + "|".join(TOPICS) + r")\b", re.IGNORECASE)


class AgentPersona:
    """Answers one request.

    Args:
        parameters: its traits.
        seed: the model's seed.
    """

    def __init__(self, parameters: AgentParameters, seed: int) -> None:
        self.parameters = parameters
        self.seed = seed

    def write(self, messages: Sequence[Mapping[str, Any]], digest: str, draw: int = 0) -> str:
        """An output to the last topic that is named, showing what was asked for.

        What it does with a feature is drawn by the question and the feature, so that another instruction
        changes what it speaks of and leaves the rest; wording is drawn by the whole request.
        """
        p = self.parameters
        question = str(messages[-1].get("content") or "") if messages else ""
        told = instructions(messages)
        reliability = p.follow * p.dilution ** max(0, len(told) - p.attention)
        shown = []
        for key, feature in FEATURES.items():
            about = (self.seed, "agent", question, key, draw)
            habit = min(1.0, max(0.0, p.habit * (1.0 + 0.5 * feature.taste)))
            there = chance(habit, *about, "habit")
            if key in told and chance(reliability, *about, "follow"):
                there = told[key]
            if there:
                shown.append(key)
        rng = stream(self.seed, "output", digest, draw)
        topics = _TOPIC.findall(joined(messages))
        topic = topics[-1].lower() if topics else rng.choice(TOPICS)
        return write_item(topic, rng.randrange(10_000, 100_000), shown, rng.randint(0, p.nuisance), rng)


def instructions(messages: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Feature to whether it is wanted; what stands in items, or was said of one, is no instruction."""
    told: dict[str, bool] = {}
    for one in sentences(outside(read(messages))):
        for feature, wanted in _wanted(one):
            told[feature] = wanted
    return told


def _wanted(one: Sentence) -> list[tuple[str, bool]]:
    if one.rule is not None:
        way = one.rule.direction
        if way is None or len(one.literals) > 1:
            return []
        return [(feature, there == (way > 0)) for feature, there in one.literals]
    if re.search(r"\b(?:it|he|she|they|was|were|said)\b", one.text, re.IGNORECASE):
        return []
    return list(one.literals)
