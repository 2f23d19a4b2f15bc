"""What one span has to say: its error, input, output and the rest, each as pieces of text.

Pieces, and not one text, because LLM spans repeat the whole history in each call: a message is shown where
it first stands, and referred to from then on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.judges.views.messages import messages_in, parsed
from judge_opt.judges.views.text import pieces, text_of
from judge_opt.judges.views.tree import SPAN_KEYS, Span, exceptions

_INPUTS = ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value", "mlflow.spanInputs")
_OUTPUTS = (
    "gen_ai.output.messages",
    "gen_ai.tool.call.result",
    "retrieval.documents",
    "gen_ai.retrieval.documents",
    "output.value",
    "mlflow.spanOutputs",
)
_SHOWN_IN_LINE = frozenset(
    (
        "openinference.span.kind", "mlflow.spanType", "gen_ai.operation.name", "gen_ai.request.model",
        "gen_ai.response.model", "llm.model_name", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
        "llm.token_count.prompt", "llm.token_count.completion", "input.mime_type", "output.mime_type",
    )
)  # fmt: skip
MOST_WEIGHT = 16
"""Of what the whole run was asked and what it answered."""

_WEIGHTS = {
    "error": 12,
    ("TOOL", "input"): 8,
    ("TOOL", "output"): 8,
    ("LLM", "output"): 8,
    ("RETRIEVER", "output"): 6,
    ("RERANKER", "output"): 6,
    "output": 4,
    "input": 3,
    "attributes": 1,
    "events": 1,
}
_REPEATED_FROM = 40
"""Characters from which on a text that came before is referred to: shorter ones are no longer than the
reference."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text, and what stands before it: `[user] `, `[2] `."""

    lead: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a span says.

    Attributes:
        name: error, input, output, attributes or events.
        value: as recorded.
        weight: its share of a short budget, relative to others.
    """

    name: str
    value: Any
    weight: int


def parts_of(span: Span) -> list[Part]:
    """What a span says, errors first; nothing is turned into text yet."""
    raw, attributes = span.raw, span.attributes
    taken: set[str] = set()
    found: list[tuple[str, Any]] = []
    if span.failed:
        found.append(("error", _error(span)))
    for name, keys in (("input", _INPUTS), ("output", _OUTPUTS)):
        key = next((key for key in keys if attributes.get(key) is not None), None)
        if key is not None:
            taken.add(key)
            found.append((name, attributes[key]))
            twice = [raw[other] for other in (f"{name}s", name) if raw.get(other) is not None]
            found += [(f"other {name}", other) for other in twice[:1]]
        else:
            found += [(name, raw[k]) for k in (f"{name}s", name) if raw.get(k) is not None][:1]
    rest: dict[Any, Any] = {
        key: value for key, value in attributes.items() if key not in taken and key not in _SHOWN_IN_LINE
    }
    if rest.get("gen_ai.tool.name") == raw.get("name"):
        rest.pop("gen_ai.tool.name", None)
    rest |= {key: value for key, value in raw.items() if key not in SPAN_KEYS}
    if not isinstance(raw.get("attributes"), Mapping | None):
        rest["attributes"] = raw["attributes"]
    if rest:
        found.append(("attributes", rest))
    if events := _other_events(raw):
        found.append(("events", events))
    return [Part(name, value, _weight(span, name)) for name, value in found]


def pieces_of(name: str, value: Any) -> list[Piece]:
    """A value as pieces: messages and documents one by one, everything else whole."""
    if name in ("input", "output"):
        messages = messages_in(value)
        if messages is not None:
            return [Piece(f"[{m.role}{' ' + m.name if m.name else ''}] ", m.text) for m in messages]
        documents = _documents(parsed(value))
        if documents is not None:
            return [Piece(f"[{i}] ", text) for i, text in enumerate(documents, 1)]
    return [Piece("", text_of(value))]


class Seen:
    """Which texts a view has already shown, and where."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self.repeated = 0

    def compose(self, said: Sequence[Piece], place: str) -> str:
        """The pieces as one text, those that came before replaced by a reference. `repeated` counts
        them."""
        out: list[str] = []
        again: list[str] = []

        def refer() -> None:
            if again:
                what = "same as" if len(said) == 1 else f"{len(again)} of {len(said)} same as in"
                out.append(f"[{what} {again[0]}]")
                again.clear()

        for piece in said:
            known = None
            if len(piece.text) >= _REPEATED_FROM:
                known = self._places.setdefault(piece.text, place)
            if known is None or known == place:
                refer()
                out.append(piece.lead + piece.text)
                continue
            if again and again[0] != known:
                refer()
            again.append(known)
            self.repeated += 1
        refer()
        return pieces(out)


def _weight(span: Span, name: str) -> int:
    if span.number == 1 and name in ("input", "output"):
        return MOST_WEIGHT  # where the trace has no input and output of its own, these are them
    return _WEIGHTS.get((span.type, name)) or _WEIGHTS[name.removeprefix("other ")]


def _error(span: Span) -> str:
    said: list[str] = []
    message = span.status.get("message", span.status.get("description"))
    if message not in (None, ""):
        said.append(text_of(message))
    for found in exceptions(span.raw):
        kind, text = found.get("exception.type"), found.get("exception.message")
        line = ": ".join(text_of(one) for one in (kind, text) if one not in (None, ""))
        if line and line not in said:
            said.append(line)
    return "\n".join(said) or "(no message)"


def _other_events(raw: Mapping[str, Any]) -> Any:
    """Events without what the error shows of them."""
    events = raw.get("events")
    if not isinstance(events, list | tuple):
        return events
    shown = ("exception.type", "exception.message")
    kept = []
    for event in events:
        if isinstance(event, Mapping) and event.get("name") == "exception":
            inner = event.get("attributes")
            more = {k: v for k, v in inner.items() if k not in shown} if isinstance(inner, Mapping) else inner
            if more:
                kept.append({"name": "exception", "attributes": more})
        else:
            kept.append(event)
    return kept


def _documents(value: Any) -> list[str] | None:
    """Retrieved documents as texts; None where `value` is no list of them."""
    if isinstance(value, Mapping) and len(value) == 1:
        value = value.get("documents")
    if not isinstance(value, list | tuple) or not value:
        return None
    texts = []
    for one in value:
        text = _document(one)
        if text is None:
            return None
        texts.append(text)
    return texts


def _document(one: Any) -> str | None:
    if not isinstance(one, Mapping):
        return None
    if isinstance(inner := one.get("document"), Mapping):
        one = {**inner, **{key: value for key, value in one.items() if key != "document"}}
    for key in ("page_content", "document.content", "content", "text"):
        if isinstance(one.get(key), str):
            rest = {k: v for k, v in one.items() if k != key and v not in (None, "", {})}
            return f"{one[key]} {text_of(rest)}" if rest else str(one[key])
    return None
