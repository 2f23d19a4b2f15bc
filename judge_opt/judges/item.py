"""What is judged, as the parts that a template names.

An item is a mapping of fields (`inputs`, `outputs`, ...). A recorded `Trace` stands for its own inputs,
outputs and expectations where the caller gives none; a session (traces in order of time) stands for its
conversation. A whole `{{ trace }}` or `{{ conversation }}` is written as a view within a token budget.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Unscored
from judge_opt.judges.template import Template
from judge_opt.labels.examples import FIELDS
from judge_opt.traces.schema import Trace

FROM_TRACE = ("inputs", "outputs", "expectations")


class Parts(dict[str, Any]):
    """Variable name to value, in the template's order.

    Attributes:
        cut: what was left out of views for lack of room, as JSON values; [] where all is shown.
        item: the fields that the parts were taken from; {} where they were not taken from an item.
    """

    def __init__(self, *args: Any, cut: Sequence[Any] = (), item: Mapping[str, Any] | None = None) -> None:
        super().__init__(*args)
        self.cut = list(cut)
        self.item = dict(item or {})


def item_of(given: Any) -> dict[str, Any]:
    """The fields of what was given: a mapping, a `Trace`, or anything with `fields` (a labelled example).

    `session`, a sequence of traces, becomes `conversation`. Of a trace, what the caller did not give is
    taken: its inputs, outputs and expectations.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(given, Trace):
        given = {"trace": given}
    elif not isinstance(given, Mapping):
        if not hasattr(given, "fields"):
            raise UsageError(
                f"An item cannot be of type {type(given).__name__}.",
                'Give a mapping such as {"inputs": ..., "outputs": ...}, a Trace, or a labelled example.',
            )
        given = given.fields
    item = {name: given[name] for name in FIELDS if given.get(name) is not None}
    if item.get("conversation") is None and given.get("session") is not None:
        session = given["session"]
        if isinstance(session, Sequence) and session and all(isinstance(one, Trace) for one in session):
            from judge_opt.judges.conversation import conversation_of

            item["conversation"] = conversation_of(session)
    trace = item.get("trace")
    recorded = as_mapping(trace) if isinstance(trace, Trace) else trace
    if isinstance(recorded, Mapping):
        item["trace"] = recorded
        for name in FROM_TRACE:
            if item.get(name) is None and recorded.get(name) not in (None, {}):
                item[name] = recorded[name]
    return item


def as_mapping(trace: Trace) -> dict[str, Any]:
    """A trace as JSON-like values, for paths such as `{{ trace.spans[0].name }}`."""
    return {
        "id": trace.id,
        "inputs": trace.inputs,
        "outputs": trace.outputs,
        "expectations": dict(trace.expectations),
        "session": trace.session,
        "tags": dict(trace.tags),
        "metadata": dict(trace.metadata),
        "spans": [dict(span) for span in trace.spans],
    }


def parts_of(given: Any, template: Template, view_tokens: int) -> Parts | Unscored:
    """The parts that the template names, or why the item cannot be judged."""
    item = item_of(given)
    parts = Parts(item=item)
    try:
        for variable in template.variables:
            value = variable.of(item)
            if variable.name in ("trace", "conversation") and not isinstance(value, str):
                value, cut = _view(variable.name, value, view_tokens)
                parts.cut += cut
            parts[variable.name] = value
    except KeyError as missing:
        return Unscored("missing_input", f"the item has no {missing.args[0]}")
    return parts


def _view(name: str, value: Any, tokens: int) -> tuple[str, list[Any]]:
    if name == "trace":
        from judge_opt.judges.trace_view import render_trace

        view: Any = render_trace(value, tokens)
    else:
        from judge_opt.judges.conversation import render_conversation

        view = render_conversation(value, tokens)
    return view.text, [one.to_json() if hasattr(one, "to_json") else one for one in view.cut]
