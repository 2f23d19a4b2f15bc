"""Labelled examples from the store: each trace once, with one vote a rater."""

from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample, Vote

if TYPE_CHECKING:
    from judge_opt.traces.schema import LabelledTrace, SourceType
    from judge_opt.traces.store import Store


def labelled_examples(
    store: "Store", name: str, value_type: ValueType | Any, source_type: "SourceType" = "HUMAN"
) -> list[LabelledExample]:
    """The traces with feedback called `name`, sorted by trace id; the group is the session or the trace.

    Replaced, retracted and failed assessments do not vote. People's expectations of a trace are laid over
    those that it was recorded with. A field that the trace does not have is absent.

    Args:
        value_type: what a label may be: a ValueType, or an annotation such as bool.

    Raises:
        DataError: no label of that name votes (the message lists the names that exist), or a label is not
            of the value type (the message names the trace).
    """
    allowed = ValueType.of(value_type)
    examples = [_example(found, allowed) for found in store.labelled_traces(name, source_type)]
    if not examples:
        names = store.feedback_names()
        listed = ", ".join(map(repr, names)) or "none"
        raise DataError(
            f"No {source_type} label called {name!r} in {store.database.name}; names found: {listed}."
            f"{nearest(name, names)}",
            "Label some traces with Store.log_feedback, or use one of these names.",
        )
    return examples


def _example(found: "LabelledTrace", allowed: ValueType) -> LabelledExample:
    trace = found.trace
    item = f"Trace {trace.id!r}"
    votes = [
        Vote(word.source_id, allowed.check_label(word.value, item), word.rationale, word.id)
        for word in found.assessments
        if word.kind == "feedback"
    ]
    expectations = dict(trace.expectations)
    expectations |= {word.name: word.value for word in found.assessments if word.kind == "expectation"}
    fields: dict[str, Any] = {}
    if trace.inputs is not None:
        fields["inputs"] = trace.inputs
    if trace.outputs is not None:
        fields["outputs"] = trace.outputs
    if expectations:
        fields["expectations"] = expectations
    if trace.spans:
        fields["trace"] = {"spans": [dict(span) for span in trace.spans]}
    return LabelledExample(
        trace.id, trace.session or trace.id, fields, tuple(sorted(votes, key=lambda vote: vote.rater))
    )
