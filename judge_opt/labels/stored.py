"""Labelled examples from the store: each trace once, with one vote a rater."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.traces.schema import LabelledTrace, Trace

if TYPE_CHECKING:
    from judge_opt.traces.schema import SourceType
    from judge_opt.traces.store import Store

logger = logging.getLogger(__name__)


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


def as_examples(given: Iterable[Any], name: str, value_type: ValueType | Any) -> list[LabelledExample]:
    """Labelled examples from what people hand to `align`: examples as they are, traces with their
    assessments (as `search_traces` returns them), or a mixture. A warning is logged where traces are passed
    over that people labelled under other names only.

    Raises:
        UsageError: an element is neither.
        DataError: as `labelled_examples`; a trace without a label of the name is passed over, but not all.
    """
    allowed = ValueType.of(value_type)
    rows = list(given)
    examples: list[LabelledExample] = []
    names: set[str] = set()
    others = 0
    for row in rows:
        if isinstance(row, LabelledExample):
            examples.append(row)
            continue
        if not isinstance(row, Trace):
            raise UsageError(
                f"A {type(row).__name__} is no labelled row.",
                "Pass labelled examples, or traces with labels.",
            )
        people = [a for a in row.assessments if a.votes and a.source_type == "HUMAN"]
        names |= {a.name for a in people if a.kind == "feedback"}
        words = tuple(a for a in people if a.kind == "expectation" or a.name == name)
        if any(a.kind == "feedback" for a in words):
            examples.append(_example(LabelledTrace(row, words), allowed))
        else:
            others += any(a.kind == "feedback" for a in people)
    if rows and not examples:
        listed = ", ".join(map(repr, sorted(names))) or "none"
        raise DataError(
            f"None of {len(rows)} traces has a label of a person called {name!r}; names found: {listed}."
            f"{nearest(name, names)}",
            f"Label traces under the judge's name {name!r}, and read them again with search_traces.",
        )
    if others:
        logger.warning(
            "%d of %d traces have no label called %r, but others, and are passed over; names found: %s.",
            others,
            len(rows),
            name,
            ", ".join(map(repr, sorted(names - {name}))),
        )
    return examples


def _example(found: LabelledTrace, allowed: ValueType) -> LabelledExample:
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
