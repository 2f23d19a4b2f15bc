"""What `validate_verdicts` returns: plain data, from which the HTML, Markdown and terminal reports are made."""

from typing import Literal

from pydantic import Field

from judge_opt.validate.agreement import Agreement
from judge_opt.validate.alternative_annotators import AltTest
from judge_opt.validate.bias import BiasTest
from judge_opt.validate.calibration import Calibration
from judge_opt.validate.ceiling import Ceiling
from judge_opt.validate.compare import Comparison
from judge_opt.validate.corrected_estimate import Corrected
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.gate import Decision, GatePolicy
from judge_opt.validate.juries import JuryWorth
from judge_opt.validate.metrics import MetricName
from judge_opt.validate.positions import PositionFigures
from judge_opt.validate.repeats import Stability
from judge_opt.validate.selective import AcceptRule, RiskCoverage
from judge_opt.validate.soft_labels import SoftScores


class CrossFittedFigures(Strict):
    """A baseline on the rows, learned from other groups of them; see cross_fitted.py."""

    name: Literal["constant", "output_length", "text_classifier", "calibrated_judge"]
    agreement: Figure
    primary: Figure


class Worst(Strict):
    """A row on which people and the judge differ. Texts are not kept here; `id` finds them.

    Attributes:
        human: the majority. votes: rater to label.
        item: the row's fields as text, where the caller wants them in the report.
        rationale: the judge's reasons. human_rationale: a rater's.
    """

    id: str
    human: str
    votes: dict[str, str]
    said: str
    confidence: float | None = None
    item: dict[str, str] = Field(default_factory=dict)
    rationale: str | None = None
    human_rationale: str | None = None


class JudgeSheet(Strict):
    """Everything about one judge: the reliability card.

    Attributes:
        lean: mean of judge minus human (of yes/no: the difference of the shares of yes).
        without_ties: agreement where neither side sees a tie; None where ties are not allowed.
        calibrated: the judge after a map learned from labels of other groups: the baseline to beat.
        alpha_with_people: Krippendorff's alpha with the judge as one more rater.
        alt_test, soft: None where rows have one rater.
        rule: where the judge may decide alone at 90 % agreement.
        corrected: the rate of `positive` that people would give; None for numbers.
        position, stability: None where the judge was not asked in both orders, or not repeatedly.
        biases: observed in these verdicts, and audits that were run.
        learned_from: rows among these that the judge learned from; None where that is not known.
        comparison, adjusted: with the reference; Holm's p-value over all judges.
        worst: the greatest disagreements.
    """

    name: str
    agreement: Agreement
    lean: Figure
    without_ties: Figure | None = None
    calibrated: CrossFittedFigures
    alpha_with_people: Figure
    calibration: Calibration
    curve: RiskCoverage
    rule: AcceptRule
    alt_test: AltTest | None = None
    soft: SoftScores | None = None
    corrected: Corrected | None = None
    positive: str | None = None
    position: PositionFigures | None = None
    stability: Stability | None = None
    biases: list[BiasTest] = Field(default_factory=list)
    learned_from: int | None = None
    comparison: Comparison | None = None
    adjusted: float | None = None
    worst: list[Worst] = Field(default_factory=list)


class SliceLine(Strict):
    """One value of a slice: judge name to agreement."""

    value: str
    n: int
    agreement: dict[str, Figure]


class SliceFigures(Strict):
    """A slice, such as inputs.subset."""

    path: str
    lines: list[SliceLine]


class VerdictReport(Strict):
    """Judges against people. JSON round trip: `model_dump_json`, `model_validate_json`.

    Attributes:
        n_rows, n_groups: rows with a majority, and their groups; `n_contested` have none.
        labels: how often people said each label; {} for numbers.
        ceiling: people against people; people_alpha: their Krippendorff's alpha.
        constant_test: the alternative annotator test of always giving one label.
        reference: the judge that the others are compared with.
        decision: of the gate, where there is a policy.
        how: what was done to get the verdicts, and how to get this report again; text lines.
    """

    schema_version: Literal[1] = 1
    title: str
    noun: str
    value_type: str
    rows_digest: str
    n_rows: int
    n_groups: int
    n_contested: int
    n_raters: int
    labels: dict[str, int]
    metric: MetricName
    ceiling: Ceiling
    people_alpha: Figure
    baselines: list[CrossFittedFigures]
    constant_test: AltTest | None = None
    judges: list[JudgeSheet]
    reference: str | None = None
    jury: JuryWorth | None = None
    slices: list[SliceFigures] = Field(default_factory=list)
    policy: GatePolicy | None = None
    decision: Decision | None = None
    notes: list[str]
    headline: str
    how: list[str] = Field(default_factory=list)
    seed: int
    n_boot: int
