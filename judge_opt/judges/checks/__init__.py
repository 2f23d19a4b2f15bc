"""Judges whose verdict is found by code: no model, no cost."""

from judge_opt.judges.checks.code_check import CodeCheck
from judge_opt.judges.checks.functions import check
from judge_opt.judges.checks.json_valid import JSONValid
from judge_opt.judges.checks.pii import PII, PIIType
from judge_opt.judges.checks.text import ContainsAll, ContainsAny, ExactMatch, Length, RegexMatch
from judge_opt.judges.checks.tool_calls import ToolCall, ToolCallEquality, tool_calls_of

PIIDetection = PII
"""MLflow's name."""
ResponseLength = Length
"""MLflow's name."""

__all__ = [
    "PII",
    "CodeCheck",
    "ContainsAll",
    "ContainsAny",
    "ExactMatch",
    "JSONValid",
    "Length",
    "PIIDetection",
    "PIIType",
    "RegexMatch",
    "ResponseLength",
    "ToolCall",
    "ToolCallEquality",
    "check",
    "tool_calls_of",
]
