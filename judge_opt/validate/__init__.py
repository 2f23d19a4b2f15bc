"""Step 5: is the aligned judge better, and may it be promoted?

`validate` measures two judges on held-out rows and returns a `ValidationReport`. Its parts can be used on
their own: `measure_agreement` (one judge), `compare_judges` (two judges on the rows that both scored),
`human_ceiling`, `fit_baselines`, `measure_calibration`, `decide` (the gate).

Unscored rows enter no figure but coverage. A figure that is not defined is None with a reason.

    from judge_opt.core.results import Scored
    from judge_opt.core.values import BOOL
    from judge_opt.validate import validate

    report = validate(gold, before, after, groups, BOOL, ids=ids)
    print(report.headline)
"""

from judge_opt.validate.agreement import Agreement, ClassFigures, Confusion, measure_agreement
from judge_opt.validate.baselines import Baseline, fit_baselines
from judge_opt.validate.calibration import Calibration, ReliabilityBin, measure_calibration
from judge_opt.validate.ceiling import Ceiling, RaterFigures, human_ceiling
from judge_opt.validate.compare import Comparison, compare_judges, holm, mcnemar
from judge_opt.validate.figures import Figure
from judge_opt.validate.gate import Check, Decision, GatePolicy, decide
from judge_opt.validate.intervals import Interval, by_rows, cluster_interval, wilson_interval
from judge_opt.validate.metrics import TITLES, MetricName, heading, metrics_for, primary_metric
from judge_opt.validate.report_data import BaselineFigures, TrainRows, ValidationReport, validate

__all__ = [
    "TITLES",
    "Agreement",
    "Baseline",
    "BaselineFigures",
    "Calibration",
    "Ceiling",
    "Check",
    "ClassFigures",
    "Comparison",
    "Confusion",
    "Decision",
    "Figure",
    "GatePolicy",
    "Interval",
    "MetricName",
    "RaterFigures",
    "ReliabilityBin",
    "TrainRows",
    "ValidationReport",
    "by_rows",
    "cluster_interval",
    "compare_judges",
    "decide",
    "fit_baselines",
    "heading",
    "holm",
    "human_ceiling",
    "mcnemar",
    "measure_agreement",
    "measure_calibration",
    "metrics_for",
    "primary_metric",
    "validate",
    "wilson_interval",
]
