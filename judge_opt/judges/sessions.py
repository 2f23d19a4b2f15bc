"""Labelled sessions: what a judge of whole conversations learns from.

    rows = session_examples(store, "user_was_helped", bool)
    judge = make_judge("user_was_helped", "Was the user in {{ conversation }} helped?", feedback_value_type=bool)
    result = MemAlign().align(judge, rows)

People label a session by labelling any of its traces, usually the last one.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges.conversation import conversation_of
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.traces.schema import Assessment, Trace

if TYPE_CHECKING:
    from judge_opt.traces.store import Store


def session_examples(
    source: "Store | Iterable[Trace]", name: str, value_type: ValueType | Any
) -> list[LabelledExample]:
    """The sessions with people's feedback called `name`, as rows with a `conversation`, sorted by session.

    A rater has one vote a session: the newest of the labels that he gave to its traces. People's
    expectations are laid over those that the traces were recorded with, newest last. A trace without a
    session is one of its own.

    Args:
        source: a store, or whole sessions as `Store.iter_traces` returns them, with their assessments.
        value_type: what a label may be: a ValueType, or an annotation such as bool.

    Raises:
        DataError: no session has such a label (the message lists the names that exist), or a label is not
            of the value type (the message names the trace).
    """
    allowed = ValueType.of(value_type)
    sessions: dict[str, list[Trace]] = {}
    for trace in _labelled(source, name):
        sessions.setdefault(trace.session or trace.id, []).append(trace)
    found = [_example(session, sessions[session], name, allowed) for session in sorted(sessions)]
    examples = [example for example in found if example is not None]
    if not examples:
        names = sorted({w.name for traces in sessions.values() for t in traces for w in _feedback(t)})
        if not isinstance(source, Iterable):
            names = source.feedback_names()
        listed = ", ".join(map(repr, names)) or "none"
        raise DataError(
            f"No session has a label of a person called {name!r}; names found: {listed}.{nearest(name, names)}",
            "Label one trace of each session under this name.",
        )
    return examples


def _labelled(source: "Store | Iterable[Trace]", name: str) -> Iterable[Trace]:
    if isinstance(source, Iterable):
        yield from source
        return
    seen: set[str] = set()
    for trace in source.iter_traces(name=name):
        if trace.session is None:
            yield trace
        elif trace.session not in seen:
            seen.add(trace.session)
            yield from source.iter_traces(session=trace.session)


def _example(session: str, traces: list[Trace], name: str, allowed: ValueType) -> LabelledExample | None:
    said = sorted((word for trace in traces for word in trace.assessments), key=lambda word: word.created)
    latest: dict[str, Assessment] = {}
    expectations: dict[str, Any] = {
        key: value for trace in traces for key, value in trace.expectations.items()
    }
    for word in said:
        if not word.votes or word.source_type != "HUMAN":
            continue
        if word.kind == "expectation":
            expectations[word.name] = word.value
        elif word.name == name:
            latest[word.source_id] = word
    if not latest:
        return None
    votes = tuple(
        Vote(rater, allowed.check_label(word.value, f"Trace {word.trace_id!r}"), word.rationale, word.id)
        for rater, word in sorted(latest.items())
    )
    fields: dict[str, Any] = {"conversation": conversation_of(traces)}
    if expectations:
        fields["expectations"] = expectations
    return LabelledExample(session, session, fields, votes)


def _feedback(trace: Trace) -> list[Assessment]:
    return [word for word in trace.assessments if word.kind == "feedback" and word.source_type == "HUMAN"]
