"""Traces and the assessments of them: what was recorded, and what people and judges said of it.

    store = Store("lab.db")
    trace_id = store.add_trace(Trace(inputs={"question": "..."}, outputs={"answer": "..."}))
    store.log_feedback(trace_id, "is_correct", True, rationale="It cites the policy.", rater="ana")
    examples = store.labelled_examples("is_correct", bool)

The names are imported on first use: the schema alone does not load SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.traces.database import Database
    from judge_opt.traces.schema import Assessment, AssessmentSource, AssessmentSourceType, Trace, TracePage
    from judge_opt.traces.store import Store

__all__ = [
    "Assessment",
    "AssessmentSource",
    "AssessmentSourceType",
    "Database",
    "Store",
    "Trace",
    "TracePage",
]

_HOMES = {
    "Assessment": "schema",
    "AssessmentSource": "schema",
    "AssessmentSourceType": "schema",
    "Database": "database",
    "Store": "store",
    "Trace": "schema",
    "TracePage": "schema",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
