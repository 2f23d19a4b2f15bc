"""What a filter says, as a tree."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Value = str | Decimal | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NULL"]
Scope = Literal[
    "attribute", "tag", "metadata", "feedback", "expectation", "inputs", "outputs", "span", "text"
]


@dataclass(frozen=True, slots=True)
class Field:
    """What a condition looks at.

    Attributes:
        scope: where it is found.
        name: the attribute, tag, assessment or span property; "" where the scope says it all.
        path: further keys inside a JSON value.
        part: of an assessment: value, rationale, source_type, source_id or metadata.
        text: as it was written, for messages.
        column: where it was written, from 1.
    """

    scope: Scope
    name: str = ""
    path: tuple[str, ...] = ()
    part: str = "value"
    text: str = ""
    column: int = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """`values` has one value; several for IN and none for NULL."""

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Node"


@dataclass(frozen=True, slots=True)
class All:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    parts: "tuple[Node, ...]"


Node = Condition | Not | All | Any
