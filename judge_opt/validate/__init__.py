"""Step 5: is the aligned judge better, and may it be promoted?

`validate` measures two judges on held-out rows and returns a `ValidationReport`. Its parts can be used on
their own: `measure_agreement` (one judge), `compare_judges` (two judges on the rows that both scored),
`human_ceiling`, `fit_baselines`, `measure_calibration`, `decide` (the gate), and what docs/statistics.md and
docs/validation.md list. `validate_verdicts` reports on any
verdicts, without an alignment. Bias audits ask a judge, so they are in `judge_opt.validate.audits`.

Unscored rows enter no figure but coverage. A figure that is not defined is None with a reason.

    from judge_opt.core.results import Scored
    from judge_opt.core.values import BOOL
    from judge_opt.validate import validate

    report = validate(gold, before, after, groups, BOOL, ids=ids)
    print(report.headline)
"""

from judge_opt.validate.agreement import Agreement, ClassFigures, Confusion, measure_agreement
from judge_opt.validate.alternative_annotators import AltTest, RaterTest, alt_test
from judge_opt.validate.baselines import Baseline, fit_baselines
from judge_opt.validate.bias import BiasTest, length_lean, paired_bias, self_preference
from judge_opt.validate.calibration import Calibration, ReliabilityBin, measure_calibration
from judge_opt.validate.ceiling import Ceiling, RaterFigures, human_ceiling
from judge_opt.validate.compare import Comparison, compare_judges, holm, mcnemar
from judge_opt.validate.corrected import corrected_mean, corrected_rate, transferred_rate
from judge_opt.validate.corrected_estimate import Corrected
from judge_opt.validate.drift_windows import DriftReport, TimeRows, drift
from judge_opt.validate.equivalence import Candidates, MarginTest, compare_candidates, margin_test
from judge_opt.validate.figures import Figure
from judge_opt.validate.gate import Check, Decision, GatePolicy, decide
from judge_opt.validate.gate_checks import Evidence, load_policy
from judge_opt.validate.intervals import Interval, by_rows, cluster_interval, wilson_interval
from judge_opt.validate.juries import JuryWorth, jury_worth
from judge_opt.validate.metrics import TITLES, MetricName, heading, metrics_for, primary_metric
from judge_opt.validate.perturbations import Perturbation
from judge_opt.validate.positions import PositionFigures, position_figures
from judge_opt.validate.power import (
    agreement_width,
    design_effect,
    gain_power,
    kappa_width,
    labels_for_agreement,
    labels_for_gain,
    labels_for_kappa,
)
from judge_opt.validate.recorded import Verdicts, read_verdicts, recorded_verdicts
from judge_opt.validate.repeats import Stability, below_floor, repeat_judgements, stability
from judge_opt.validate.report_data import BaselineFigures, TrainRows, ValidationReport, validate
from judge_opt.validate.selective import AcceptRule, CurvePoint, RiskCoverage, accept_threshold, risk_coverage
from judge_opt.validate.soft_labels import SoftScores, soft_scores
from judge_opt.validate.verdict_parts import Context
from judge_opt.validate.verdict_report import JudgeSheet, VerdictReport
from judge_opt.validate.verdicts import validate_verdicts
from judge_opt.validate.watch import Watch, floor_from, watch_agreement

__all__ = [
    "TITLES",
    "AcceptRule",
    "Agreement",
    "AltTest",
    "Baseline",
    "BaselineFigures",
    "BiasTest",
    "Calibration",
    "Candidates",
    "Ceiling",
    "Check",
    "ClassFigures",
    "Comparison",
    "Confusion",
    "Context",
    "Corrected",
    "CurvePoint",
    "Decision",
    "DriftReport",
    "Evidence",
    "Figure",
    "GatePolicy",
    "Interval",
    "JudgeSheet",
    "JuryWorth",
    "MarginTest",
    "MetricName",
    "Perturbation",
    "PositionFigures",
    "RaterFigures",
    "RaterTest",
    "ReliabilityBin",
    "RiskCoverage",
    "SoftScores",
    "Stability",
    "TimeRows",
    "TrainRows",
    "ValidationReport",
    "VerdictReport",
    "Verdicts",
    "Watch",
    "accept_threshold",
    "agreement_width",
    "alt_test",
    "below_floor",
    "by_rows",
    "cluster_interval",
    "compare_candidates",
    "compare_judges",
    "corrected_mean",
    "corrected_rate",
    "decide",
    "design_effect",
    "drift",
    "fit_baselines",
    "floor_from",
    "gain_power",
    "heading",
    "holm",
    "human_ceiling",
    "jury_worth",
    "kappa_width",
    "labels_for_agreement",
    "labels_for_gain",
    "labels_for_kappa",
    "length_lean",
    "load_policy",
    "margin_test",
    "mcnemar",
    "measure_agreement",
    "measure_calibration",
    "metrics_for",
    "paired_bias",
    "position_figures",
    "primary_metric",
    "read_verdicts",
    "recorded_verdicts",
    "repeat_judgements",
    "risk_coverage",
    "self_preference",
    "soft_scores",
    "stability",
    "transferred_rate",
    "validate",
    "validate_verdicts",
    "watch_agreement",
    "wilson_interval",
]
