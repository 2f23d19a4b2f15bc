"""A judge that looks into a trace with tools, for traces too large to show.

    judge = make_judge("safe_run", "Did the agent in {{ trace }} keep to the rules?", trace_mode="agent")
    judge(trace=trace).metadata["steps"]

It sees the compact view of the trace and opens what it needs (`judge_opt.judges.views.tools`) in at most
`max_steps` steps of `dspy.ReAct`. What it found joins the view, and the verdict is then asked for and read
as every judge's: same adapter, same strictness, same memory, same samples. So it is aligned, compiled,
saved and fused like any other judge. A trace that is shown whole is judged at once.

Of `dspy.ReAct` four things are replaced. Its adapter (see `views.steps`), because a tool's result could
steer the default one. How it writes its record, because it builds a signature from text at every step, and
Python before 3.11.8 and 3.12.2 cannot always parse in several threads at once (cpython issue 106905). Its
tools' call, because dspy writes a stack trace, with the paths of this machine, into the next prompt when a
call fails; ours never fails. And its last call, which extracts the answer without any check: the judge's
own question stands in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Unscored
from judge_opt.judges.dspy_road import lm_of
from judge_opt.judges.item import Parts, item_of
from judge_opt.judges.judge import Judge
from judge_opt.judges.rendering import item_text
from judge_opt.judges.views.steps import FINISH, UNREADABLE, StepAdapter, broken, shown_lookup, step_format
from judge_opt.judges.views.tools import LEAST_TOKENS, TOOLS, SpanTools
from judge_opt.llm.errors import reason_of
from judge_opt.memory.guidelines import Guideline, with_guidelines

MOST_STEPS = 100


class TracePart(str):
    """The view of a trace, with the trace itself at hand.

    Wherever a judge's parts are shown, embedded or stored, this is the view's text; only the judge's own
    tools look behind it. An example that was stored has its text only.
    """

    trace: Any
    whole: bool

    @classmethod
    def of(cls, text: str, trace: Any, whole: bool) -> "TracePart":
        """Args:
        whole: nothing was cut from the view, so that there is nothing to look up.
        """
        part = cls(text)
        part.trace = trace
        part.whole = whole
        return part

    def __deepcopy__(self, memo: dict[int, Any]) -> "TracePart":
        return self

    def __reduce__(self) -> Any:
        return str, (str(self),)


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What one inspection came to.

    Attributes:
        findings: what was looked up, as text; "" for nothing.
        details: for the judgement: steps, the calls, how it ended.
        failed: why there can be no judgement, or None.
    """

    findings: str = ""
    details: Mapping[str, Any] | None = None
    failed: Unscored | None = None


class AgenticJudge(Judge):
    """See the module's text; made by `make_judge(..., trace_mode="agent")`.

    Args:
        max_steps: the most calls of the model before the verdict is asked for, 1 to 100.
        result_tokens: the most that one tool's answer may take, estimated.
        *args, **made: as of `Judge`.

    The judgement's details (on the feedback: its metadata) hold `steps` (calls of the model before the
    verdict), `lookups` (which tool with which arguments) and `inspection` (how it ended: "finish",
    "max_steps", "too_long", "unreadable", "failed", "not needed").
    """

    kind = "agent"

    def __init__(self, *args: Any, max_steps: int = 8, result_tokens: int = 2000, **made: Any) -> None:
        super().__init__(*args, **made)
        if not 1 <= max_steps <= MOST_STEPS:
            raise UsageError(f"max_steps={max_steps} is no number of steps.", f"Give 1 to {MOST_STEPS}.")
        if result_tokens < LEAST_TOKENS:
            raise UsageError(
                f"result_tokens={result_tokens} shows too little of a span.", f"Give {LEAST_TOKENS} or more."
            )
        self.max_steps = max_steps
        self.result_tokens = result_tokens

    def parts(self, item: Any) -> "Parts | Unscored":
        """As of `Judge`; the trace's part also leads to the trace."""
        parts = super().parts(item)
        if isinstance(parts, Unscored):
            return parts
        trace = item_of(item).get("trace")
        if "trace" in parts and trace is not None and not isinstance(trace, str):
            whole = not any(one["where"].startswith(("#", "trace")) for one in parts.cut)
            parts["trace"] = TracePart.of(parts["trace"], trace, whole)
        return parts

    def ask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """As of `Judge`, after an inspection of the trace."""
        inspector = self._inspector(parts, guidelines)
        seen = inspector.run() if inspector else _NOT_NEEDED
        if seen.failed is not None:
            return seen.failed
        judged = super().ask(_with(parts, seen.findings), guidelines=guidelines, demos=demos)
        return replace(judged, details={**judged.details, **(seen.details or {})})

    async def aask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """As `ask`, in an event loop."""
        inspector = self._inspector(parts, guidelines)
        seen = await inspector.arun() if inspector else _NOT_NEEDED
        if seen.failed is not None:
            return seen.failed
        judged = await super().aask(_with(parts, seen.findings), guidelines=guidelines, demos=demos)
        return replace(judged, details={**judged.details, **(seen.details or {})})

    def extra_state(self) -> dict[str, Any]:
        return {"max_steps": self.max_steps, "result_tokens": self.result_tokens}

    @classmethod
    def from_state(cls, extra: Mapping[str, Any], **made: Any) -> "AgenticJudge":
        return cls(max_steps=extra["max_steps"], result_tokens=extra["result_tokens"], **made)

    def _made_again(self) -> "AgenticJudge":
        return AgenticJudge(
            self.name,
            self.template,
            self.value_type,
            self.model,
            base_url=self.base_url,
            params=self.params,
            rationale=self.rationale,
            description=self.description,
            options=self.options,
            max_steps=self.max_steps,
            result_tokens=self.result_tokens,
        )

    def _inspector(self, parts: Mapping[str, Any], guidelines: Sequence[Guideline]) -> "_Inspector | None":
        part = parts.get("trace")
        if not isinstance(part, TracePart) or part.whole:
            return None
        instructions = with_guidelines(self.instructions, guidelines) if guidelines else self.instructions
        return _Inspector(
            self.template.shown(instructions),
            broken(item_text(dict(parts))),
            SpanTools(part.trace, self.result_tokens),
            self.max_steps,
            lm_of(self),
        )


_NOT_NEEDED = _Inspection(details={"steps": 0, "inspection": "not needed"})


class _Inspector:
    """One run of `dspy.ReAct` on one trace."""

    def __init__(self, instructions: str, item: str, tools: SpanTools, max_steps: int, lm: Any) -> None:
        signature = dspy.make_signature(
            {"item": (str, dspy.InputField()), "verdict": (str, dspy.OutputField())}, instructions
        )
        self.item = item
        self.tools = tools
        self.adapter = StepAdapter()
        self.lm = lm
        self.max_steps = max_steps
        self.react = _ReAct(signature, [_tool(tools, name) for name in TOOLS], max_iters=max_steps)
        self.react.tools[UNREADABLE] = _tool(tools, UNREADABLE)
        self.react.react.config = {"response_format": step_format()}
        self.react.extract = _NoExtraction()

    def run(self) -> _Inspection:
        try:
            # DSPy's trace is for the judge's own predictor; these calls belong to no predictor of it.
            with dspy.context(adapter=self.adapter, lm=self.lm, trace=None):
                steps = self.react(item=self.item).trajectory
        except Exception as error:  # noqa: BLE001 - raised again where it is not about this call
            return self._stopped(error)
        return self._ended(steps)

    async def arun(self) -> _Inspection:
        try:
            with dspy.context(adapter=self.adapter, lm=self.lm, trace=None):
                steps = (await self.react.acall(item=self.item)).trajectory
        except Exception as error:  # noqa: BLE001 - raised again where it is not about this call
            return self._stopped(error)
        return self._ended(steps)

    def _ended(self, trajectory: Mapping[str, Any]) -> _Inspection:
        names = [name for key, name in trajectory.items() if key.startswith("tool_name_")]
        if names[-1:] == [FINISH]:
            return self._inspection("unreadable" if self.adapter.unreadable else "finish")
        # ReAct gives up where its steps no longer fit the model's context, also without the oldest.
        return self._inspection("max_steps" if len(names) == self.max_steps else "too_long")

    def _stopped(self, error: Exception) -> _Inspection:
        """An empty reply is no step: the verdict is asked for with what was seen until then. A call that
        failed leaves nothing to judge by.

        Raises:
            Exception: `error` itself, where it concerns every call.
        """
        if isinstance(error, AdapterParseError):
            return self._inspection("unreadable")
        known = reason_of(error)
        if known is None:
            raise error
        return _Inspection(failed=Unscored(*known, details=self._details("failed")))

    def _inspection(self, end: str) -> _Inspection:
        shown = [shown_lookup(i, one) for i, one in enumerate(self.tools.lookups, 1)]
        return _Inspection("\n".join(shown), self._details(end))

    def _details(self, end: str) -> dict[str, Any]:
        calls = [{"tool": one.tool, "arguments": dict(one.arguments)} for one in self.tools.lookups]
        return {"steps": self.adapter.calls, "inspection": end, "lookups": calls}


class _ReAct(dspy.ReAct):
    def _format_trajectory(self, trajectory: dict[str, Any]) -> str:
        adapter = dspy.settings.adapter
        assert isinstance(adapter, StepAdapter)
        return adapter.trajectory(trajectory)


class _SpanTool(dspy.Tool):
    """A tool whose call cannot fail: arguments go to it as they came, unchecked."""

    def __call__(self, /, **arguments: Any) -> Any:
        return self.func(arguments)

    async def acall(self, /, **arguments: Any) -> Any:
        return self.func(arguments)


def _tool(tools: SpanTools, name: str) -> _SpanTool:
    def call(arguments: dict[str, Any]) -> str:
        if name == UNREADABLE:
            return f"Your last reply was no step. Call one of {', '.join(TOOLS)} or {FINISH}."
        return tools.call(name, arguments)

    does, arguments = TOOLS.get(name, ("", {}))
    return _SpanTool(func=call, name=name, desc=does, args=dict(arguments), arg_types={})


class _NoExtraction(dspy.Module):
    """Stands where `ReAct` would ask for the answer: the judge asks for it."""

    def forward(self, **_: Any) -> dspy.Prediction:
        return dspy.Prediction()

    async def aforward(self, **_: Any) -> dspy.Prediction:
        return dspy.Prediction()


def _with(parts: Mapping[str, Any], findings: str) -> Mapping[str, Any]:
    """The parts with what was found behind the view."""
    if not findings:
        return parts
    return {**parts, "trace": f"{broken(parts['trace'])}\n\nLooked up in this trace:\n{findings}"}
