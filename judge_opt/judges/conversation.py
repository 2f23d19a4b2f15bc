"""A whole conversation as a text that a judge can read: numbered turns within a token budget.

    view = render_conversation(messages, budget=4000)
    view.text      # what `{{ conversation }}` becomes
    view.cut       # what is not in it, turn by turn

    conversation_of(store.search_traces(session="s-1"))      # a session's traces as messages

The beginning and the end are kept, turns in the middle give way first, and within a long turn its middle.
A turn begins at the left margin with its number and role; everything that it says is indented, so that no
text can forge another turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.tokens import characters, estimate_tokens
from judge_opt.judges.trace_view import check_budget
from judge_opt.judges.views.messages import Message, is_message, message_of, parsed, raw_messages
from judge_opt.judges.views.text import SHORTEST, Cut, Layout, clip, fill, flat_length, text_of
from judge_opt.judges.views.tree import read_tree

_LAYOUT = Layout("\n    ", "\n    ")
_GAP = 60  # the longest line that stands for turns which are not shown
_ASKED = ("question", "query", "input", "prompt", "message", "text", "content", "user_input", "request")
_ANSWERED = ("response", "answer", "output", "content", "text", "reply", "result", "completion", "message")


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as text.

    Attributes:
        text: numbered turns; the same conversation and budget give the same text.
        tokens: of the text, estimated; at most the budget.
        turns, shown: turns in the conversation, and in the text.
        cut: what was left out for lack of room, place by place; () where all is shown.
    """

    text: str
    tokens: int
    turns: int
    shown: int
    cut: tuple[Cut, ...]


def render_conversation(value: Any, budget: int = 4000) -> ConversationView:
    """The view of a conversation.

    Args:
        value: messages in any of the usual shapes (`judge_opt.judges.views.messages`), an object that
            holds them as `messages`, or a session: traces in order of time. What is none of these is shown
            as turns of somebody unknown.
        budget: the most tokens of the text, estimated at three characters a token; at least 100.

    Raises:
        UsageError: the budget is too small to show anything.
    """
    check_budget(budget)
    room = characters(budget)
    turns = [message_of(one) for one in _turns(value)]
    first, last = _kept(turns, room - _GAP)
    shown = [*range(first), *range(last, len(turns))]
    prefixes = {i: _prefix(i, turns[i]) for i in shown}
    wants = [len(prefixes[i]) + flat_length(turns[i].text, room, _LAYOUT) + 1 for i in shown]
    least = [min(want, len(prefixes[i]) + SHORTEST + 1) for i, want in zip(shown, wants, strict=True)]
    free = room - (_GAP if last > first else 0) - sum(least)
    more = [want - some for want, some in zip(wants, least, strict=True)]
    rooms = [a + b for a, b in zip(least, fill(more, [1] * len(more), free), strict=True)]
    lines: list[str] = []
    cuts: list[Cut] = []
    for i, given in zip(shown, rooms, strict=True):
        if i == last > first:
            lines.append(_gap(turns, first, last))
            cuts.append(Cut(f"turns {first + 1} to {last}", "turns", last - first, 0))
        text, characters_shown = clip(turns[i].text, given - len(prefixes[i]) - 1, _LAYOUT)
        lines.append(prefixes[i] + text)
        if missing := len(turns[i].text) - characters_shown:
            cuts.append(Cut(f"turn {i + 1}", "characters", missing, characters_shown))
    text = "\n".join(lines) if turns else "(no turns)"
    return ConversationView(text, estimate_tokens(text), len(turns), len(shown), tuple(cuts))


def conversation_of(session: Sequence[Any]) -> list[dict[str, Any]]:
    """A session's traces as one list of messages: `{"role", "content"}` each, as recorded where a trace
    holds messages.

    A trace's inputs are the user's turn and its outputs the assistant's. Where the inputs repeat the
    history, as many applications do, only what is new is added.

    Args:
        session: `Trace`s or mappings with `inputs`, `outputs` and `spans`; put in order of `created` where
            all have it, else taken as given.
    """
    conversation: list[dict[str, Any]] = []
    known: list[Message] = []
    heard: set[Message] = set()
    for trace in _in_order(session):
        tree = read_tree(trace)
        inputs, outputs = tree.inputs, tree.outputs
        if inputs is None and outputs is None and tree.spans:
            attributes = tree.spans[0].attributes
            inputs, outputs = attributes.get("input.value"), attributes.get("output.value")
        for raw in (_spoken(inputs, "user", _ASKED), _spoken(outputs, "assistant", _ANSWERED)):
            said = [message_of(one) for one in raw]
            fresh = _already(known, heard, said)
            known += said[fresh:]
            heard.update(said[fresh:])
            conversation += raw[fresh:]
    return conversation


def _turns(value: Any) -> Sequence[Any]:
    value = parsed(value)
    found = raw_messages(value)
    if found is not None:
        return found
    if isinstance(value, list | tuple):
        return conversation_of(value) if value and all(map(_is_trace, value)) else value
    if _is_trace(value):
        return conversation_of([value])
    return [] if value is None else [value]


def _is_trace(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not is_message(value) and any(key in value for key in ("inputs", "outputs", "spans"))
    return hasattr(value, "inputs") and hasattr(value, "outputs")


def _in_order(session: Sequence[Any]) -> list[Any]:
    times = []
    for trace in session:
        created = getattr(trace, "created", None)
        if created is None or created.tzinfo is None:
            return list(session)
        times.append(created)
    return [session[i] for i in sorted(range(len(session)), key=lambda i: times[i])]


def _spoken(value: Any, role: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """What one side of a trace says, as messages."""
    if value is None:
        return []
    found = raw_messages(value)
    if found is not None:
        return [dict(one) for one in found]
    value = parsed(value)
    if isinstance(value, Mapping):
        texts = [value[key] for key in keys if isinstance(value.get(key), str)]
        if texts:
            return [{"role": role, "content": texts[0]}]
        inner = [value[key] for key in keys if isinstance(value.get(key), Mapping | list)]
        if inner and (deeper := raw_messages(inner[0])) is not None:
            return [dict(one) for one in deeper]
    return [{"role": role, "content": text_of(value)}]


def _already(known: Sequence[Message], heard: set[Message], said: Sequence[Message]) -> int:
    """How many of the first messages in `said` repeat the end of `known` (or all of it).

    System messages at the beginning that were heard before are passed over: an application that sends a
    window of the history puts them before it.
    """
    if len(said) >= len(known) > 0 and list(said[: len(known)]) == list(known):
        return len(known)
    start = 0
    while start < len(said) and said[start].role == "system" and said[start] in heard:
        start += 1
    if len(said) - start < 2 and start == 0:
        return 0  # one message alone is new, also where it repeats what was said before
    window = list(said[start:])
    return start + _overlap(list(known[-len(window) :]) if window else [], window)


def _overlap(end: list[Message], start: list[Message]) -> int:
    """The longest prefix of `start` that is a suffix of `end`, by Knuth, Morris and Pratt's failure
    function: linear, whatever is repeated in it."""
    joined: list[Message | None] = [*start, None, *end]
    fail = [0] * len(joined)
    for i in range(1, len(joined)):
        length = fail[i - 1]
        while length and joined[i] != joined[length]:
            length = fail[length - 1]
        fail[i] = length + (joined[i] == joined[length])
    return fail[-1] if end else 0


def _kept(turns: Sequence[Message], room: int) -> tuple[int, int]:
    """(how many first turns, position of the first of the last turns) that have room for at least their
    beginnings; the same number twice where that is all of them."""
    first, last = 0, len(turns)
    while first < last:
        for front in (True, False):
            if first == last:
                break
            i = first if front else last - 1
            room -= (
                len(_prefix(i, turns[i])) + min(flat_length(turns[i].text, SHORTEST, _LAYOUT), SHORTEST) + 1
            )
            if room < 0:
                return first, last
            first, last = (first + 1, last) if front else (first, last - 1)
    return first, last


def _prefix(i: int, turn: Message) -> str:
    name = f" {turn.name}" if turn.name else ""
    return f"{i + 1} {turn.role}{name}: "


def _gap(turns: Sequence[Message], first: int, last: int) -> str:
    cut = sum(len(turn.text) for turn in turns[first:last])
    return f"[… turns {first + 1} to {last} cut, {cut:,} characters …]"
