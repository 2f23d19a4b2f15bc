"""What one alignment run has to tell: the data behind the HTML, Markdown and terminal reports.

Plain data, saved with the run as JSON, so that a report can be rendered again without the run. All text in
it may come from a trace and is hostile; the renderers make it inert (see safe.py).
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from judge_opt.validate import ValidationReport
from judge_opt.validate.figures import Strict

Status = Literal["promoted", "not_promoted", "failed"]


class DataCard(Strict):
    """The labelled rows.

    Attributes:
        rows, groups: of all splits together.
        raters: their names or pseudonyms; empty where they are not known.
        card: what the data is, where it comes from, its licence and limits, in plain text.
        split_hash: content hash of the frozen split.
        split_sizes: split name to rows, in order of use.
        contested: rows on which the raters tied.
        labels: label to rows, in label order.
    """

    name: str
    card: str = ""
    rows: int
    groups: int
    raters: list[str] = Field(default_factory=list)
    split_hash: str
    split_sizes: dict[str, int]
    contested: int = 0
    labels: dict[str, int] = Field(default_factory=dict)


class ReadOfHeldOut(Strict):
    """A recorded reading of the held-out rows. `when` is ISO 8601; `run_id` None where no run read."""

    when: str
    reason: str
    run_id: str | None = None


class JudgeCard(Strict):
    """The judge that was aligned. `value_type` is in words: "one of: good, bad"."""

    name: str
    instructions: str
    value_type: str
    model: str


class ComponentResult(Strict):
    """One part of what was learned, kept or not.

    Attributes:
        on: whether the aligned judge uses it.
        measured: what it was worth on rows that it was not learned from, in words and figures; "" where it
            was not measured.
        why: why it is on or off.
    """

    name: str
    on: bool
    measured: str = ""
    why: str = ""


class GuidelineResult(Strict):
    """A distilled guideline.

    Attributes:
        support, contradict: labelled rows that speak for it and against it.
        uplift: mean change of the log probability of the experts' label on rows that it was not distilled
            from; None where not measured.
    """

    text: str
    support: int
    contradict: int
    state: Literal["active", "retired"]
    uplift: float | None = None
    why: str = ""


class NeighbourUsed(Strict):
    """A labelled example that the judge used. `similarity` is the cosine, in [-1, 1]."""

    id: str
    value: str
    similarity: float
    text: str


class Disagreement(Strict):
    """A held-out row on which people and the aligned judge differ.

    Attributes:
        item: field name to text.
        before, after: the two judges' verdicts in text form; None where unscored.
        judge_rationale: of the aligned judge.
    """

    id: str
    item: dict[str, str]
    human_value: str
    human_rationale: str | None = None
    before: str | None
    after: str | None
    judge_rationale: str | None = None
    neighbours: list[NeighbourUsed] = Field(default_factory=list)


class LedgerLine(Strict):
    """Calls for one purpose to one model. `calls` were bought, `cached` were answered from the cache; `usd`
    is None where the price is not known; `seconds` is time spent waiting for the model, summed over calls."""

    purpose: str
    model: str
    calls: int
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    seconds: float = 0.0


class LearningStep(Strict):
    """One step of the optimizer. `value` is None where the step measured nothing."""

    step: int
    what: str
    metric: str
    value: float | None = None


class Environment(Strict):
    """How to get the same run again."""

    run_id: str
    seed: int
    versions: dict[str, str] = Field(default_factory=dict)
    commands: list[str] = Field(default_factory=list)
    config_yaml: str = ""


class RunReport(Strict):
    """One alignment run. JSON round trip: `model_dump_json`, `model_validate_json`.

    Attributes:
        status: `promoted` only where the validation says so; `failed` where the run did not come to an end.
        validation: the held-out comparison; None only where the run failed before it.
        held_out_reads: every reading of the test rows that was on record at the end, this run's included;
            empty in reports of releases that kept no record.
        failure: what stopped a failed run and what to do next; None else.
        timings: phase to wall seconds, in order.

    Raises:
        ValueError: the status says something else than the gate.
    """

    schema_version: Literal[1] = 1
    title: str
    description: str = ""
    status: Status
    validation: ValidationReport | None
    failure: str | None = None
    data: DataCard
    held_out_reads: list[ReadOfHeldOut] = Field(default_factory=list)
    judge: JudgeCard
    optimizer: str
    settings: dict[str, str] = Field(default_factory=dict)
    components: list[ComponentResult] = Field(default_factory=list)
    guidelines: list[GuidelineResult] = Field(default_factory=list)
    disagreements: list[Disagreement] = Field(default_factory=list)
    ledger: list[LedgerLine] = Field(default_factory=list)
    timings: dict[str, float] = Field(default_factory=dict)
    environment: Environment
    warnings: list[str] = Field(default_factory=list)
    history: list[LearningStep] = Field(default_factory=list)

    @model_validator(mode="after")
    def _status_is_what_the_gate_said(self) -> Self:
        if self.status == "failed":
            return self
        if self.validation is None:
            raise ValueError(f"status {self.status!r} needs a validation")
        if (self.status == "promoted") != self.validation.decision.promoted:
            raise ValueError(f"status {self.status!r} contradicts the gate's decision")
        return self

    @property
    def conclusion(self) -> str:
        """The run's result in words."""
        if self.status == "failed":
            return self.failure or "The run did not come to an end."
        assert self.validation is not None
        return self.validation.headline

    @property
    def usd(self) -> float | None:
        """What the run cost; None where the price of any bought call is not known."""
        bought = [line.usd for line in self.ledger if line.calls]
        known = [usd for usd in bought if usd is not None]
        return sum(known) if len(known) == len(bought) else None
