"""The judge persona: a verdict from what the request shows, and from nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from judge_opt.testing.lab.draws import chance, stream
from judge_opt.testing.lab.embedding import similarity
from judge_opt.testing.lab.grammar import Rule
from judge_opt.testing.lab.items import Found, ordered_label
from judge_opt.testing.lab.lexicon import FEATURES, goodness
from judge_opt.testing.lab.parameters import JudgeParameters
from judge_opt.testing.lab.reading import Reading, Record


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes:
    label: the verdict.
    probabilities: label to probability before any temperature, in the scale's order.
    rationale: a sentence about the item; it gives no instruction.
    """

    label: str
    probabilities: Mapping[str, float]
    rationale: str


class JudgePersona:
    """Judges one request.

    Args:
        parameters: its traits.
        seed: the model's seed.
    """

    def __init__(self, parameters: JudgeParameters, seed: int) -> None:
        self.parameters = parameters
        self.seed = seed

    def judge(self, reading: Reading, digest: str, temperature: float, draw: int = 0) -> Verdict | None:
        """The verdict on the item under judgement; None where there is no item or no label set.

        Args:
            digest: of the request; another request has other noise.
            draw: number of the sample of this request.
        """
        record, scale = reading.judged, reading.scale
        if record is None or not scale:
            return None
        seen = self.seen(record.item)
        score = self._score(reading, record, seen)
        score += self.parameters.noise * stream(self.seed, "noise", digest, draw).gauss(0.0, 1.0)
        logits = self._logits(score, scale)
        rng = stream(self.seed, "sample", digest, draw)
        odds = _softmax(logits, 1.0)
        if temperature <= 0:
            label = scale[max(range(len(scale)), key=logits.__getitem__)]
        else:
            label = rng.choices(scale, _softmax(logits, temperature))[0]
        label = self._turned(label, scale, record, digest, draw)
        return Verdict(label, dict(zip(scale, odds, strict=True)), self._rationale(seen))

    def seen(self, item: Found) -> frozenset[str]:
        """The features that are noticed; the same for the same item, whatever the prompt."""
        p = self.parameters
        if p.policy is not None:
            return item.shown
        return frozenset(
            key
            for key in FEATURES
            if (
                not chance(p.miss, self.seed, "miss", item.text, key)
                if key in item.shown
                else chance(p.false_alarm, self.seed, "alarm", item.text, key)
            )
        )

    def _turned(self, label: str, scale: tuple[str, ...], record: Record, digest: str, draw: int) -> str:
        """The label after an instruction in the item, and after a flip of a repeated request."""
        p = self.parameters
        wanted = ordered_label(record.item.text) if p.obey else ""
        if wanted in scale and chance(p.obey, self.seed, "obey", record.item.text):
            return wanted
        if p.flip and draw and chance(p.flip, self.seed, "flip", digest, draw):
            rng = stream(self.seed, "other", digest, draw)
            return rng.choice([other for other in scale if other != label])
        return label

    def _score(self, reading: Reading, record: Record, seen: frozenset[str]) -> float:
        p, scale = self.parameters, reading.scale
        if p.policy is not None:
            score = p.policy.score(seen)
            label = p.policy.label_of(score)
            place = goodness(label, p.policy.labels)
            return place * p.step * (len(scale) - 1) / 2
        rules = reading.rules if p.follow > 0 else ()
        named = {feature for rule in rules for feature, _ in rule.literals}
        taste = p.taste if p.taste is not None else {key: one.taste for key, one in FEATURES.items()}
        total = 0.0
        for feature, liking in taste.items():
            kept = 1.0 if not rules else (0.0 if feature in named else p.taste_kept)
            total += kept * liking * (1.0 if feature in seen else -p.contrast)
        reliability = p.follow * p.dilution ** max(0, len(rules) - p.attention)
        overruled = self._overruled(rules, scale) if p.recency else frozenset()
        for place, rule in enumerate(rules):
            key = [list(rule.literals), rule.direction, rule.label]
            if place in overruled:
                continue
            # 0 at both ends, 1 in the middle; a rule alone is at an end
            inward = 1.0 - abs(2.0 * place / max(len(rules) - 1, 1) - 1.0)
            kept = 1.0 - p.lost_in_middle * inward
            if chance(reliability * kept, self.seed, "follow", record.item.text, key):
                total += p.rule_weight * self._pull(rule, seen, scale)
        return total + self._examples(reading, record, seen)

    def _overruled(self, rules: tuple[Rule, ...], scale: tuple[str, ...]) -> frozenset[int]:
        """Places of rules that a later one contradicts, where the later one alone counts."""
        ways = [self._way(rule, scale) for rule in rules]
        return frozenset(
            i
            for i, rule in enumerate(rules)
            for j in range(i + 1, len(rules))
            if rules[j].literals == rule.literals
            and ways[i] * ways[j] < 0
            and chance(self.parameters.recency, self.seed, "recency", [list(rule.literals), i, j])
        )

    def _way(self, rule: Rule, scale: tuple[str, ...]) -> float:
        """A rule's direction, in [-1, 1]; 0 for a label that is none here."""
        if rule.direction is not None:
            return float(rule.direction)
        return goodness(rule.label, scale) if rule.label in scale else 0.0

    def _pull(self, rule: Rule, seen: frozenset[str], scale: tuple[str, ...]) -> float:
        """Of one rule on an item: with its direction where it holds, a little against it where not."""
        way = self._way(rule, scale)
        # What asks for much is met seldom, and then its absence says less.
        contrast = self.parameters.contrast ** len(rule.literals)
        return way * rule.strength * (1.0 if rule.holds(seen) else -contrast)

    def _examples(self, reading: Reading, record: Record, seen: frozenset[str]) -> float:
        """The pull of labelled items: nearest first, bounded; their reasons are weak rules."""
        p, scale = self.parameters, reading.scale
        pull = mass = 0.0
        for place_in, other in enumerate(reading.records):
            labels = [label for label in other.labels if label in scale]
            if other is record or not labels or other.item.text == record.item.text:
                continue
            place = sum(goodness(label, scale) for label in labels) / len(labels)
            near = similarity(record.item, other.item)
            if near >= p.example_floor:
                weight = ((near - p.example_floor) / (1 - p.example_floor)) ** p.example_focus
                if p.late_examples:
                    weight *= 1.0 + p.late_examples * (place_in / max(len(reading.records) - 1, 1) - 0.5)
                pull += weight * place
                mass += weight
        if not mass:
            return 0.0
        # A single far example moves little; many near ones move no more than `example_pull`.
        score = p.example_pull * pull / (mass + 0.05)
        return score + self._reasons(reading, record, seen)

    def _reasons(self, reading: Reading, record: Record, seen: frozenset[str]) -> float:
        """People's reasons in examples, as weak rules; saying one often adds little."""
        p, scale = self.parameters, reading.scale
        said: dict[tuple[tuple[str, bool], ...], float] = {}
        for other in reading.records:
            labels = [label for label in other.labels if label in scale]
            if other is not record and labels:
                place = sum(goodness(label, scale) for label in labels) / len(labels)
                for reason in other.reasons:
                    said[reason.literals] = said.get(reason.literals, 0.0) + place
        if p.follow <= 0:
            return 0.0
        holding = (
            place for literals, place in said.items() if all((f in seen) == there for f, there in literals)
        )
        return p.reason_weight * sum(math.tanh(place) for place in holding)

    def _logits(self, score: float, scale: tuple[str, ...]) -> list[float]:
        p = self.parameters
        centres = [goodness(label, scale) * p.step * (len(scale) - 1) / 2 for label in scale]
        return [-((score - centre) ** 2) / (2 * p.width**2) for centre in centres]

    def _rationale(self, seen: frozenset[str]) -> str:
        names = [FEATURES[key].third[0] for key in sorted(seen)[:3]]
        return f"It {', '.join(names)}." if names else "Nothing stands out in it."


def _softmax(logits: list[float], temperature: float) -> list[float]:
    top = max(logits)
    raised = [math.exp((logit - top) / temperature) for logit in logits]
    total = sum(raised)
    return [value / total for value in raised]
