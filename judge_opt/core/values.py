"""What a verdict can be, and how a label or a reply becomes one.

A `ValueType` is the meeting point of people and models: labels are checked against it when they are
written, replies when they are read, and it says which agreement statistic applies.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from judge_opt.core.errors import DataError, TemplateError
from judge_opt.core.results import NOT_APPLICABLE, Value
from judge_opt.core.text import fold, nearest

Kind = Literal["bool", "nominal", "ordinal", "int", "float", "text", "pairwise", "json"]
Scale = Literal["nominal", "ordered", "numeric", "free"]

_TRUE = {"true", "yes", "pass", "1"}
_FALSE = {"false", "no", "fail", "0"}
_WRAPPING = re.compile(r"^[\s\"'`*_:!()\[\]{}]+|[\s\"'`*_.:!()\[\]{}]+$")
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d+)?|\.\d+)$")
_INAPPLICABLE = {"not applicable", "n/a", "na", "not_applicable", "none", "null"}
_OUT_OF = re.compile(r"^([+-]?\d+(?:\.\d+)?)\s*(?:/|out of)\s*(\d+(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True)
class ValueType:
    """The set of values that a judge may return.

    Attributes:
        kind: bool, nominal (a set), ordinal (a set with an order), int, float, text, pairwise (which of
            two is better), json (lists, dictionaries and objects of a schema).
        labels: the allowed labels in declared order, as text; ("true", "false") for bool; for pairwise the
            first, the second and, where ties are allowed, the tie; () else.
        low, high: inclusive bounds for int and float; None where there is none.
        optional: "not applicable" is a value too: `NOT_APPLICABLE`.
        schema: the JSON schema of a json value, as JSON text; "" else.
        model: the Python type that a json value is returned as, where the caller named one; it is not
            stored, and a judge that was loaded returns plain dictionaries and lists.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False
    schema: str = ""
    model: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind == "pairwise" and len(self.labels) not in (2, 3):
            raise TemplateError(
                f"A preference has two sides and perhaps a tie, got {list(self.labels)}.",
                'Use preference("A", "B", tie="tie") or preference("A", "B").',
            )
        if self.kind in ("nominal", "ordinal", "pairwise"):
            if len(self.labels) < 2:
                raise TemplateError(
                    f"A {self.kind} value type needs at least two labels, got {list(self.labels)}.",
                    "Name every label that the judge may return.",
                )
            folded = [fold(label) for label in self.labels]
            if len(set(folded)) != len(folded) or "" in folded:
                raise TemplateError(
                    f"Labels must be distinct and not empty, also when case is ignored: {list(self.labels)}.",
                    "Rename the labels that clash.",
                )
            if self.optional and set(folded) & _INAPPLICABLE:
                raise TemplateError(
                    f"An optional type has the value {NOT_APPLICABLE!r} besides {list(self.labels)}.",
                    "Leave that label out, or leave `| None` out.",
                )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise TemplateError(f"The range {self.low} to {self.high} is empty.", "Give low < high.")

    @property
    def scale(self) -> Scale:
        """Which statistics apply: nominal (no order), ordered (labels with ranks), numeric, or free (none).
        An optional type is nominal where its values can be listed: "not applicable" has no rank."""
        if self.kind in ("text", "json"):
            return "free"
        if self.optional:
            return "nominal" if self.is_choice else "free"
        if self.kind in ("bool", "nominal", "pairwise"):
            return "nominal"
        return "ordered" if self.kind == "ordinal" or self.is_choice else "numeric"

    @property
    def is_choice(self) -> bool:
        """True where the verdict is one of finitely many labels (`choices()` lists them)."""
        return bool(self.choices())

    def choices(self) -> tuple[str, ...]:
        """The allowed verdicts in text form, in declared order; () where they cannot be listed. An int
        range of at most 20 values is a list of choices."""
        labels = self.labels
        if (
            self.kind == "int"
            and self.low is not None
            and self.high is not None
            and self.high - self.low < 20
        ):
            labels = tuple(str(i) for i in range(int(self.low), int(self.high) + 1))
        return (*labels, NOT_APPLICABLE) if labels and self.optional else labels

    def text_of(self, value: Value) -> str:
        """The text form of a value: "true", "good", "4"; JSON text for a json value."""
        if self.kind == "json" and value != NOT_APPLICABLE:
            from judge_opt.core.structured import to_text

            return to_text(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float) and value.is_integer() and self.kind == "int":
            return str(int(value))
        return str(value)

    def number_of(self, value: Value) -> float | None:
        """The value on a numeric scale: rank for ordinal (0 is the first label), 0/1 for bool, itself for
        numbers; None for whatever has no place on a scale."""
        if value == NOT_APPLICABLE or self.scale == "free":
            return None
        if self.kind == "bool":
            return 1.0 if value is True else 0.0
        if self.kind == "ordinal":
            return float(self.labels.index(str(value)))
        if self.kind in ("int", "float") and not isinstance(value, str):
            return float(value)
        return None

    def read(self, reply: Any) -> Value:
        """What a model's verdict field says, normalized only where the meaning is certain.

        `**Yes.**` is Yes; `8/10` on a scale that ends at 10 is 8; `MAYBE` on yes/no is refused.

        Raises:
            ValueError: the verdict cannot be read with certainty; the message says why.
        """
        if self.optional and (reply is None or (isinstance(reply, str) and fold(reply) in _INAPPLICABLE)):
            return NOT_APPLICABLE
        if self.kind == "text":
            if not isinstance(reply, str):
                raise ValueError(f"expected text, got {type(reply).__name__}")
            return reply
        if self.kind == "json":
            from judge_opt.core.structured import read_value

            return read_value(reply, self.schema, self.model)
        if isinstance(reply, bool):
            if self.kind == "bool":
                return reply
            reply = "true" if reply else "false"
        if reply is None or isinstance(reply, (list, dict)):
            raise ValueError(f"expected one verdict, got {type(reply).__name__}")
        if isinstance(reply, (int, float)) and self.kind in ("int", "float"):
            return self._number(float(reply))
        text = fold(_WRAPPING.sub("", str(reply)))
        if self.kind == "bool":
            if text in _TRUE:
                return True
            if text in _FALSE:
                return False
            raise ValueError(f"{text[:60]!r} is neither true nor false")
        if self.labels:
            for label in self.labels:
                if text in _spellings(label):
                    return label
            raise ValueError(f"{text[:60]!r} is not one of {list(self.labels)}")
        if match := _OUT_OF.match(text):
            if self.high is None or float(match[2]) != self.high:
                raise ValueError(f"{text!r} is on another scale than this judge's")
            text = match[1]
        if not _NUMBER.match(text):
            raise ValueError(f"{text[:60]!r} is not a number")
        return self._number(float(text))

    def _number(self, number: float) -> Value:
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a finite number")
        if self.kind == "int" and not number.is_integer():
            raise ValueError(f"{number} is not a whole number")
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise ValueError(f"{number:g} is outside {self.low} to {self.high}")
        return int(number) if self.kind == "int" else number

    def check_label(self, label: Any, item: str) -> Value:
        """A person's label, in its Python type. As strict as `read`.

        Raises:
            DataError: names the item, the label and the nearest allowed one.
        """
        try:
            return self.read(label)
        except ValueError as error:
            hint = nearest(str(label), self.labels)
            allowed = ", ".join(self.choices()) or self.describe()
            raise DataError(
                f"{item}: label {str(label)[:60]!r} is not allowed ({error}).{hint}", f"Allowed: {allowed}."
            ) from None

    def describe(self) -> str:
        """For a prompt or a message: what the verdict must be, in one phrase."""
        if self.optional:
            plain = replace(self, optional=False).describe()
            return f'{plain}; or "{NOT_APPLICABLE}" where the question does not apply'
        if self.kind == "json":
            return f"a JSON value of this schema: {self.schema}"
        if self.kind == "pairwise":
            tie = f', or "{self.labels[2]}" where neither is better' if len(self.labels) == 3 else ""
            return f"the better one: {self.labels[0]} or {self.labels[1]}{tie}"
        if self.kind == "bool":
            return "true or false"
        if self.kind == "ordinal":
            return "one of, from first to last: " + ", ".join(self.labels)
        if self.kind == "nominal":
            return "one of: " + ", ".join(self.labels)
        if self.kind in ("int", "float"):
            noun = "a whole number" if self.kind == "int" else "a number"
            if self.low is not None and self.high is not None:
                return f"{noun} from {self.low:g} to {self.high:g}"
            return noun
        return "text"

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"kind": self.kind}
        if self.labels and self.kind != "bool":
            out["labels"] = list(self.labels)
        if self.low is not None:
            out["low"] = self.low
        if self.high is not None:
            out["high"] = self.high
        if self.optional:
            out["optional"] = True
        if self.schema:
            out["schema"] = self.schema
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ValueType":
        """The inverse of `to_json`."""
        labels = ("true", "false") if data["kind"] == "bool" else tuple(data.get("labels", ()))
        optional, schema = bool(data.get("optional", False)), str(data.get("schema", ""))
        return cls(data["kind"], labels, data.get("low"), data.get("high"), optional, schema)

    @classmethod
    def of(cls, declared: Any) -> "ValueType":
        """The value type for a Python annotation.

        Args:
            declared: bool, str, int, float, `Literal[...]`, an Enum, `Annotated[int, Field(ge=1, le=5)]`,
                `dict[...]` or `list[...]` of primitives, a pydantic model, any of them `| None`; or a
                ValueType.

        Raises:
            TemplateError: the annotation is not supported.
        """
        from judge_opt.core.annotations import value_type_of

        return value_type_of(declared)


BOOL = ValueType("bool", ("true", "false"))


def categories(*labels: str) -> ValueType:
    """A set of labels without an order."""
    return ValueType("nominal", tuple(labels))


def ordered(*labels: str) -> ValueType:
    """Labels with an order, first to last, so that agreement can be ordinal."""
    return ValueType("ordinal", tuple(labels))


def scale(low: int, high: int) -> ValueType:
    """Whole numbers from `low` to `high`, both included."""
    return ValueType("int", low=low, high=high)


def interval(low: float, high: float) -> ValueType:
    """Numbers from `low` to `high`, both included."""
    return ValueType("float", low=low, high=high)


def preference(first: str, second: str, tie: str | None = None) -> ValueType:
    """Which of two is better; with `tie`, neither may be."""
    return ValueType("pairwise", (first, second) if tie is None else (first, second, tie))


def majority(values: Sequence[Value]) -> Value | None:
    """The value that most votes name; None on a tie or with no votes: a tie is not a verdict."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[_key(value)] = counts.get(_key(value), 0) + 1
    best = sorted(counts.values(), reverse=True)
    if not best or (len(best) > 1 and best[0] == best[1]):
        return None
    return next(value for value in values if counts[_key(value)] == best[0])


def _key(value: Any) -> Any:
    """What stands for a value in a count; True and 1 are different votes."""
    return (type(value) is bool, value) if isinstance(value, (bool, int, float, str)) else repr(value)


@lru_cache(4096)
def _spellings(label: str) -> tuple[str, str, str]:
    """How a reply may write a label, folded."""
    return fold(label), fold(_WRAPPING.sub("", label)), fold(label.replace("_", " "))
