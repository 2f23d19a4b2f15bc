"""LLM judges made from templates, aligned with human experts, proven on held-out labels.

    from judge_opt import MemAlign, load_dataset, make_judge, make_split, ordered, validate_judges

The names below are imported when they are first used, so that `import judge_opt` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.align.contract import AlignmentResult, NoOp
    from judge_opt.align.memalign import MemAlign
    from judge_opt.core.errors import (
        BudgetExceeded,
        ConfigError,
        Conflict,
        CredentialsError,
        DataError,
        EndpointUnreachable,
        IntegrityError,
        JudgeOptError,
        LeakageError,
        ModelError,
        ModelNotInstalled,
        NotFound,
        RequestRejected,
        TemplateError,
        UsageError,
    )
    from judge_opt.core.results import Scored, Unscored
    from judge_opt.core.values import ValueType, categories, ordered, scale
    from judge_opt.experiments.datasets import load_dataset
    from judge_opt.experiments.validation import validate as validate_judges
    from judge_opt.judges.feedback import Feedback
    from judge_opt.judges.judge import Judge
    from judge_opt.judges.make import make_judge
    from judge_opt.labels.examples import LabelledExample, Vote
    from judge_opt.labels.importers import load_examples
    from judge_opt.labels.splits import Split, make_split
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.session import Session, current_session, use_session
    from judge_opt.registry.judges import get_judge
    from judge_opt.registry.judges import get_judge as get_scorer
    from judge_opt.registry.judges import register as register_judge
    from judge_opt.registry.registry import Registry
    from judge_opt.registry.versions import Version
    from judge_opt.traces.schema import Trace
    from judge_opt.traces.store import Store
    from judge_opt.validate.report_data import ValidationReport

__version__ = "0.1.0"

_HOMES = {
    "AlignmentResult": "align.contract",
    "Budget": "llm.budget",
    "BudgetExceeded": "core.errors",
    "ConfigError": "core.errors",
    "Conflict": "core.errors",
    "CredentialsError": "core.errors",
    "DataError": "core.errors",
    "EndpointUnreachable": "core.errors",
    "Feedback": "judges.feedback",
    "IntegrityError": "core.errors",
    "Judge": "judges.judge",
    "JudgeOptError": "core.errors",
    "LabelledExample": "labels.examples",
    "LeakageError": "core.errors",
    "MemAlign": "align.memalign",
    "ModelError": "core.errors",
    "ModelNotInstalled": "core.errors",
    "NoOp": "align.contract",
    "NotFound": "core.errors",
    "Registry": "registry.registry",
    "RequestRejected": "core.errors",
    "Scored": "core.results",
    "Session": "llm.session",
    "Split": "labels.splits",
    "Store": "traces.store",
    "TemplateError": "core.errors",
    "Trace": "traces.schema",
    "Unscored": "core.results",
    "UsageError": "core.errors",
    "ValidationReport": "validate.report_data",
    "ValueType": "core.values",
    "Version": "registry.versions",
    "Vote": "labels.examples",
    "categories": "core.values",
    "current_session": "llm.session",
    "get_judge": "registry.judges",
    "get_scorer": "registry.judges:get_judge",
    "load_dataset": "experiments.datasets",
    "load_examples": "labels.importers",
    "make_judge": "judges.make",
    "make_split": "labels.splits",
    "ordered": "core.values",
    "register_judge": "registry.judges:register",
    "scale": "core.values",
    "use_session": "llm.session",
    "validate_judges": "experiments.validation:validate",
}
"""Public name to the module that defines it, and after a colon its name there where that differs.
The function is `validate_judges` since `judge_opt.validate` is the package of the statistics."""

__all__ = [
    "AlignmentResult",
    "Budget",
    "BudgetExceeded",
    "ConfigError",
    "Conflict",
    "CredentialsError",
    "DataError",
    "EndpointUnreachable",
    "Feedback",
    "IntegrityError",
    "Judge",
    "JudgeOptError",
    "LabelledExample",
    "LeakageError",
    "MemAlign",
    "ModelError",
    "ModelNotInstalled",
    "NoOp",
    "NotFound",
    "Registry",
    "RequestRejected",
    "Scored",
    "Session",
    "Split",
    "Store",
    "TemplateError",
    "Trace",
    "Unscored",
    "UsageError",
    "ValidationReport",
    "ValueType",
    "Version",
    "Vote",
    "__version__",
    "categories",
    "current_session",
    "get_judge",
    "get_scorer",
    "load_dataset",
    "load_examples",
    "make_judge",
    "make_split",
    "ordered",
    "register_judge",
    "scale",
    "use_session",
    "validate_judges",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = home.partition(":")
    value = getattr(import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
