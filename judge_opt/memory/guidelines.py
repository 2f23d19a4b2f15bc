"""Semantic memory: guidelines with where they come from and what they are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["active", "retired"]
MAX_CHARS = 300
"""A guideline is one rule. What is longer is cut off the list: a pasted text could be an instruction."""


@dataclass(frozen=True, slots=True)
class Guideline:
    """One rule that a reflection LM distilled from labels, or that a person wrote.

    Attributes:
        text: at most `MAX_CHARS` characters, one line.
        sources: ids of the examples that it stands on: those that the reflection LM named for it, else all
            that it was shown when it wrote the rule. () for a rule that a person wrote.
        support, contradict: among the rows it was tried on (never those it was distilled from), how many
            became better and worse with it.
        uplift: mean gain in log probability of the experts' label on those rows (in value on numeric scales);
            None where it was not tried.
        leads_to: the label that it makes likelier where it was tried, on the whole; "" where not tried.
        state: an active guideline is shown to the judge.
        why: why it is in that state, in a few words.
        pinned: a person keeps it: it is neither retired nor removed with its sources.
    """

    text: str
    sources: tuple[str, ...] = ()
    support: int = 0
    contradict: int = 0
    uplift: float | None = None
    state: State = "active"
    why: str = ""
    leads_to: str = ""
    pinned: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        data: dict[str, Any] = {
            "text": self.text,
            "sources": list(self.sources),
            "support": self.support,
            "contradict": self.contradict,
            "uplift": self.uplift,
            "state": self.state,
            "why": self.why,
        }
        if self.leads_to:
            data["leads_to"] = self.leads_to
        if self.pinned:
            data["pinned"] = True
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Guideline":
        """The inverse of `to_json`; reads what earlier releases wrote, too."""
        return cls(**{**data, "sources": tuple(data["sources"])})


def with_guidelines(instructions: str, guidelines: Sequence[Guideline]) -> str:
    """Instructions followed by one section with the active guidelines, in a stable order."""
    active = [g.text for g in guidelines if g.state == "active"]
    if not active:
        return instructions
    listed = "\n".join(f"- {text}" for text in active)
    return f"{instructions.rstrip()}\n\nGuidelines learned from the experts' labels:\n{listed}"
