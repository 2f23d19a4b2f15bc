"""Checks: judges whose verdict is found by code. No model, no cost, the same interface.

    @check
    def cites_a_source(outputs: str) -> bool:
        "Does the reply name a source?"
        return "http" in outputs

    cites_a_source(outputs="See http://example.org").value       # True

A check is called, batched, aligned, validated and put on a jury like any other judge. Alignment can fuse its
verdict with what labelled examples say; guidelines and examples in a prompt have no meaning for code.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from judge_opt.core.errors import IntegrityError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.text import printable
from judge_opt.core.values import ValueType
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import Parts, item_of
from judge_opt.judges.judge import Judge
from judge_opt.judges.make import check_name
from judge_opt.judges.template import Template, literal
from judge_opt.llm.session import Session
from judge_opt.memory.guidelines import Guideline
from judge_opt.traces.schema import SourceType

Code = Callable[..., Any]
"""Called with the item's parts in the template's order. Returns a value, (value, rationale), a `Feedback`,
`Scored` or `Unscored`."""

SHIPPED = {
    "RegexMatch": "judge_opt.judges.checks.text",
    "Length": "judge_opt.judges.checks.text",
    "ContainsAll": "judge_opt.judges.checks.text",
    "ContainsAny": "judge_opt.judges.checks.text",
    "ExactMatch": "judge_opt.judges.checks.text",
    "JSONValid": "judge_opt.judges.checks.json_valid",
    "PII": "judge_opt.judges.checks.pii",
    "ToolCallEquality": "judge_opt.judges.checks.tool_calls",
}
"""Checks that can be stored, to the module that makes them: a file cannot name code of its own."""


class CodeCheck(Judge):
    """A judge that runs code. Made by `check`, or by one of the shipped checks (`RegexMatch`, `PII`, ...).

    Args:
        name: as of `make_judge`.
        code: see `Code`; must not change anything, since it may be run on several threads.
        template: names the parts that `code` gets; its text says what is checked.
        value_type: what the verdict may be; what `code` returns is read as strictly as a model's reply.
        shipped: (name in `SHIPPED`, its arguments), by which it is stored; None for a user's function.
    """

    kind = "check"
    source_type: SourceType = "CODE"

    def __init__(
        self,
        name: str,
        code: Code,
        template: Template,
        value_type: ValueType,
        *,
        shipped: tuple[str, Mapping[str, Any]] | None = None,
        description: str = "",
    ) -> None:
        check_name(name)
        super().__init__(name, template, value_type, "", description=description)
        self.code = code
        self.shipped = shipped

    def parts(self, item: Any) -> Parts | Unscored:
        """The parts of an item, as they are: code reads a trace better than its view."""
        found = item_of(item)
        try:
            return Parts({variable.name: variable.of(found) for variable in self.template.variables})
        except KeyError as missing:
            return Unscored("missing_input", f"the item has no {missing.args[0]}")

    def ask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """Run the code. Guidelines and demos have no effect. An exception is no verdict: it ends as
        `Unscored("call_failed")` with its type and text."""
        try:
            said = self.code(*(parts[variable.name] for variable in self.template.variables))
        except TimeoutError as error:
            return Unscored("timeout", _line(error))
        except Exception as error:  # noqa: BLE001 - whatever the code raises, the item has no verdict
            return Unscored("call_failed", f"{self.name} raised {type(error).__name__}: {_line(error)}")
        if isinstance(said, Feedback):
            said = said.result
        if isinstance(said, Unscored):
            return said
        if not isinstance(said, Scored):
            said = Scored(*said) if _has_rationale(said) else Scored(said)
        try:
            value = self.value_type.read(said.value)
        except ValueError as error:
            return Unscored("out_of_set", f"{self.name} returned {_line(said.value)}: {error}")
        return Scored(value, rationale=said.rationale, details=said.details)

    async def aask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """As `ask`: code is run where it is called."""
        return self.ask(parts)

    def lm(self, session: Session | None = None) -> Any:
        """Raises:
        UsageError: always: a check asks no model.
        """
        raise UsageError(f"The check {self.name!r} asks no model.", "Use a judge made by make_judge.")

    def endpoint_of(self, uri: str) -> str | None:
        """None: a check has no endpoint that could serve other models."""
        return None

    def named_predictors(self) -> list[tuple[str, Any]]:
        """None: there is nothing in code that DSPy's optimizers could rewrite."""
        return []

    def named_parameters(self) -> list[tuple[str, Any]]:
        return []

    def extra_state(self) -> dict[str, Any]:
        """Raises:
        UsageError: the check is a user's own function, which no file can hold.
        """
        if self.shipped is None:
            raise UsageError(
                f"The check {self.name!r} is a function of your own and cannot be stored.",
                "Keep it in your code and make it anew there, or use a shipped check such as RegexMatch.",
            )
        check, arguments = self.shipped
        return {"check": check, "arguments": dict(arguments)}

    @classmethod
    def from_state(cls, extra: Mapping[str, Any], **made: Any) -> "CodeCheck":
        """The shipped check of that name with these arguments.

        Raises:
            IntegrityError: this version has no such check, or makes another one of the same arguments.
        """
        module = SHIPPED.get(str(extra.get("check")))
        if module is None:
            raise IntegrityError(
                f"The stored check {made['name']!r} is a {extra.get('check')!r}, which does not exist here.",
                "Upgrade judge_opt.",
            )
        make = getattr(import_module(module), extra["check"])
        found = make(**extra["arguments"], name=made["name"], description=made["description"])
        if found.template != made["template"] or found.value_type != made["value_type"]:
            raise IntegrityError(
                f"The stored check {made['name']!r} comes out differently in this version of judge_opt.",
                "Make it anew with the same arguments, and align it again.",
            )
        found.memory = made["memory"]
        return cast(CodeCheck, found)

    def _made_again(self) -> "CodeCheck":
        return CodeCheck(
            self.name,
            self.code,
            self.template,
            self.value_type,
            shipped=self.shipped,
            description=self.description,
        )

    def __repr__(self) -> str:
        learned = "" if self.memory is None else f", {len(self.memory.episodic)} examples"
        return f"CodeCheck({self.name!r}, {self.value_type.describe()!r}{learned})"


def shipped_check(
    name: str,
    code: Code,
    about: str,
    variables: Sequence[str],
    value_type: ValueType,
    *,
    shipped: tuple[str, Mapping[str, Any]],
    description: str,
) -> CodeCheck:
    """A check of ours.

    Args:
        about: what it checks, one line; anything in it is shown as it is.
        variables: template variables, in the order in which `code` takes them.

    Raises:
        UsageError: a variable is none.
    """
    if len(set(variables)) != len(variables):
        raise UsageError(f"A check cannot compare {variables[0]!r} with itself.", "Name another field.")
    template = Template.parse(f"{literal(about)}\n\n{' '.join(f'{{{{ {v} }}}}' for v in variables)}")
    order = [variable.name for variable in template.variables]

    def ordered(*values: Any) -> Any:
        given = dict(zip(order, values, strict=True))
        return code(*(given[name] for name in variables))

    return CodeCheck(name, ordered, template, value_type, shipped=shipped, description=description or about)


def _has_rationale(said: Any) -> bool:
    return isinstance(said, tuple) and len(said) == 2 and (said[1] is None or isinstance(said[1], str))


def _line(value: Any) -> str:
    """For a message: one short printable line."""
    return " ".join(printable(str(value)).split())[:200]
