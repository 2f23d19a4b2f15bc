"""What is stored: a trace, and the assessments that people, judges and code make of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, get_args
from uuid import uuid4

from judge_opt.core.errors import UsageError
from judge_opt.core.text import nearest

Kind = Literal["feedback", "expectation"]
SourceType = Literal["HUMAN", "LLM_JUDGE", "CODE"]


class AssessmentSourceType(StrEnum):
    """Who assesses; each member equals its own name as text."""

    HUMAN = "HUMAN"
    LLM_JUDGE = "LLM_JUDGE"
    CODE = "CODE"


MAX_NAME = 250
"""Longest id, name, rater, session or tag key, in characters: what every database can index."""


def now() -> datetime:
    return datetime.now(UTC)


def new_trace_id() -> str:
    return f"tr-{uuid4().hex}"


def new_assessment_id() -> str:
    return f"as-{uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded run of the application that is judged. Immutable once stored, but for its tags.

    Attributes:
        id: unique in its store, 1 to 250 characters, any text.
        inputs, outputs: any JSON value; None where the application recorded none.
        expectations: name to JSON value: what a right answer would be, as recorded with the trace.
        session: the conversation that it belongs to; its traces never stand on two sides of a split.
        tags: text to text; the only part that can change later.
        metadata: facts about the run (model, application version), JSON values.
        spans: the steps of the run, JSON objects in the order in which they were recorded; the shape is in
            `judge_opt.traces.spans`.
        created: when it was recorded, with a time zone.
        assessments: what the store knew of it when it was read, oldest first, with the replaced and the
            retracted ones. Empty for a trace that was not read from a store; not part of its content, so
            that two readings of one trace are equal.
    """

    id: str = field(default_factory=new_trace_id)
    inputs: Any = None
    outputs: Any = None
    expectations: Mapping[str, Any] = field(default_factory=dict)
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    spans: Sequence[Mapping[str, Any]] = ()
    created: datetime = field(default_factory=now)
    assessments: "tuple[Assessment, ...]" = field(default=(), compare=False)

    @property
    def root_span(self) -> Mapping[str, Any] | None:
        """The first span without a parent; None where there is none."""
        return next((span for span in self.spans if span.get("parent_id") is None), None)

    @property
    def name(self) -> str | None:
        """The root span's name."""
        name = (self.root_span or {}).get("name")
        return name if isinstance(name, str) else None

    @property
    def status(self) -> str | None:
        """ "OK", "ERROR" or "UNSET", as the root span ended; None where no span says it."""
        status = (self.root_span or {}).get("status")
        code = status.get("code") if isinstance(status, Mapping) else None
        return code if code in ("OK", "ERROR", "UNSET") else None

    @property
    def execution_time_ms(self) -> float | None:
        """How long the root span took, in milliseconds; None where no span says it."""
        root = self.root_span or {}
        start, end = root.get("start_ns"), root.get("end_ns")
        if isinstance(start, int) and isinstance(end, int):
            return (end - start) / 1e6
        return None

    def search_assessments(
        self,
        name: str | None = None,
        source_type: SourceType | AssessmentSourceType | None = None,
        *,
        type: Kind | None = None,
        all: bool = False,
    ) -> "list[Assessment]":
        """The assessments that vote and meet every condition, oldest first.

        Args:
            type: "feedback" or "expectation".
            all: also the replaced, the retracted and the failed ones.

        Raises:
            UsageError: an unknown source type or kind.
        """
        if source_type is not None:
            choice("source type", source_type, get_args(SourceType))
        if type is not None:
            choice("assessment kind", type, get_args(Kind))
        return [
            word
            for word in self.assessments
            if (all or word.votes)
            and name in (None, word.name)
            and source_type in (None, word.source_type)
            and type in (None, word.kind)
        ]


@dataclass(frozen=True, slots=True)
class AssessmentSource:
    """Who made an assessment.

    Attributes:
        source_id: the rater's id, the judge's name and version, or the function's name.
    """

    source_type: SourceType | AssessmentSourceType = "HUMAN"
    source_id: str = "default"

    def __post_init__(self) -> None:
        choice("source type", self.source_type, get_args(SourceType))
        short_text("source id", self.source_id)
        object.__setattr__(self, "source_type", str(self.source_type))


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one source said of one trace, once.

    Attributes:
        kind: feedback (a judgement of the trace) or expectation (what would have been right).
        value: any JSON value; None only together with `error`.
        supersedes: id of the assessment that this one replaced; None for a first one.
        retracted: taken back; it never votes and never comes back.
        error: why there is no value; an assessment with an error never votes and replaces nothing.
        metadata: JSON facts, such as the judge's version or its confidence.
        current: False once a newer assessment of the same source replaced it.
    """

    id: str
    trace_id: str
    kind: Kind
    name: str
    value: Any
    rationale: str | None
    source_type: SourceType | AssessmentSourceType
    source_id: str
    created: datetime
    supersedes: str | None = None
    retracted: bool = False
    error: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    current: bool = True

    @property
    def source(self) -> AssessmentSource:
        """Who made it."""
        return AssessmentSource(self.source_type, self.source_id)

    @property
    def votes(self) -> bool:
        """True where this is its source's word today: current, not retracted, without an error."""
        return self.current and not self.retracted and self.error is None


class TracePage(list[Trace]):
    """A list of traces, in the order that was asked for, and where the next page begins.

    Attributes:
        next_page: what to pass as `page` for the traces that follow; None on the last page.
    """

    def __init__(self, traces: Iterable[Trace] = (), next_page: str | None = None) -> None:
        super().__init__(traces)
        self.next_page = next_page

    @property
    def traces(self) -> list[Trace]:
        """The page as a plain list."""
        return list(self)


@dataclass(frozen=True, slots=True)
class LabelledTrace:
    """A trace with what votes: the feedback of one name, and people's expectations of it."""

    trace: Trace
    assessments: tuple[Assessment, ...]


def short_text(what: str, value: Any) -> str:
    """`value`, if it is text of 1 to 250 characters.

    Raises:
        UsageError: it is not; the message names `what`.
    """
    if not isinstance(value, str):
        raise UsageError(f"The {what} must be text, got {type(value).__name__}.", "Pass a str.")
    if not 1 <= len(value) <= MAX_NAME:
        raise UsageError(
            f"The {what} must have 1 to {MAX_NAME} characters, got {len(value)}.", f"Shorten the {what}."
        )
    return value


def choice(what: str, value: Any, allowed: Sequence[str]) -> None:
    """Raises UsageError where `value` is not one of `allowed`."""
    if value not in allowed:
        raise UsageError(
            f"The {what} {str(value)[:60]!r} is not known.{nearest(str(value).upper(), allowed)}",
            f"Use one of: {', '.join(allowed)}.",
        )
