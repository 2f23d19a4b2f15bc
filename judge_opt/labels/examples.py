"""A labelled example: one item with what each rater said of it. What alignment learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Value
from judge_opt.core.values import majority

FIELDS = ("inputs", "outputs", "expectations", "trace", "conversation")
"""The fields of an item, in prompt order: the template variables of a judge."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One rater's current label of one item.

    Attributes:
        assessment_id: where it is stored; provenance of what is learned from it.
    """

    rater: str
    value: Value
    rationale: str | None = None
    assessment_id: str = ""


@dataclass(frozen=True, slots=True)
class LabelledExample:
    """One item and its votes.

    Attributes:
        id: the trace's id, unique.
        group: rows of one group (session, prompt, article) never stand on two sides of a split.
        fields: the item: "inputs", "outputs", and so on, JSON values; absent where the trace has none.
        votes: the raters' current labels, one a rater, sorted by rater; never empty.
    """

    id: str
    group: str
    fields: Mapping[str, Any]
    votes: tuple[Vote, ...]

    @property
    def gold(self) -> Value | None:
        """The majority of the votes; None where they tie: a contested item is no gold."""
        return majority([vote.value for vote in self.votes])

    @property
    def soft(self) -> dict[str, float]:
        """The distribution of the votes: label in text form to its share, sorted by label; it sums to 1.

        What an optimizer learns from where people disagree: a label of two of three raters is not the same
        as one of all three.
        """
        counts: dict[str, int] = {}
        for vote in self.votes:
            text = _text(vote.value)
            counts[text] = counts.get(text, 0) + 1
        return {text: counts[text] / len(self.votes) for text in sorted(counts)}

    @property
    def rationale(self) -> str | None:
        """The first rationale among the votes for the gold value (for any value on a tie)."""
        gold = self.gold
        for vote in self.votes:
            if vote.rationale and (gold is None or vote.value == gold):
                return vote.rationale
        return None

    @property
    def digest(self) -> str:
        """Content hash of the item and its votes."""
        votes = [[v.rater, v.value, v.rationale] for v in self.votes]
        return content_hash({"id": self.id, "group": self.group, "fields": dict(self.fields), "votes": votes})


def _text(value: Any) -> str:
    """As `ValueType.text_of` writes a value that is in its Python type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    from judge_opt.core.structured import to_text

    return to_text(value)
