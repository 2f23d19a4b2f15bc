"""Step 7: judges over many rows, agents too; kept, resumed, measured, compared.

    result = evaluate(data=rows, judges=[judge], predict_fn=agent)
    print(result)
    print(compare(before, result))

Names are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.evaluation.comparison import EvaluationComparison, compare
    from judge_opt.evaluation.costs import Cost, Costs, Latency
    from judge_opt.evaluation.criteria import Criterion, Outcome
    from judge_opt.evaluation.engine import EvaluationEvent
    from judge_opt.evaluation.kept import list_evaluations, load_evaluation
    from judge_opt.evaluation.metrics import JudgeMetrics
    from judge_opt.evaluation.outlook import Forecast, forecast
    from judge_opt.evaluation.result import EvaluationResult
    from judge_opt.evaluation.rows import Row
    from judge_opt.evaluation.run import evaluate

_HOMES = {
    "Cost": "costs",
    "Costs": "costs",
    "Criterion": "criteria",
    "EvaluationComparison": "comparison",
    "EvaluationEvent": "engine",
    "EvaluationResult": "result",
    "Forecast": "outlook",
    "JudgeMetrics": "metrics",
    "Latency": "costs",
    "Outcome": "criteria",
    "Row": "rows",
    "compare": "comparison",
    "evaluate": "run",
    "forecast": "outlook",
    "list_evaluations": "kept",
    "load_evaluation": "kept",
}

__all__ = [
    "Cost",
    "Costs",
    "Criterion",
    "EvaluationComparison",
    "EvaluationEvent",
    "EvaluationResult",
    "Forecast",
    "JudgeMetrics",
    "Latency",
    "Outcome",
    "Row",
    "compare",
    "evaluate",
    "forecast",
    "list_evaluations",
    "load_evaluation",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
