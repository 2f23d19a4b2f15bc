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
    from judge_opt.core.results import NOT_APPLICABLE, Scored, Unscored
    from judge_opt.core.values import ValueType, categories, interval, ordered, preference, scale
    from judge_opt.experiments.datasets import load_dataset
    from judge_opt.experiments.validation import validate as validate_judges
    from judge_opt.judges.builtin import (
        Completeness,
        ConversationalGuidelines,
        ConversationalRoleAdherence,
        ConversationalSafety,
        ConversationalToolCallEfficiency,
        ConversationCompleteness,
        Correctness,
        Equivalence,
        ExpectationsGuidelines,
        Fluency,
        Guidelines,
        KnowledgeRetention,
        RelevanceToQuery,
        RetrievalGroundedness,
        RetrievalRelevance,
        RetrievalSufficiency,
        Safety,
        Summarization,
        ToolCallCorrectness,
        ToolCallEfficiency,
        UserFrustration,
        builtin_cases,
        run_cases,
    )
    from judge_opt.judges.checks import (
        PII,
        CodeCheck,
        ContainsAll,
        ContainsAny,
        ExactMatch,
        JSONValid,
        Length,
        RegexMatch,
        ToolCallEquality,
        check,
    )
    from judge_opt.judges.dspy_metric import agrees
    from judge_opt.judges.feedback import Feedback
    from judge_opt.judges.judge import Judge
    from judge_opt.judges.jury import Jury, make_jury, make_scorer_ensemble
    from judge_opt.judges.make import make_judge
    from judge_opt.judges.options import AskOptions
    from judge_opt.judges.stored import read_judge as load_judge
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
    from judge_opt.traces.schema import AssessmentSource, Trace
    from judge_opt.traces.store import Store
    from judge_opt.validate.report_data import ValidationReport

__version__ = "0.1.0"

_HOMES = {
    "AlignmentResult": "align.contract",
    "AskOptions": "judges.options",
    "AssessmentSource": "traces.schema",
    "Budget": "llm.budget",
    "BudgetExceeded": "core.errors",
    "CodeCheck": "judges.checks",
    "Completeness": "judges.builtin",
    "ConfigError": "core.errors",
    "Conflict": "core.errors",
    "ContainsAll": "judges.checks",
    "ContainsAny": "judges.checks",
    "ConversationCompleteness": "judges.builtin",
    "ConversationalGuidelines": "judges.builtin",
    "ConversationalRoleAdherence": "judges.builtin",
    "ConversationalSafety": "judges.builtin",
    "ConversationalToolCallEfficiency": "judges.builtin",
    "Correctness": "judges.builtin",
    "CredentialsError": "core.errors",
    "DataError": "core.errors",
    "EndpointUnreachable": "core.errors",
    "Equivalence": "judges.builtin",
    "ExactMatch": "judges.checks",
    "ExpectationsGuidelines": "judges.builtin",
    "Feedback": "judges.feedback",
    "Fluency": "judges.builtin",
    "Guidelines": "judges.builtin",
    "IntegrityError": "core.errors",
    "JSONValid": "judges.checks",
    "Judge": "judges.judge",
    "JudgeOptError": "core.errors",
    "Jury": "judges.jury",
    "KnowledgeRetention": "judges.builtin",
    "LabelledExample": "labels.examples",
    "LeakageError": "core.errors",
    "Length": "judges.checks",
    "MemAlign": "align.memalign",
    "ModelError": "core.errors",
    "ModelNotInstalled": "core.errors",
    "NOT_APPLICABLE": "core.results",
    "NoOp": "align.contract",
    "NotFound": "core.errors",
    "PII": "judges.checks",
    "RegexMatch": "judges.checks",
    "Registry": "registry.registry",
    "RelevanceToQuery": "judges.builtin",
    "RequestRejected": "core.errors",
    "RetrievalGroundedness": "judges.builtin",
    "RetrievalRelevance": "judges.builtin",
    "RetrievalSufficiency": "judges.builtin",
    "Safety": "judges.builtin",
    "Scored": "core.results",
    "Session": "llm.session",
    "Split": "labels.splits",
    "Store": "traces.store",
    "Summarization": "judges.builtin",
    "TemplateError": "core.errors",
    "ToolCallCorrectness": "judges.builtin",
    "ToolCallEfficiency": "judges.builtin",
    "ToolCallEquality": "judges.checks",
    "Trace": "traces.schema",
    "Unscored": "core.results",
    "UsageError": "core.errors",
    "UserFrustration": "judges.builtin",
    "ValidationReport": "validate.report_data",
    "ValueType": "core.values",
    "Version": "registry.versions",
    "Vote": "labels.examples",
    "agrees": "judges.dspy_metric",
    "builtin_cases": "judges.builtin",
    "categories": "core.values",
    "check": "judges.checks",
    "current_session": "llm.session",
    "get_judge": "registry.judges",
    "get_scorer": "registry.judges:get_judge",
    "interval": "core.values",
    "load_dataset": "experiments.datasets",
    "load_examples": "labels.importers",
    "load_judge": "judges.stored:read_judge",
    "make_judge": "judges.make",
    "make_jury": "judges.jury",
    "make_scorer_ensemble": "judges.jury",
    "make_split": "labels.splits",
    "ordered": "core.values",
    "preference": "core.values",
    "register_judge": "registry.judges:register",
    "run_cases": "judges.builtin",
    "scale": "core.values",
    "use_session": "llm.session",
    "validate_judges": "experiments.validation:validate",
}
"""Public name to the module that defines it, and after a colon its name there where that differs.
The function is `validate_judges` since `judge_opt.validate` is the package of the statistics."""

__all__ = [
    "NOT_APPLICABLE",
    "PII",
    "AlignmentResult",
    "AskOptions",
    "AssessmentSource",
    "Budget",
    "BudgetExceeded",
    "CodeCheck",
    "Completeness",
    "ConfigError",
    "Conflict",
    "ContainsAll",
    "ContainsAny",
    "ConversationCompleteness",
    "ConversationalGuidelines",
    "ConversationalRoleAdherence",
    "ConversationalSafety",
    "ConversationalToolCallEfficiency",
    "Correctness",
    "CredentialsError",
    "DataError",
    "EndpointUnreachable",
    "Equivalence",
    "ExactMatch",
    "ExpectationsGuidelines",
    "Feedback",
    "Fluency",
    "Guidelines",
    "IntegrityError",
    "JSONValid",
    "Judge",
    "JudgeOptError",
    "Jury",
    "KnowledgeRetention",
    "LabelledExample",
    "LeakageError",
    "Length",
    "MemAlign",
    "ModelError",
    "ModelNotInstalled",
    "NoOp",
    "NotFound",
    "RegexMatch",
    "Registry",
    "RelevanceToQuery",
    "RequestRejected",
    "RetrievalGroundedness",
    "RetrievalRelevance",
    "RetrievalSufficiency",
    "Safety",
    "Scored",
    "Session",
    "Split",
    "Store",
    "Summarization",
    "TemplateError",
    "ToolCallCorrectness",
    "ToolCallEfficiency",
    "ToolCallEquality",
    "Trace",
    "Unscored",
    "UsageError",
    "UserFrustration",
    "ValidationReport",
    "ValueType",
    "Version",
    "Vote",
    "__version__",
    "agrees",
    "builtin_cases",
    "categories",
    "check",
    "current_session",
    "get_judge",
    "get_scorer",
    "interval",
    "load_dataset",
    "load_examples",
    "load_judge",
    "make_judge",
    "make_jury",
    "make_scorer_ensemble",
    "make_split",
    "ordered",
    "preference",
    "register_judge",
    "run_cases",
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
