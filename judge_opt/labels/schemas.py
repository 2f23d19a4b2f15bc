"""Label schemas: what people are asked, and which answers count. Checked at every write.

    tone = create_label_schema("tone", input=InputOrdinal(["poor", "fair", "good"]), judge="tone")
    store.log_feedback(trace_id, "tone", "god", rater="ana")    # DataError: ... Did you mean 'good'?
    store.log_feedback(trace_id, "tonne", "good", rater="ana")  # DataError: ... Did you mean 'tone'?

A schema has an id that never changes, and judges are bound to the id. From its first schema on, a store
takes people's labels only under names that a schema has (`strict=False` lifts that for one call), so that a
label cannot go where no judge looks for it. A store without schemas takes any name.
"""

from typing import TYPE_CHECKING, Any, get_args
from uuid import uuid4

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, DataError, UsageError
from judge_opt.core.text import printable
from judge_opt.core.values import ValueType
from judge_opt.labels.inputs import input_of, input_to_json
from judge_opt.labels.schema_rows import LabelSchema, SchemaType, find_schema, schema_of, schema_where, which
from judge_opt.traces import assessments as words
from judge_opt.traces.json_text import dump_json
from judge_opt.traces.label_rules import Rule, label_schema_judges, label_schemas
from judge_opt.traces.rows import time_text
from judge_opt.traces.schema import choice, now, short_text

if TYPE_CHECKING:
    from judge_opt.traces.store import Store

_MOST_NAMED = 3


def create_label_schema(
    name: str,
    *,
    input: Any,
    type: SchemaType = "feedback",
    title: str | None = None,
    instruction: str | None = None,
    enable_comment: bool = True,
    overwrite: bool = False,
    judge: Any = None,
    store: "Store | None" = None,
) -> LabelSchema:
    """Stores a schema; labels of its name are checked from now on.

    Args:
        input: an input such as `InputPassFail()`, a ValueType, or an annotation such as bool.
        enable_comment: ask raters for a rationale. On by default, unlike in MLflow: alignment learns more
            from a reason than from a label.
        overwrite: replace the definition of the schema of this name, which keeps its id and its judges.
        judge: a judge or its name, to bind; by default the judge that has the schema's name.
        store: the current store by default.

    Raises:
        Conflict: there is a schema of this name, and `overwrite` is off; or the judge is bound to another.
        DataError: labels of this name are stored that the schema does not allow; or the judge's values are
            not the schema's.
        TemplateError, UsageError: a name or the input is wrong.
    """
    choice("schema type", type, get_args(SchemaType))
    _checked_name(name)
    form = input_of(input)
    rule = form.rule()
    bound = _judge_name(judge, rule) if judge is not None else name if type == "feedback" else None
    if type == "expectation" and judge is not None:
        raise UsageError("A judge is bound to feedback, not to an expectation.", "Leave judge out.")
    row = {
        "title": name if title is None else title,
        "instruction": instruction,
        "enable_comment": enable_comment,
        "input_json": dump_json(input_to_json(form), f"The input of schema {name!r}"),
        "rule_json": dump_json(rule.to_json(), f"The input of schema {name!r}"),
        "updated": time_text(now()),
    }
    with _store(store).database.write() as connection:
        _check_labels(connection, type, name, rule)
        there = connection.execute(_of_name(type, name)).mappings().first()
        if there is not None and not overwrite:
            raise Conflict(
                f"There is a label schema {name!r} already.", "Choose another name, or pass overwrite=True."
            )
        if there is not None:
            connection.execute(
                sa.update(label_schemas).where(label_schemas.c.seq == there["seq"]).values(**row)
            )
            seq = int(there["seq"])
        else:
            row |= {"id": f"ls-{uuid4().hex}", "kind": type, "name": name, "created": row["updated"]}
            made = sa.insert(label_schemas).values(**row).returning(label_schemas.c.seq)
            seq = int(connection.execute(made).scalar_one())
        if bound is not None and (judge is not None or there is None):
            _bind(connection, seq, bound, explicit=judge is not None)
        return schema_where(connection, label_schemas.c.seq == seq)


def get_label_schema(
    name: str | None = None,
    *,
    schema_id: str | None = None,
    type: SchemaType = "feedback",
    store: "Store | None" = None,
) -> LabelSchema:
    """One schema, by its name or its id.

    Raises:
        NotFound: there is none; the nearest name is suggested.
        UsageError: neither or both are given.
    """
    with _store(store).database.read() as connection:
        return schema_where(connection, which(connection, name, schema_id, type))


def list_label_schemas(*, store: "Store | None" = None) -> list[LabelSchema]:
    """Every schema, sorted by name."""
    with _store(store).database.read() as connection:
        found = connection.execute(sa.select(label_schemas).order_by(label_schemas.c.name)).mappings().all()
        bound = connection.execute(sa.select(label_schema_judges)).mappings().all()
    judges_of: dict[int, list[str]] = {}
    for row in bound:
        judges_of.setdefault(row["schema_seq"], []).append(row["judge"])
    return [schema_of(row, judges_of.get(row["seq"], [])) for row in found]


def delete_label_schema(
    name: str | None = None,
    *,
    schema_id: str | None = None,
    type: SchemaType = "feedback",
    store: "Store | None" = None,
) -> None:
    """Removes a schema with its bindings. The labels stay.

    Raises:
        NotFound: there is none.
        Conflict: a queue asks for its labels.
    """
    from judge_opt.labels.queues.tables import queue_schemas, queues

    with _store(store).database.write() as connection:
        schema = schema_where(connection, which(connection, name, schema_id, type))
        asked = sa.select(queues.c.name).join(queue_schemas).where(queue_schemas.c.schema_id == schema.id)
        if queue := connection.execute(asked).scalar():
            raise Conflict(
                f"Queue {queue!r} asks for {schema.name!r}.", "Delete the queue first: its labels stay."
            )
        connection.execute(sa.delete(label_schemas).where(label_schemas.c.id == schema.id))


def bind_label_schema(
    schema: "LabelSchema | str", judge: Any, *, store: "Store | None" = None
) -> LabelSchema:
    """Binds a judge to a schema: its labels are the ones that the judge learns from.

    Args:
        schema: a schema, its id, or its name.
        judge: a judge, whose values must be the schema's, or a judge's name.

    Raises:
        NotFound: there is no such schema.
        Conflict: the judge is bound to another schema.
        DataError: the judge's values are not the schema's.
    """
    with _store(store).database.write() as connection:
        found = find_schema(connection, schema)
        if found.type != "feedback":
            raise UsageError(
                "A judge is bound to feedback, not to an expectation.", "Bind a feedback schema."
            )
        seq = connection.execute(
            sa.select(label_schemas.c.seq).where(label_schemas.c.id == found.id)
        ).scalar_one()
        _bind(connection, int(seq), _judge_name(judge, found.rule), explicit=True)
        return schema_where(connection, label_schemas.c.id == found.id)


def schema_of_judge(judge: Any, *, store: "Store | None" = None) -> LabelSchema | None:
    """The schema that a judge (or a judge's name) is bound to; None where there is none."""
    name = _judge_name(judge, None)
    with _store(store).database.read() as connection:
        query = sa.select(label_schema_judges.c.schema_seq).where(label_schema_judges.c.judge == name)
        seq = connection.execute(query).scalar()
        return None if seq is None else schema_where(connection, label_schemas.c.seq == seq)


def _store(store: "Store | None") -> "Store":
    from judge_opt.traces.default_store import current_store

    return current_store() if store is None else store


def _checked_name(name: Any) -> None:
    short_text("schema name", name)
    if printable(name) != name or name != name.strip() or "\n" in name or "\t" in name:
        raise UsageError(
            f"The schema name {ascii(name)[:80]} holds characters that cannot be seen.",
            "Use letters that can be read and typed.",
        )


def _judge_name(judge: Any, rule: Rule | None) -> str:
    """A judge's name; where it is a judge and not only a name, its values must be the rule's."""
    if isinstance(judge, str):
        return short_text("judge name", judge)
    name, values = getattr(judge, "name", None), getattr(judge, "value_type", None)
    if not isinstance(name, str):
        raise UsageError(f"A {type(judge).__name__} is no judge.", "Pass a judge, or its name.")
    if rule is not None and isinstance(values, ValueType) and values != rule.value_type:
        raise DataError(
            f"Judge {name!r} says {values.describe()}; the schema's labels are {rule.value_type.describe()}.",
            "Give the two the same values.",
        )
    return short_text("judge name", name)


def _bind(connection: sa.Connection, seq: int, judge: str, *, explicit: bool) -> None:
    bound = connection.execute(
        sa.select(label_schemas.c.seq, label_schemas.c.name)
        .join(label_schema_judges)
        .where(label_schema_judges.c.judge == judge)
    ).first()
    if bound is None:
        connection.execute(sa.insert(label_schema_judges).values(judge=judge, schema_seq=seq))
    elif bound.seq != seq and explicit:
        raise Conflict(
            f"Judge {judge!r} is bound to label schema {bound.name!r}.",
            "Delete that schema, or give the judge another name.",
        )


def _check_labels(connection: sa.Connection, type: SchemaType, name: str, rule: Rule) -> None:
    """Labels of people that are there already must be what the schema allows."""
    bad: list[str] = []
    for said in words.votes(connection, type, name, "HUMAN"):
        try:
            rule.checked(said.value, f"Trace {said.trace_id!r}")
        except DataError as error:
            bad.append(error.message)
    if bad:
        raise DataError(
            f"{len(bad)} stored labels called {name!r} are not what the schema allows; the first: "
            f"{' '.join(bad[:_MOST_NAMED])[:600]}",
            "Widen the schema, choose another name, or correct the labels with Store.override.",
        )


def _of_name(type: SchemaType, name: str) -> sa.Select[Any]:
    return sa.select(label_schemas).where(label_schemas.c.kind == type, label_schemas.c.name == name)
