"""One labelled example, as memory keeps it: an item, and what each rater said of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.results import Value
from judge_opt.core.values import ValueType, majority
from judge_opt.labels.examples import Vote


@dataclass(frozen=True, slots=True)
class Cut:
    """How a text that is longer than the embedding model's window was embedded.

    Attributes:
        chars: of the text.
        pieces: parts of it that the model can read whole.
        embedded: how many of them stand in the vector; fewer than `pieces` where the text was truncated.
    """

    chars: int
    pieces: int
    embedded: int


@dataclass(frozen=True, slots=True)
class Episode:
    """One labelled example. Several raters of one item are one example.

    Attributes:
        id, group: of the trace it came from.
        parts: variable name to value: what the judge saw of the item.
        gold: the raters' majority.
        votes: label (text form) to number of raters.
        rationale: a rater's reason for the gold value, or None.
        missed: the untouched judge had it wrong, or could not judge it.
        sources: assessment ids that it stands on.
        ballots: each rater's vote with its own rationale, sorted by rater; () in memories of releases
            that did not keep them.
        cuts: part name to how it was embedded, for parts longer than the embedding model's window.
    """

    id: str
    group: str
    parts: Mapping[str, Any]
    gold: Value
    votes: Mapping[str, int]
    rationale: str | None = None
    missed: bool = False
    sources: tuple[str, ...] = ()
    ballots: tuple[Vote, ...] = ()
    cuts: Mapping[str, Cut] = field(default_factory=dict)

    @classmethod
    def of_votes(
        cls,
        id: str,
        group: str,
        parts: Mapping[str, Any],
        ballots: Sequence[Vote],
        value_type: ValueType,
        *,
        missed: bool = False,
    ) -> "Episode":
        """An example from its raters' votes.

        Raises:
            DataError: no vote, no majority, or two votes of one rater: each rater has one.
        """
        raters = [vote.rater for vote in ballots]
        twice = sorted({rater for rater in raters if raters.count(rater) > 1})
        if twice:
            raise DataError(
                f"Example {id!r} has several votes of rater {twice[0]!r}.",
                "Give each rater's current vote only.",
            )
        gold = majority([vote.value for vote in ballots])
        if gold is None:
            raise DataError(
                f"Example {id!r} has no majority among its {len(raters)} votes.", "Leave contested rows out."
            )
        ordered = sorted(ballots, key=lambda vote: vote.rater)
        votes: dict[str, int] = {}
        for vote in ordered:
            label = value_type.text_of(vote.value)
            votes[label] = votes.get(label, 0) + 1
        reasons = [v.rationale for v in ordered if v.rationale and v.value == gold]
        return cls(
            id=id,
            group=group,
            parts=dict(parts),
            gold=gold,
            votes=dict(sorted(votes.items())),
            rationale=reasons[0] if reasons else None,
            missed=missed,
            sources=tuple(v.assessment_id for v in ordered if v.assessment_id),
            ballots=tuple(ordered),
        )

    @property
    def soft(self) -> dict[str, float]:
        """Label to its share of the votes; sums to 1."""
        total = sum(self.votes.values())
        return {label: count / total for label, count in self.votes.items()}

    def keeping(self, keep: Callable[[Vote], bool], value_type: ValueType) -> "Episode | None":
        """This example with those of its votes that `keep` accepts; None where no majority is left, so that
        nothing stands on it any more. What a retracted rating or a departed rater leaves behind. Where the
        majority changes, whether the judge had missed it is not known any more, and `missed` is False.

        Raises:
            DataError: a memory of an earlier release, which did not keep single votes.
        """
        if not self.ballots:
            raise DataError(
                f"Example {self.id!r} comes from a release that did not keep single votes.",
                "Remove the whole example, or align the judge again.",
            )
        kept = [vote for vote in self.ballots if keep(vote)]
        if len(kept) == len(self.ballots):
            return self
        if majority([vote.value for vote in kept]) is None:
            return None
        made = Episode.of_votes(self.id, self.group, self.parts, kept, value_type)
        return replace(made, cuts=self.cuts, missed=self.missed and made.gold == self.gold)

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "id": self.id,
            "group": self.group,
            "parts": dict(self.parts),
            "gold": self.gold,
            "votes": dict(self.votes),
            "rationale": self.rationale,
            "missed": self.missed,
            "sources": list(self.sources),
        }
        if self.ballots:
            data["ballots"] = [
                {"rater": v.rater, "value": v.value, "rationale": v.rationale, "source": v.assessment_id}
                for v in self.ballots
            ]
        if self.cuts:
            data["cuts"] = {
                part: {"chars": cut.chars, "pieces": cut.pieces, "embedded": cut.embedded}
                for part, cut in sorted(self.cuts.items())
            }
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Episode":
        """The inverse of `to_json`; reads what earlier releases wrote, too."""
        ballots = [Vote(v["rater"], v["value"], v["rationale"], v["source"]) for v in data.get("ballots", ())]
        cuts = {part: Cut(**cut) for part, cut in data.get("cuts", {}).items()}
        return cls(
            **{
                **data,
                "sources": tuple(data["sources"]),
                "ballots": tuple(ballots),
                "cuts": cuts,
            }
        )
