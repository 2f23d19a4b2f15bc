"""What is stored: a trace, and the assessments that people, judges and code make of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from uuid import uuid4

from judge_opt.core.errors import UsageError
from judge_opt.core.text import nearest

Kind = Literal["feedback", "expectation"]
SourceType = Literal["HUMAN", "LLM_JUDGE", "CODE"]

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
        spans: the steps of the run, JSON objects in the order in which they were recorded.
        created: when it was recorded, with a time zone.
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


@dataclass(frozen=True, slots=True)
class AssessmentSource:
    """Who made an assessment.

    Attributes:
        source_id: the rater's id, the judge's name and version, or the function's name.
    """

    source_type: SourceType = "HUMAN"
    source_id: str = "default"

    def __post_init__(self) -> None:
        choice("source type", self.source_type, get_args(SourceType))
        short_text("source id", self.source_id)


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
    source_type: SourceType
    source_id: str
    created: datetime
    supersedes: str | None = None
    retracted: bool = False
    error: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    current: bool = True

    @property
    def votes(self) -> bool:
        """True where this is its source's word today: current, not retracted, without an error."""
        return self.current and not self.retracted and self.error is None


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces in the order in which they were added; `next_page` is None on the last page."""

    traces: list[Trace]
    next_page: str | None


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
