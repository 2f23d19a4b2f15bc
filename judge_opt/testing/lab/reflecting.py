"""The reflection persona: rules from labelled items and reasons, as far as it understands them."""

import random
import re
from collections.abc import Sequence

from judge_opt.testing.lab.draws import stream
from judge_opt.testing.lab.grammar import Rule, sentences, statement
from judge_opt.testing.lab.lexicon import FEATURES, LABEL_SETS, goodness
from judge_opt.testing.lab.parameters import ReflectionParameters
from judge_opt.testing.lab.reading import Reading, Record, outside

_LIMIT = re.compile(r"\b(?:at most|up to|no more than|maximum of)\s+(\d{1,3})\b", re.IGNORECASE)
_WANTED = re.compile(
    r"\b(?:new|improved?|better|revised?|updated?|proposed?|rewr\w+)[ _]+(?:\w+[ _]+)?(?:instructions?|prompt)\b",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"^(?P<mark>[\[#=*<~-]*)[^\w\n/]*(?:(?:the|current|existing|old|basic|original|previous|given)[ _]+){1,3}"
    r"(?:instructions?|prompt)\b[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


class ReflectionPersona:
    """Proposes rules for one request.

    Args:
        parameters: its traits.
        seed: the model's seed.
    """

    def __init__(self, parameters: ReflectionParameters, seed: int) -> None:
        self.parameters = parameters
        self.seed = seed

    def propose(self, reading: Reading, digest: str, draw: int = 0, limit: int | None = None) -> list[str]:
        """Rules as sentences of the grammar, the best supported first.

        Args:
            limit: most rules that the form of the reply has room for.
        """
        p = self.parameters
        rng = stream(self.seed, "reflect", digest, draw)
        records = [record for record in reading.records if record.rated]
        scale = reading.scale or LABEL_SETS[0]
        evidence = self._reasons(records, scale, rng)
        for feature, difference in self._associations(records, scale).items():
            evidence[feature] = evidence.get(feature, 0.0) + difference
        room = min(limit or p.rules, self._asked(reading) or p.rules)
        known = {(rule.literals[0][0], rule.direction) for rule in reading.rules if len(rule.literals) == 1}
        ranked = sorted(evidence.items(), key=lambda one: (-abs(one[1]), one[0]))
        rules = []
        for feature, support in ranked[:room]:
            if abs(support) < p.association:
                continue
            direction = 1 if support > 0 else -1
            if (feature, direction) in known:
                continue
            rules.append(self._written(feature, direction, abs(support), records, rng))
        if records and rng.random() < p.hallucinated and len(rules) < room:
            rules.append(Rule(((rng.choice(sorted(FEATURES)), True),), rng.choice((1, -1))))
        if p.guess and not rules and room and rng.random() < p.guess:
            rules += self._guessed(records, scale, rng)
        return [statement(rule, rng) for rule in rules]

    def rewrite(self, reading: Reading, rules: Sequence[str], digest: str, draw: int = 0) -> str:
        """An instruction text: the one that the request shows, with its rules (some are forgotten), those that
        the request tells elsewhere, and the new ones. Without labelled items to learn from, what is told."""
        rng, text = stream(self.seed, "rewrite", digest, draw), outside(reading)
        old = shown_instruction(text)
        told = {one.rule: one.text for one in sentences(text) if one.rule and one.rule in reading.rules}
        for one in sentences(old):
            if one.rule is None:
                continue
            told.pop(one.rule, None)
            if rng.random() < self.parameters.forget:
                old = old.replace(one.text, "")
        rewriting = bool(old) or not any(record.rated for record in reading.records)
        known = [" ".join(one.split()).lstrip("-* ") for one in told.values() if rewriting]
        known = [one for one in known if rng.random() >= self.parameters.forget]
        lines = [old.strip()] if old.strip() else []
        return "\n".join([*lines, *(f"- {rule}" for rule in (*known, *rules))])

    def _reasons(
        self, records: Sequence[Record], scale: Sequence[str], rng: random.Random
    ) -> dict[str, float]:
        """Feature to support, from what people say. Less of each is understood where there is much."""
        p, found = self.parameters, dict[str, float]()
        understood = p.comprehend * min(1.0, p.attention / max(len(records), 1)) ** 0.5
        for record in records:
            place = _place(record, scale)
            missed = bool(record.model_labels) and record.model_labels[0] != record.labels[0]
            for reason in record.reasons:
                for feature, there in reason.literals:
                    if rng.random() < understood:
                        weight = place * (1.0 if there else -1.0) * (1.5 if missed else 1.0)
                        found[feature] = found.get(feature, 0.0) + weight
        return found

    def _associations(self, records: Sequence[Record], scale: Sequence[str]) -> dict[str, float]:
        """Feature to difference of mean label, in [-2, 2], where it is large and well supported."""
        p, found = self.parameters, dict[str, float]()
        for feature in FEATURES:
            there = [_place(r, scale) for r in records if feature in r.item.shown]
            absent = [_place(r, scale) for r in records if feature not in r.item.shown]
            if min(len(there), len(absent)) >= p.support:
                difference = sum(there) / len(there) - sum(absent) / len(absent)
                if abs(difference) >= p.association:
                    found[feature] = difference
        return found

    def _guessed(self, records: Sequence[Record], scale: Sequence[str], rng: random.Random) -> list[Rule]:
        """One rule from one record."""
        telling = [r for r in records if r.item.shown and _place(r, scale)]
        missed = [r for r in telling if r.model_labels and r.model_labels[-1] != r.labels[0]]
        if not telling:
            return []
        record = rng.choice(missed or telling)
        feature = rng.choice(sorted(record.item.shown))
        return [Rule(((feature, True),), 1 if _place(record, scale) > 0 else -1)]

    def _written(
        self, feature: str, direction: int, support: float, records: Sequence[Record], rng: random.Random
    ) -> Rule:
        """A rule as it comes out: at times reversed or too narrow."""
        p = self.parameters
        if rng.random() < p.flip:
            direction = -direction
        literals = {feature: True}
        if rng.random() < p.specific:
            showing = [r for r in records if feature in r.item.shown]
            others = sorted(rng.choice(showing).item.shown - {feature}) if showing else []
            if others:
                literals[rng.choice(others)] = True
        return Rule(tuple(sorted(literals.items())), direction, strength=1.6 if support >= 6 else 1.0)

    def _asked(self, reading: Reading) -> int:
        """How many rules the text asks for at most; 0 where it does not say."""
        match = _LIMIT.search(outside(reading))
        return int(match[1]) if match else 0


def shown_instruction(text: str) -> str:
    """The instruction that a request wants to have rewritten: its first fenced block, else what stands under
    a heading that says so; "" where no new instruction is asked for."""
    if blocks := re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        return str(blocks[0])
    if not _WANTED.search(text):
        return ""
    found = ""
    for match in _INSTRUCTION.finditer(text):
        # It ends where a heading with the same marks begins, or the message.
        mark = rf"^{re.escape(match['mark'])}(?![\[#=*<~-])" if match["mark"] else r"^[\[#=*<~]"
        ends = re.compile(mark + r"[^\n]*\w|\x1e", re.MULTILINE).search(text, match.end())
        body = text[match.end() : ends.start() if ends else len(text)].strip()
        if body and not re.fullmatch(r"\{\w+\}", body):
            found = body
    return found


def _place(record: Record, scale: Sequence[str]) -> float:
    """From -1 for the worst to 1 for the best."""
    if record.scores:
        return sum(record.scores) / len(record.scores)
    labels = [label for label in record.labels if label in scale]
    return sum(goodness(label, tuple(scale)) for label in labels) / len(labels) if labels else 0.0
