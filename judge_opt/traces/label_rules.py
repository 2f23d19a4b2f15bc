"""What a label of a name may be, kept in the store and asked at every write.

A rule is the part of a label schema that the store needs (see `judge_opt.labels.schemas`): the name, the
value type and the judges that are bound to it. A store without schemas has no rules and refuses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from judge_opt.core.errors import DataError
from judge_opt.core.text import fold, nearest
from judge_opt.core.values import ValueType
from judge_opt.traces.database import SafeText, metadata
from judge_opt.traces.json_text import load_json
from judge_opt.traces.schema import Assessment
from judge_opt.traces.tables import Sequence

label_schemas = sa.Table(
    "label_schemas",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", SafeText, nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", SafeText, nullable=False),
    sa.Column("title", SafeText, nullable=False),
    sa.Column("instruction", SafeText),
    sa.Column("enable_comment", sa.Boolean, nullable=False),
    sa.Column("input_json", sa.Text, nullable=False),
    sa.Column("rule_json", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("updated", sa.String(40), nullable=False),
    sa.UniqueConstraint("kind", "name"),
    sqlite_autoincrement=True,
)

label_schema_judges = sa.Table(
    "label_schema_judges",
    metadata,
    sa.Column("judge", SafeText, primary_key=True),
    sa.Column("schema_seq", Sequence, sa.ForeignKey("label_schemas.seq", ondelete="CASCADE"), nullable=False),
    sa.Index(None, "schema_seq"),
)

MOST_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What a label may be.

    Attributes:
        positive, negative: for bool: what True and False are called; "" where they have no other name.
        options: for a list of texts: the texts that are allowed; () for any.
        max_length: characters of a text, or of each text of a list; None for the store's own limit.
        max_count: texts of a list; None for no limit.
    """

    value_type: ValueType
    positive: str = ""
    negative: str = ""
    options: tuple[str, ...] = ()
    max_length: int | None = None
    max_count: int | None = None

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"value_type": self.value_type.to_json()}
        for part in ("positive", "negative", "options", "max_length", "max_count"):
            value = getattr(self, part)
            if value:
                out[part] = list(value) if isinstance(value, tuple) else value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rule":
        more = {key: value for key, value in data.items() if key != "value_type"}
        more["options"] = tuple(more.get("options", ()))
        return cls(ValueType.from_json(data["value_type"]), **more)

    def checked(self, value: Any, item: str) -> Any:
        """The value in its type.

        Args:
            item: names what is labelled, for the error.

        Raises:
            DataError: it is not allowed; says what is, and suggests the nearest label.
        """
        if self.value_type.kind == "bool" and isinstance(value, str):
            for name, meant in ((self.positive, True), (self.negative, False)):
                if name and fold(name) == fold(value):
                    return meant
        found: Any = self.value_type.check_label(value, item)
        texts = found if isinstance(found, list) else [found] if self.value_type.kind == "text" else []
        for text in texts:
            self._check_text(text, item)
        if self.max_count is not None and len(texts) > self.max_count:
            raise DataError(
                f"{item}: {len(texts)} entries, at most {self.max_count} are allowed.", "Leave some out."
            )
        return found

    def _check_text(self, text: Any, item: str) -> None:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{item}: the label is empty.", "Write a text, or skip the item.")
        most = self.max_length or MOST_CHARACTERS
        if len(text) > most:
            raise DataError(f"{item}: {len(text)} characters, at most {most} are allowed.", "Shorten it.")
        if self.options and text not in self.options:
            raise DataError(
                f"{item}: label {text[:60]!r} is not allowed.{nearest(text, self.options)}",
                f"Allowed: {', '.join(self.options)[:300]}.",
            )


@dataclass(frozen=True, slots=True)
class LabelRules:
    """The rules of a store at one moment.

    Attributes:
        rules: (kind, name) to rule.
        judges: judge to the name of the schema that it is bound to.
    """

    rules: Mapping[tuple[str, str], Rule] = field(default_factory=dict)
    judges: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def checked(self, assessment: Assessment, *, strict: bool = True) -> Assessment:
        """The assessment with its value in the type that its name asks for.

        An assessment with an error has no value and passes. A name without a rule passes, too, but for one
        case: where the store has schemas of this kind, a person's label must be of one of them.

        Args:
            strict: False lets people's labels of any name pass.

        Raises:
            DataError: the value is not allowed, or a person's label has a name that no schema has.
        """
        if not self.rules or assessment.error is not None:
            return assessment
        key = (assessment.kind, assessment.name)
        rule = self.rules.get(key)
        if rule is None and assessment.kind == "feedback" and assessment.name in self.judges:
            if strict and assessment.source_type == "HUMAN":
                raise DataError(
                    f"{assessment.name!r} is a judge; people's labels for it are called "
                    f"{self.judges[assessment.name]!r}.",
                    "Log them under that name, or pass strict=False.",
                )
            rule = self.rules[("feedback", self.judges[assessment.name])]
        if rule is not None:
            item = f"Trace {assessment.trace_id!r}, {assessment.kind} {assessment.name!r}"
            return replace(assessment, value=rule.checked(assessment.value, item))
        names = sorted(name for kind, name in self.rules if kind == assessment.kind)
        if strict and names and assessment.source_type == "HUMAN":
            raise DataError(
                f"No label schema of this store is called {assessment.name!r}."
                f"{nearest(assessment.name, names)}",
                f"Use one of: {', '.join(names)[:300]}; or create a schema, or pass strict=False.",
            )
        return assessment


def load_rules(connection: sa.Connection) -> LabelRules:
    """The rules as this transaction sees them."""
    query = sa.select(
        label_schemas.c.seq, label_schemas.c.kind, label_schemas.c.name, label_schemas.c.rule_json
    )
    found = connection.execute(query).all()
    if not found:
        return _NONE
    rules = {(row.kind, row.name): Rule.from_json(load_json(row.rule_json)) for row in found}
    name_of = {row.seq: row.name for row in found}
    bound = connection.execute(sa.select(label_schema_judges.c.judge, label_schema_judges.c.schema_seq))
    return LabelRules(rules, {judge: name_of[seq] for judge, seq in bound})


_NONE = LabelRules()
