"""How a judge asks: once or several times, with what second chances."""

from dataclasses import asdict, dataclass
from typing import Any

from judge_opt.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class AskOptions:
    """Settings of one judge that are about asking, not about the question.

    Attributes:
        samples: how often each item is judged, each time with a call of its own; the share of the verdict
            that wins is its confidence (self-consistency: Wang et al., 2023). 1 is one call.
        repair: ask once more where a reply holds no verdict that can be read.
        swap: two variables of the template whose contents are exchanged for a second call; a preference
            that depends on the order is then no preference. None: one order only.
        view_tokens: how much of a trace or a conversation is shown, estimated tokens.
    """

    samples: int = 1
    repair: bool = True
    swap: tuple[str, str] | None = None
    view_tokens: int = 4000

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 100:
            raise UsageError(f"samples={self.samples} is no number of samples.", "Give 1 to 100.")
        if self.view_tokens < 100:
            raise UsageError(f"view_tokens={self.view_tokens} shows nothing.", "Give 100 or more.")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "swap": list(self.swap) if self.swap else None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "AskOptions":
        return cls(**{**data, "swap": tuple(data["swap"]) if data["swap"] else None})
