"""Are the tools that were called those that were expected?

judged = ToolCallEquality(ordered=True)(
    trace=trace,
    expectations={"expected_tool_calls": [{"name": "search", "arguments": {"query": "tea"}}]},
)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.judges.checks.code_check import CodeCheck, shipped_check
from judge_opt.judges.checks.text import YES_NO, equal, verdict
from judge_opt.judges.template import Template
from judge_opt.judges.views.fields import parts_of
from judge_opt.judges.views.messages import parsed
from judge_opt.judges.views.tree import read_tree

_NAMES = ("gen_ai.tool.name", "tool.name", "tool_name")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Attributes:
    arguments: name to JSON value; None in an expected call where any will do.
    failed: the call ended in an error.
    """

    name: str
    arguments: Any = None
    failed: bool = False

    def __str__(self) -> str:
        if self.arguments is None:
            return self.name
        text = json.dumps(self.arguments, ensure_ascii=False, default=str)
        return printable(f"{self.name}({text if len(text) <= 120 else text[:119] + '…'})")


def ToolCallEquality(  # noqa: N802 - called like a class
    ordered: bool = False,
    *,
    ignore_failed: bool = False,
    field: str = "trace",
    expected: str = "expectations.expected_tool_calls",
    name: str = "tool_call_equality",
    description: str = "",
) -> CodeCheck:
    """yes where the calls that were made are exactly the expected ones.

    An expected call is `{"name": ..., "arguments": {...}}`, or OpenAI's `{"function": {...}}`; without
    arguments any will do. Arguments are equal as JSON: 4 is 4.0, texts are equal to the letter. Two equal calls
    are two calls (MLflow counts them as one).

    Args:
        ordered: the order counts.
        ignore_failed: a call that ended in an error does not count.
        field: where the calls stand: a trace (its TOOL spans), or messages in OpenAI's form (`outputs`,
            `conversation`).
        expected: where the expected ones stand.

    Raises:
        UsageError: `field` and `expected` are the same.
    """

    def run(made: Any, wanted: Any) -> Scored | Unscored:
        goal = _expected(wanted)
        if isinstance(goal, Unscored):
            return goal
        calls = tool_calls_of(made)
        if calls is None:
            return Unscored("missing_input", f"{field} holds neither spans nor messages")
        if ignore_failed:
            calls = [call for call in calls if not call.failed]
        faults = _in_order(calls, goal) if ordered else _in_any_order(calls, goal)
        count = f"{len(calls)} made, {len(goal)} expected"
        return verdict(not faults, "; ".join([count, *faults])[:2000], made=len(calls), expected=len(goal))

    for one in (field, expected):
        Template.parse(f"{{{{ {one} }}}}")
    if field == expected:
        raise UsageError(f"Calls in {field!r} cannot be compared with themselves.", "Name another field.")
    arguments = {"ordered": ordered, "ignore_failed": ignore_failed, "field": field, "expected": expected}
    return shipped_check(
        name,
        run,
        f"The tool calls in {field} are those in {expected}, {'in that' if ordered else 'in any'} order.",
        [field, expected],
        YES_NO,
        shipped=("ToolCallEquality", arguments),
        description=description,
    )


def tool_calls_of(value: Any) -> list[ToolCall] | None:
    """The calls in a trace (`Trace`, or its JSON) or in chat messages, in order; None where it is neither."""
    value = parsed(value)
    if hasattr(value, "spans") or (isinstance(value, Mapping) and ("spans" in value or "data" in value)):
        return list(_in_spans(value))
    if isinstance(value, Mapping):
        value = value.get("messages", [value])
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [call for message in value if isinstance(message, Mapping) for call in _in_message(message)]
    return None


def _in_spans(trace: Any) -> Iterator[ToolCall]:
    for span in read_tree(trace).spans:
        if span.type != "TOOL":
            continue
        named = next(
            (span.attributes[key] for key in _NAMES if span.attributes.get(key)), span.raw.get("name")
        )
        given = next((part.value for part in parts_of(span) if part.name == "input"), None)
        yield ToolCall(str(named), _arguments(given) or {}, span.failed)


def _in_message(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, Sequence) and not isinstance(calls, str) else ():
        if isinstance(call, Mapping):
            yield _call(call) or ToolCall("(a call without a name)")


def _expected(wanted: Any) -> list[ToolCall] | Unscored:
    wanted = parsed(wanted)
    if not isinstance(wanted, Sequence) or isinstance(wanted, str | bytes):
        return Unscored("missing_input", "the expected tool calls are no list")
    found = []
    for place, one in enumerate(wanted):
        call = ToolCall(one) if isinstance(one, str) else _call(one) if isinstance(one, Mapping) else None
        if call is None:
            return Unscored("missing_input", f"expected tool call {place} has no name")
        found.append(call)
    return found


def _call(data: Mapping[str, Any]) -> ToolCall | None:
    function = data.get("function")
    if isinstance(function, Mapping):
        data = function
    name = data.get("name")
    if not isinstance(name, str) or not name:
        return None
    given = next((data[key] for key in ("arguments", "args") if data.get(key) is not None), None)
    return ToolCall(name, _arguments(given))


def _arguments(given: Any) -> Any:
    """Arguments as a value: a JSON text is read."""
    return parsed(given.strip()) if isinstance(given, str) else given


def _same(made: ToolCall, wanted: ToolCall) -> bool:
    return made.name == wanted.name and (
        wanted.arguments is None or equal(made.arguments or {}, wanted.arguments)
    )


def _in_order(made: Sequence[ToolCall], wanted: Sequence[ToolCall]) -> list[str]:
    faults = [
        f"call {place + 1}: expected {goal}, got {call}"
        for place, (call, goal) in enumerate(zip(made, wanted, strict=False))
        if not _same(call, goal)
    ]
    faults += [f"missing: {goal}" for goal in wanted[len(made) :]]
    return faults + [f"not expected: {call}" for call in made[len(wanted) :]]


def _in_any_order(made: Sequence[ToolCall], wanted: Sequence[ToolCall]) -> list[str]:
    """Expected calls with arguments choose first: those without take what is left, so that no choice can
    spoil another."""
    left, faults = list(made), []
    for goal in sorted(wanted, key=lambda one: one.arguments is None):
        place = next((i for i, call in enumerate(left) if _same(call, goal)), None)
        if place is None:
            faults.append(f"missing: {goal}")
        else:
            del left[place]
    return faults + [f"not expected: {call}" for call in left]
