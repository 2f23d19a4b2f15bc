"""LLM judges made from templates, aligned with human experts, proven on held-out labels.

    from judge_opt import MemAlign, load_dataset, make_judge, make_split, ordered, validate_judges

The names below are imported when they are first used, so that `import judge_opt` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.align.any_dspy import AnyDSPy
    from judge_opt.align.calibrate import Calibrate
    from judge_opt.align.chain import Chain
    from judge_opt.align.contract import AlignmentOptimizer, AlignmentResult, Interrupted
    from judge_opt.align.distil import DistilToSmall
    from judge_opt.align.gepa import GEPA
    from judge_opt.align.memalign import MemAlign
    from judge_opt.align.named import make_optimizer
    from judge_opt.align.noop import NoOp
    from judge_opt.align.objective import Metric
    from judge_opt.align.running import alignment
    from judge_opt.align.simba import SIMBA
    from judge_opt.align.suggest import suggest
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
    from judge_opt.evaluation.comparison import EvaluationComparison, compare
    from judge_opt.evaluation.criteria import Criterion
    from judge_opt.evaluation.engine import EvaluationEvent
    from judge_opt.evaluation.kept import list_evaluations, load_evaluation
    from judge_opt.evaluation.outlook import Forecast, forecast
    from judge_opt.evaluation.result import EvaluationResult
    from judge_opt.evaluation.run import evaluate
    from judge_opt.experiments.datasets import load_dataset
    from judge_opt.experiments.validation import validate as validate_judges
    from judge_opt.judges.agentic import AgenticJudge
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
        case_judge,
        judge_each_document,
        run_cases,
    )
    from judge_opt.judges.calibration import Calibration
    from judge_opt.judges.checks import (
        PII,
        CodeCheck,
        ContainsAll,
        ContainsAny,
        ExactMatch,
        JSONValid,
        Length,
        PIIDetection,
        RegexMatch,
        ResponseLength,
        ToolCallEquality,
        check,
    )
    from judge_opt.judges.checks import check as scorer
    from judge_opt.judges.conversation import conversation_of, render_conversation
    from judge_opt.judges.dspy_metric import agrees
    from judge_opt.judges.feedback import Feedback
    from judge_opt.judges.judge import Judge
    from judge_opt.judges.jury import Jury, make_jury, make_scorer_ensemble
    from judge_opt.judges.make import make_judge
    from judge_opt.judges.options import AskOptions
    from judge_opt.judges.sessions import session_examples
    from judge_opt.judges.stored import read_judge as load_judge
    from judge_opt.judges.trace_view import render_trace
    from judge_opt.labels.examples import LabelledExample, Vote
    from judge_opt.labels.held_out import HeldOutRead, reads_of
    from judge_opt.labels.importers import load_examples
    from judge_opt.labels.inputs import (
        InputCategorical,
        InputCategoricalList,
        InputNumeric,
        InputOrdinal,
        InputPairwise,
        InputPassFail,
        InputText,
        InputTextList,
    )
    from judge_opt.labels.leakage import check_no_leakage
    from judge_opt.labels.queues.making import create_queue, delete_queue, get_queue, list_queues
    from judge_opt.labels.queues.queue import LabelQueue
    from judge_opt.labels.raters.adjudication import adjudicate, soft_labels
    from judge_opt.labels.raters.alpha import krippendorff_alpha
    from judge_opt.labels.raters.error_rates import dawid_skene
    from judge_opt.labels.raters.kappa import cohen_kappa, fleiss_kappa, pairwise_agreement
    from judge_opt.labels.raters.lean import rater_leans
    from judge_opt.labels.raters.ratings import Ratings
    from judge_opt.labels.schema_rows import LabelSchema
    from judge_opt.labels.schemas import (
        bind_label_schema,
        create_label_schema,
        delete_label_schema,
        get_label_schema,
        list_label_schemas,
    )
    from judge_opt.labels.splits import Split, make_split
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.forecast import Estimate, estimate
    from judge_opt.llm.session import Session, current_session, use_session
    from judge_opt.memory.episode import Episode
    from judge_opt.memory.episode_store import EpisodeStore
    from judge_opt.memory.episodic import EpisodicMemory
    from judge_opt.memory.vectors import ItemEmbedder
    from judge_opt.prompts.guard import Guard
    from judge_opt.prompts.objectives import Objective
    from judge_opt.prompts.optimize import optimize_prompts
    from judge_opt.prompts.prompt import Prompt
    from judge_opt.prompts.registered import load_prompt, register_prompt, search_prompts, set_prompt_alias
    from judge_opt.prompts.result import PromptResult
    from judge_opt.registry.judges import delete_judge, get_judge, list_judges, list_versions, register
    from judge_opt.registry.judges import delete_judge as delete_scorer
    from judge_opt.registry.judges import get_judge as get_scorer
    from judge_opt.registry.judges import list_judges as list_scorers
    from judge_opt.registry.judges import list_versions as list_scorer_versions
    from judge_opt.registry.judges import register as register_judge
    from judge_opt.registry.registry import Registry
    from judge_opt.registry.versions import Version
    from judge_opt.traces.as_json import Limits
    from judge_opt.traces.check import check_database
    from judge_opt.traces.exporters.run import export_traces
    from judge_opt.traces.exporters.tables import to_arrow, to_pandas
    from judge_opt.traces.fluent import (
        carry_context,
        configure_tracing,
        current_store,
        delete_assessment,
        delete_trace_tag,
        delete_traces,
        flush_traces,
        get_assessment,
        get_current_active_span,
        get_last_active_trace_id,
        get_trace,
        log_assessment,
        log_expectation,
        log_feedback,
        override_feedback,
        retract,
        search_traces,
        set_store,
        set_trace_tag,
        start_span,
        trace,
        update_assessment,
        update_current_trace,
        use_store,
    )
    from judge_opt.traces.importers.report import ImportReport
    from judge_opt.traces.importers.run import import_traces
    from judge_opt.traces.otlp.export import export_otlp
    from judge_opt.traces.otlp.receiver import OTLPReceiver
    from judge_opt.traces.schema import Assessment, AssessmentSource, AssessmentSourceType, Trace, TracePage
    from judge_opt.traces.store import Store
    from judge_opt.validate.alternative_annotators import alt_test
    from judge_opt.validate.audits import plan_audit, run_audit
    from judge_opt.validate.corrected import corrected_mean, corrected_rate, transferred_rate
    from judge_opt.validate.drift_windows import drift
    from judge_opt.validate.equivalence import compare_candidates, margin_test
    from judge_opt.validate.juries import jury_worth
    from judge_opt.validate.raters import RaterReport, rater_report
    from judge_opt.validate.recorded import recorded_verdicts
    from judge_opt.validate.repeats import stability
    from judge_opt.validate.report_data import ValidationReport
    from judge_opt.validate.selective import accept_threshold, risk_coverage
    from judge_opt.validate.soft_labels import soft_scores
    from judge_opt.validate.verdict_report import VerdictReport
    from judge_opt.validate.verdicts import validate_verdicts

__version__ = "0.1.0"

_HOMES = {
    "AgenticJudge": "judges.agentic",
    "AlignmentOptimizer": "align.contract",
    "AlignmentResult": "align.contract",
    "AnyDSPy": "align.any_dspy",
    "AskOptions": "judges.options",
    "Assessment": "traces.schema",
    "AssessmentSource": "traces.schema",
    "AssessmentSourceType": "traces.schema",
    "Budget": "llm.budget",
    "BudgetExceeded": "core.errors",
    "Calibrate": "align.calibrate",
    "Calibration": "judges.calibration",
    "Chain": "align.chain",
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
    "Criterion": "evaluation.criteria",
    "DataError": "core.errors",
    "DistilToSmall": "align.distil",
    "EndpointUnreachable": "core.errors",
    "Episode": "memory.episode",
    "EpisodeStore": "memory.episode_store",
    "EpisodicMemory": "memory.episodic",
    "Equivalence": "judges.builtin",
    "Estimate": "llm.forecast",
    "EvaluationComparison": "evaluation.comparison",
    "EvaluationEvent": "evaluation.engine",
    "EvaluationResult": "evaluation.result",
    "ExactMatch": "judges.checks",
    "ExpectationsGuidelines": "judges.builtin",
    "Feedback": "judges.feedback",
    "Fluency": "judges.builtin",
    "Forecast": "evaluation.outlook",
    "GEPA": "align.gepa",
    "Guard": "prompts.guard",
    "Guidelines": "judges.builtin",
    "HeldOutRead": "labels.held_out",
    "ImportReport": "traces.importers.report",
    "InputCategorical": "labels.inputs",
    "InputCategoricalList": "labels.inputs",
    "InputNumeric": "labels.inputs",
    "InputOrdinal": "labels.inputs",
    "InputPairwise": "labels.inputs",
    "InputPassFail": "labels.inputs",
    "InputText": "labels.inputs",
    "InputTextList": "labels.inputs",
    "IntegrityError": "core.errors",
    "Interrupted": "align.contract",
    "ItemEmbedder": "memory.vectors",
    "JSONValid": "judges.checks",
    "Judge": "judges.judge",
    "JudgeOptError": "core.errors",
    "Jury": "judges.jury",
    "KnowledgeRetention": "judges.builtin",
    "LabelQueue": "labels.queues.queue",
    "LabelSchema": "labels.schema_rows",
    "LabelledExample": "labels.examples",
    "LeakageError": "core.errors",
    "Length": "judges.checks",
    "Limits": "traces.as_json",
    "MemAlign": "align.memalign",
    "Metric": "align.objective",
    "ModelError": "core.errors",
    "ModelNotInstalled": "core.errors",
    "NOT_APPLICABLE": "core.results",
    "NoOp": "align.noop",
    "NotFound": "core.errors",
    "OTLPReceiver": "traces.otlp.receiver",
    "Objective": "prompts.objectives",
    "PII": "judges.checks",
    "PIIDetection": "judges.checks",
    "Prompt": "prompts.prompt",
    "PromptResult": "prompts.result",
    "RaterReport": "validate.raters",
    "Ratings": "labels.raters.ratings",
    "RegexMatch": "judges.checks",
    "Registry": "registry.registry",
    "RelevanceToQuery": "judges.builtin",
    "RequestRejected": "core.errors",
    "ResponseLength": "judges.checks",
    "RetrievalGroundedness": "judges.builtin",
    "RetrievalRelevance": "judges.builtin",
    "RetrievalSufficiency": "judges.builtin",
    "SIMBA": "align.simba",
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
    "TracePage": "traces.schema",
    "Unscored": "core.results",
    "UsageError": "core.errors",
    "UserFrustration": "judges.builtin",
    "ValidationReport": "validate.report_data",
    "ValueType": "core.values",
    "VerdictReport": "validate.verdict_report",
    "Version": "registry.versions",
    "Vote": "labels.examples",
    "accept_threshold": "validate.selective",
    "adjudicate": "labels.raters.adjudication",
    "agrees": "judges.dspy_metric",
    "alignment": "align.running",
    "alt_test": "validate.alternative_annotators",
    "bind_label_schema": "labels.schemas",
    "builtin_cases": "judges.builtin",
    "carry_context": "traces.fluent",
    "case_judge": "judges.builtin",
    "categories": "core.values",
    "check": "judges.checks",
    "check_database": "traces.check",
    "check_no_leakage": "labels.leakage",
    "cohen_kappa": "labels.raters.kappa",
    "compare": "evaluation.comparison",
    "compare_candidates": "validate.equivalence",
    "configure_tracing": "traces.fluent",
    "conversation_of": "judges.conversation",
    "corrected_mean": "validate.corrected",
    "corrected_rate": "validate.corrected",
    "create_label_schema": "labels.schemas",
    "create_queue": "labels.queues.making",
    "current_session": "llm.session",
    "current_store": "traces.fluent",
    "dawid_skene": "labels.raters.error_rates",
    "delete_assessment": "traces.fluent",
    "delete_judge": "registry.judges",
    "delete_label_schema": "labels.schemas",
    "delete_queue": "labels.queues.making",
    "delete_scorer": "registry.judges:delete_judge",
    "delete_trace_tag": "traces.fluent",
    "delete_traces": "traces.fluent",
    "drift": "validate.drift_windows",
    "estimate": "llm.forecast",
    "evaluate": "evaluation.run",
    "export_otlp": "traces.otlp.export",
    "export_traces": "traces.exporters.run",
    "fleiss_kappa": "labels.raters.kappa",
    "flush_traces": "traces.fluent",
    "forecast": "evaluation.outlook",
    "get_assessment": "traces.fluent",
    "get_current_active_span": "traces.fluent",
    "get_judge": "registry.judges",
    "get_label_schema": "labels.schemas",
    "get_last_active_trace_id": "traces.fluent",
    "get_queue": "labels.queues.making",
    "get_scorer": "registry.judges:get_judge",
    "get_trace": "traces.fluent",
    "import_traces": "traces.importers.run",
    "interval": "core.values",
    "judge_each_document": "judges.builtin",
    "jury_worth": "validate.juries",
    "krippendorff_alpha": "labels.raters.alpha",
    "list_evaluations": "evaluation.kept",
    "list_judges": "registry.judges",
    "list_label_schemas": "labels.schemas",
    "list_queues": "labels.queues.making",
    "list_scorer_versions": "registry.judges:list_versions",
    "list_scorers": "registry.judges:list_judges",
    "list_versions": "registry.judges",
    "load_dataset": "experiments.datasets",
    "load_evaluation": "evaluation.kept",
    "load_examples": "labels.importers",
    "load_judge": "judges.stored:read_judge",
    "load_prompt": "prompts.registered",
    "log_assessment": "traces.fluent",
    "log_expectation": "traces.fluent",
    "log_feedback": "traces.fluent",
    "make_judge": "judges.make",
    "make_jury": "judges.jury",
    "make_optimizer": "align.named",
    "make_scorer_ensemble": "judges.jury",
    "make_split": "labels.splits",
    "margin_test": "validate.equivalence",
    "optimize_prompts": "prompts.optimize",
    "ordered": "core.values",
    "override_feedback": "traces.fluent",
    "pairwise_agreement": "labels.raters.kappa",
    "plan_audit": "validate.audits",
    "preference": "core.values",
    "rater_leans": "labels.raters.lean",
    "rater_report": "validate.raters",
    "reads_of": "labels.held_out",
    "recorded_verdicts": "validate.recorded",
    "register": "registry.judges",
    "register_judge": "registry.judges:register",
    "register_prompt": "prompts.registered",
    "render_conversation": "judges.conversation",
    "render_trace": "judges.trace_view",
    "retract": "traces.fluent",
    "risk_coverage": "validate.selective",
    "run_audit": "validate.audits",
    "run_cases": "judges.builtin",
    "scale": "core.values",
    "scorer": "judges.checks:check",
    "search_prompts": "prompts.registered",
    "search_traces": "traces.fluent",
    "session_examples": "judges.sessions",
    "set_prompt_alias": "prompts.registered",
    "set_store": "traces.fluent",
    "set_trace_tag": "traces.fluent",
    "soft_labels": "labels.raters.adjudication",
    "soft_scores": "validate.soft_labels",
    "stability": "validate.repeats",
    "start_span": "traces.fluent",
    "suggest": "align.suggest",
    "to_arrow": "traces.exporters.tables",
    "to_pandas": "traces.exporters.tables",
    "trace": "traces.fluent",
    "transferred_rate": "validate.corrected",
    "update_assessment": "traces.fluent",
    "update_current_trace": "traces.fluent",
    "use_session": "llm.session",
    "use_store": "traces.fluent",
    "validate_judges": "experiments.validation:validate",
    "validate_verdicts": "validate.verdicts",
}
"""Public name to the module that defines it, and after a colon its name there where that differs.
The function is `validate_judges` since `judge_opt.validate` is the package of the statistics."""

__all__ = [
    "GEPA",
    "NOT_APPLICABLE",
    "PII",
    "SIMBA",
    "AgenticJudge",
    "AlignmentOptimizer",
    "AlignmentResult",
    "AnyDSPy",
    "AskOptions",
    "Assessment",
    "AssessmentSource",
    "AssessmentSourceType",
    "Budget",
    "BudgetExceeded",
    "Calibrate",
    "Calibration",
    "Chain",
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
    "Criterion",
    "DataError",
    "DistilToSmall",
    "EndpointUnreachable",
    "Episode",
    "EpisodeStore",
    "EpisodicMemory",
    "Equivalence",
    "Estimate",
    "EvaluationComparison",
    "EvaluationEvent",
    "EvaluationResult",
    "ExactMatch",
    "ExpectationsGuidelines",
    "Feedback",
    "Fluency",
    "Forecast",
    "Guard",
    "Guidelines",
    "HeldOutRead",
    "ImportReport",
    "InputCategorical",
    "InputCategoricalList",
    "InputNumeric",
    "InputOrdinal",
    "InputPairwise",
    "InputPassFail",
    "InputText",
    "InputTextList",
    "IntegrityError",
    "Interrupted",
    "ItemEmbedder",
    "JSONValid",
    "Judge",
    "JudgeOptError",
    "Jury",
    "KnowledgeRetention",
    "LabelQueue",
    "LabelSchema",
    "LabelledExample",
    "LeakageError",
    "Length",
    "Limits",
    "MemAlign",
    "Metric",
    "ModelError",
    "ModelNotInstalled",
    "NoOp",
    "NotFound",
    "OTLPReceiver",
    "Objective",
    "PIIDetection",
    "Prompt",
    "PromptResult",
    "RaterReport",
    "Ratings",
    "RegexMatch",
    "Registry",
    "RelevanceToQuery",
    "RequestRejected",
    "ResponseLength",
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
    "TracePage",
    "Unscored",
    "UsageError",
    "UserFrustration",
    "ValidationReport",
    "ValueType",
    "VerdictReport",
    "Version",
    "Vote",
    "__version__",
    "accept_threshold",
    "adjudicate",
    "agrees",
    "alignment",
    "alt_test",
    "bind_label_schema",
    "builtin_cases",
    "carry_context",
    "case_judge",
    "categories",
    "check",
    "check_database",
    "check_no_leakage",
    "cohen_kappa",
    "compare",
    "compare_candidates",
    "configure_tracing",
    "conversation_of",
    "corrected_mean",
    "corrected_rate",
    "create_label_schema",
    "create_queue",
    "current_session",
    "current_store",
    "dawid_skene",
    "delete_assessment",
    "delete_judge",
    "delete_label_schema",
    "delete_queue",
    "delete_scorer",
    "delete_trace_tag",
    "delete_traces",
    "drift",
    "estimate",
    "evaluate",
    "export_otlp",
    "export_traces",
    "fleiss_kappa",
    "flush_traces",
    "forecast",
    "get_assessment",
    "get_current_active_span",
    "get_judge",
    "get_label_schema",
    "get_last_active_trace_id",
    "get_queue",
    "get_scorer",
    "get_trace",
    "import_traces",
    "interval",
    "judge_each_document",
    "jury_worth",
    "krippendorff_alpha",
    "list_evaluations",
    "list_judges",
    "list_label_schemas",
    "list_queues",
    "list_scorer_versions",
    "list_scorers",
    "list_versions",
    "load_dataset",
    "load_evaluation",
    "load_examples",
    "load_judge",
    "load_prompt",
    "log_assessment",
    "log_expectation",
    "log_feedback",
    "make_judge",
    "make_jury",
    "make_optimizer",
    "make_scorer_ensemble",
    "make_split",
    "margin_test",
    "optimize_prompts",
    "ordered",
    "override_feedback",
    "pairwise_agreement",
    "plan_audit",
    "preference",
    "rater_leans",
    "rater_report",
    "reads_of",
    "recorded_verdicts",
    "register",
    "register_judge",
    "register_prompt",
    "render_conversation",
    "render_trace",
    "retract",
    "risk_coverage",
    "run_audit",
    "run_cases",
    "scale",
    "scorer",
    "search_prompts",
    "search_traces",
    "session_examples",
    "set_prompt_alias",
    "set_store",
    "set_trace_tag",
    "soft_labels",
    "soft_scores",
    "stability",
    "start_span",
    "suggest",
    "to_arrow",
    "to_pandas",
    "trace",
    "transferred_rate",
    "update_assessment",
    "update_current_trace",
    "use_session",
    "use_store",
    "validate_judges",
    "validate_verdicts",
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
