"""A label schema, and how it is read from the store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from judge_opt.core.errors import NotFound, UsageError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.inputs import Input, input_from_json
from judge_opt.traces.json_text import load_json
from judge_opt.traces.label_rules import Rule, label_schema_judges, label_schemas
from judge_opt.traces.schema import choice

SchemaType = Literal["feedback", "expectation"]


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """One question to people.

    Attributes:
        id: never changes, also when the schema is overwritten.
        name: the name of the labels, unique among the schemas of its type.
        type: feedback (a judgement) or expectation (what would have been right).
        input: the form of the answer.
        title: what the rater is asked; the name where nothing else was given.
        instruction: how to decide; None where there is none.
        enable_comment: whether raters are asked for a rationale.
        judges: the names of the judges that learn from these labels, sorted.
    """

    id: str
    name: str
    type: SchemaType
    input: Input
    title: str
    instruction: str | None
    enable_comment: bool
    judges: tuple[str, ...]
    created: datetime
    updated: datetime

    @property
    def schema_id(self) -> str:
        """MLflow's name for the id."""
        return self.id

    @property
    def rule(self) -> Rule:
        return self.input.rule()

    @property
    def value_type(self) -> ValueType:
        """What a label may be."""
        return self.rule.value_type

    def check(self, value: Any, item: str = "The label") -> Any:
        """The value in its type.

        Raises:
            DataError: it is not allowed.
        """
        return self.rule.checked(value, item)


def find_schema(connection: sa.Connection, schema: "LabelSchema | str") -> LabelSchema:
    """A schema as it is stored now, from itself, its id or its name; feedback goes before an expectation of
    the same name.

    Raises:
        NotFound: there is none.
    """
    wanted = schema.id if isinstance(schema, LabelSchema) else schema
    found = connection.execute(
        sa.select(label_schemas.c.id, label_schemas.c.kind)
        .where(sa.or_(label_schemas.c.id == wanted, label_schemas.c.name == wanted))
        .order_by(label_schemas.c.kind.desc())
    ).first()
    if found is None:
        return schema_where(
            connection, which(connection, wanted, None, "feedback")
        )  # raises, with the nearest
    return schema_where(connection, label_schemas.c.id == found.id)


def which(
    connection: sa.Connection, name: str | None, schema_id: str | None, type: SchemaType
) -> sa.ColumnElement[bool]:
    """The condition for one schema, by its name or its id.

    Raises:
        NotFound: no schema has the name; the nearest is suggested.
        UsageError: neither or both are given.
    """
    if (name is None) == (schema_id is None):
        raise UsageError("Give either the schema's name or its schema_id.", "Pass one of them.")
    if schema_id is not None:
        return label_schemas.c.id == schema_id
    choice("schema type", type, get_args(SchemaType))
    here = sa.and_(label_schemas.c.kind == type, label_schemas.c.name == name)
    if connection.execute(sa.select(label_schemas.c.seq).where(here)).first() is None:
        names = sorted(
            connection.execute(sa.select(label_schemas.c.name).where(label_schemas.c.kind == type)).scalars()
        )
        listed = ", ".join(names)[:300] or "none yet"
        raise NotFound(
            f"There is no label schema {name!r} for {type}.{nearest(str(name), names)}",
            f"Schemas: {listed}. Create one with create_label_schema.",
        )
    return here


def schema_where(connection: sa.Connection, where: sa.ColumnElement[bool]) -> LabelSchema:
    """The first schema that meets a condition.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(label_schemas).where(where)).mappings().first()
    if row is None:
        raise NotFound("There is no label schema of that id.", "See list_label_schemas().")
    bound = sa.select(label_schema_judges.c.judge).where(label_schema_judges.c.schema_seq == row["seq"])
    return schema_of(row, connection.execute(bound).scalars().all())


def schema_of(row: sa.RowMapping, judges: Any) -> LabelSchema:
    """The schema of a row; `judges` are those bound to it."""
    return LabelSchema(
        id=row["id"],
        name=row["name"],
        type=row["kind"],
        input=input_from_json(load_json(row["input_json"])),
        title=row["title"],
        instruction=row["instruction"],
        enable_comment=row["enable_comment"],
        judges=tuple(sorted(judges)),
        created=datetime.fromisoformat(row["created"]),
        updated=datetime.fromisoformat(row["updated"]),
    )
