"""What a rater is given: one item and the questions about it, and of other opinions nothing that is hidden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.labels.schema_rows import LabelSchema
from judge_opt.traces.schema import Assessment


@dataclass(frozen=True, slots=True)
class Task:
    """One item for one rater.

    Attributes:
        queue: the queue's name.
        item: the item's number in the store.
        expires: until when the item is kept for the rater.
        inputs, outputs, expectations, spans: the trace's, as recorded; without tags, metadata and
            assessments, in which somebody's opinion could stand.
        schemas: the questions, in order; all of them are answered together.
        judge_verdicts: what judges said of the item; None where the queue is blind.
        number: how many items the rater has labelled in this queue, plus 1.
    """

    queue: str
    item: int
    trace_id: str
    rater: str
    expires: datetime
    inputs: Any
    outputs: Any
    expectations: Mapping[str, Any]
    spans: Sequence[Mapping[str, Any]]
    session: str | None
    schemas: tuple[LabelSchema, ...]
    judge_verdicts: tuple[Assessment, ...] | None
    number: int

    def check(self, labels: Any) -> dict[str, Any]:
        """The labels in their types, one for each schema.

        Args:
            labels: schema name to value; or the value alone, where there is one schema.

        Raises:
            DataError: a label is missing or not allowed, or a name is none of the schemas'.
        """
        names = [schema.name for schema in self.schemas]
        if not isinstance(labels, Mapping):
            if len(names) > 1:
                raise DataError(
                    f"Queue {self.queue!r} asks for {len(names)} labels, got one value.",
                    f"Pass a dict with the keys {', '.join(names)}.",
                )
            labels = {names[0]: labels}
        for name in labels:
            self._check_name(name, names)
        missing = [name for name in names if name not in labels]
        if missing:
            raise DataError(
                f"Trace {self.trace_id!r}: the label {missing[0]!r} is missing.",
                "Answer every question, or skip the item.",
            )
        return {
            schema.name: schema.check(labels[schema.name], f"Trace {self.trace_id!r}, {schema.name!r}")
            for schema in self.schemas
        }

    def reasons(self, rationale: str | Mapping[str, str] | None) -> dict[str, str]:
        """Schema name to why, without empty ones; one text is the reason of every label.

        Raises:
            DataError: a name is none of the schemas'.
        """
        names = [schema.name for schema in self.schemas]
        if not isinstance(rationale, Mapping):
            return dict.fromkeys(names, rationale) if rationale else {}
        for name in rationale:
            self._check_name(name, names)
        return {name: text for name, text in rationale.items() if text}

    def _check_name(self, name: Any, names: Sequence[str]) -> None:
        if name not in names:
            raise DataError(
                f"Queue {self.queue!r} does not ask for {name!r}.{nearest(str(name), names)}",
                f"It asks for: {', '.join(names)}.",
            )

    def to_json(self) -> dict[str, Any]:
        """JSON values, for another program that asks the questions."""
        verdicts = self.judge_verdicts
        return {
            "queue": self.queue,
            "trace_id": self.trace_id,
            "rater": self.rater,
            "number": self.number,
            "expires": self.expires.isoformat(),
            "session": self.session,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "expectations": dict(self.expectations),
            "spans": [dict(span) for span in self.spans],
            "schemas": [
                {
                    "name": schema.name,
                    "type": schema.type,
                    "title": schema.title,
                    "instruction": schema.instruction,
                    "enable_comment": schema.enable_comment,
                    "values": schema.value_type.to_json(),
                }
                for schema in self.schemas
            ],
            "judge_verdicts": None if verdicts is None else [verdict_json(one) for one in verdicts],
        }


def verdict_json(said: Assessment) -> dict[str, Any]:
    """A judge's verdict for a rater."""
    return {
        "name": said.name,
        "judge": said.source_id,
        "value": said.value,
        "rationale": said.rationale,
    }
