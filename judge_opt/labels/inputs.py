"""How a label is given: the question's form. MLflow's names where it has the thing.

InputPassFail("correct", "wrong")   InputCategorical(["a", "b"])   InputOrdinal(["poor", "fair", "good"])
InputNumeric(1, 5, whole=True)      InputPairwise("A", "B", tie="tie")
InputText(max_length=500)           InputTextList(max_count=5)     InputCategoricalList(["x", "y"])
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.values import BOOL, ValueType, preference
from judge_opt.traces.label_rules import Rule


@dataclass(frozen=True)
class InputPassFail:
    """One of two; stored as True (the positive label) or False."""

    positive_label: str = "pass"
    negative_label: str = "fail"

    def rule(self) -> Rule:
        preference(self.positive_label, self.negative_label)  # the two must differ
        return Rule(BOOL, self.positive_label, self.negative_label)


@dataclass(frozen=True)
class InputCategorical:
    """One of several labels without an order; several at once with `multi_select`."""

    options: Sequence[str]
    multi_select: bool = False

    def rule(self) -> Rule:
        if self.multi_select:
            return InputCategoricalList(self.options).rule()
        return Rule(ValueType("nominal", tuple(self.options)))


@dataclass(frozen=True)
class InputOrdinal:
    """One of several labels, first to last."""

    options: Sequence[str]

    def rule(self) -> Rule:
        return Rule(ValueType("ordinal", tuple(self.options)))


@dataclass(frozen=True)
class InputNumeric:
    """A number in an inclusive range; a whole number with `whole`."""

    min_value: float | None = None
    max_value: float | None = None
    whole: bool = False

    def rule(self) -> Rule:
        return Rule(ValueType("int" if self.whole else "float", low=self.min_value, high=self.max_value))


@dataclass(frozen=True)
class InputPairwise:
    """Which of two is better; with `tie`, neither may be."""

    first: str = "A"
    second: str = "B"
    tie: str | None = "tie"

    def rule(self) -> Rule:
        return Rule(preference(self.first, self.second, self.tie))


@dataclass(frozen=True)
class InputText:
    """Free text, not empty."""

    max_length: int | None = None

    def rule(self) -> Rule:
        return Rule(ValueType("text"), max_length=_positive("max_length", self.max_length))


@dataclass(frozen=True)
class InputTextList:
    """Several free texts."""

    max_length_each: int | None = None
    max_count: int | None = None

    def rule(self) -> Rule:
        return Rule(
            ValueType.of(list[str]),
            max_length=_positive("max_length_each", self.max_length_each),
            max_count=_positive("max_count", self.max_count),
        )


@dataclass(frozen=True)
class InputCategoricalList:
    """Any number of several labels."""

    options: Sequence[str]

    def rule(self) -> Rule:
        ValueType("nominal", tuple(self.options))  # refuses twins and empty labels
        return Rule(ValueType.of(list[str]), options=tuple(self.options))


@dataclass(frozen=True)
class InputValue:
    """Whatever a value type allows: how a schema is made from the type of a judge."""

    value_type: ValueType

    def rule(self) -> Rule:
        return Rule(self.value_type)


Input = (
    InputPassFail
    | InputCategorical
    | InputOrdinal
    | InputNumeric
    | InputPairwise
    | InputText
    | InputTextList
    | InputCategoricalList
    | InputValue
)

_FORMS: tuple[type[Any], ...] = (
    InputPassFail, InputCategorical, InputOrdinal, InputNumeric, InputPairwise, InputText, InputTextList,
    InputCategoricalList,
)  # fmt: skip


def input_of(declared: Any) -> Input:
    """An input as it is, and `InputValue` of anything else: a ValueType, or an annotation such as bool.

    Raises:
        TemplateError: it is no input, no value type and no supported annotation.
    """
    if isinstance(declared, Input):
        return declared
    return InputValue(ValueType.of(declared))


def input_to_json(form: Input) -> dict[str, Any]:
    """`{"form": class name, ...}`."""
    if isinstance(form, InputValue):
        return {"form": "InputValue", "value_type": form.value_type.to_json()}
    data = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(form).items()}
    return {"form": type(form).__name__, **data}


def input_from_json(data: Mapping[str, Any]) -> Input:
    """The inverse of `input_to_json`."""
    form, more = data["form"], {key: value for key, value in data.items() if key != "form"}
    if form == "InputValue":
        return InputValue(ValueType.from_json(more["value_type"]))
    made: dict[str, Callable[..., Input]] = {one.__name__: one for one in _FORMS}
    return made[form](**more)


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UsageError(f"{name}={value} allows no text.", "Give 1 or more, or leave it out.")
    return value
