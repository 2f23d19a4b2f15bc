"""Labelling in the terminal: one item after the other.

What is judged may hold terminal escapes, so everything is printed through `printable`. On a terminal one key
answers where the labels are few; elsewhere, and for numbers and texts, a line does.
"""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import EXIT_OK, Conflict, DataError
from judge_opt.core.text import nearest, printable

if TYPE_CHECKING:
    from judge_opt.labels.queues import LabelQueue, Submitted, Task
    from judge_opt.labels.schema_rows import LabelSchema

SKIP, RELEASE, QUIT = ":s", ":r", ":q"
_KEYS = {"s": SKIP, "r": RELEASE, "q": QUIT}
_MOST_KEYS = 9
_ESCAPE, _END = b"\x1b", "\x04"
_HELP = "s: cannot judge it   r: later   q: stop"
_LINE_HELP = ":s cannot judge it   :r later   :q stop"


class _Leave(Exception):
    """The rater wants to leave this item: `what` is SKIP, RELEASE or QUIT."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def label_items(queue: "LabelQueue", rater: str, more: str = "") -> int:
    """Asks for labels until nothing is left or the rater stops; what he holds then is given back.

    Args:
        more: options of the command that goes on, as it is shown at the end.
    """
    labelled = 0
    while (task := queue.next(rater)) is not None:
        show_task(task)
        try:
            labels, reason = _answers(task)
            done = queue.submit(task, labels, reason)
        except _Leave as leave:
            if leave.what == SKIP:
                queue.skip(task)
                continue
            queue.release(task)
            if leave.what == RELEASE and _others_left(queue, task):
                continue
            return _bye(queue, rater, labelled, more)
        except (EOFError, KeyboardInterrupt):
            queue.release(task)
            _say("")
            return _bye(queue, rater, labelled, more)
        except Conflict as error:
            _say(f"Not stored: {error}")
            continue
        labelled += 1
        _show_done(done)
    _say(f"Nothing is left for {rater} in queue {queue.name!r} now.")
    return _bye(queue, rater, labelled, more)


def show_task(task: "Task") -> None:
    """The item, for a terminal."""
    _say(f"\n=== {task.queue}: your item {task.number} ({task.trace_id})")
    parts: list[tuple[str, Any]] = [("inputs", task.inputs), ("outputs", task.outputs)]
    if task.expectations:
        parts.append(("expectations", dict(task.expectations)))
    for name, value in parts:
        if value is None:
            continue
        if isinstance(value, Mapping):
            for key, inner in value.items():
                _say(f"--- {name}.{key}\n{_text(inner)}")
        else:
            _say(f"--- {name}\n{_text(value)}")
    if task.spans:
        _say(
            f"--- {len(task.spans)} recorded steps: " + ", ".join(str(s.get("name")) for s in task.spans[:20])
        )
    for said in task.judge_verdicts or ():
        _say(
            f"--- judge {said.source_id} says {_text(said.value)}"
            + (f": {said.rationale}" if said.rationale else "")
        )


def _answers(task: "Task") -> tuple[dict[str, Any], dict[str, str]]:
    labels: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for schema in task.schemas:
        _say(f"\n{schema.title}")
        if schema.instruction:
            _say(schema.instruction)
        labels[schema.name] = _label(schema)
        if schema.enable_comment and (why := _line("why (Enter for nothing): ")):
            reasons[schema.name] = why
    return labels, reasons


def _label(schema: "LabelSchema") -> Any:
    """An allowed label; asks again until there is one."""
    choices = _choices(schema)
    with _keys(bool(choices) and len(choices) <= _MOST_KEYS) as key:
        for n, (shown, _) in enumerate(choices, 1):
            _say(f"  {n}  {shown}")
        if not choices:
            _say(f"  {schema.value_type.describe()}")
        _say(f"  {_LINE_HELP if key is None else _HELP}")
        while True:
            said = _line("label: ") if key is None else _pressed(key())
            if said.isdigit() and 1 <= int(said) <= len(choices):
                return choices[int(said) - 1][1]
            if not said:
                continue
            if key is not None:
                _say(f"{said!r} is no answer here: 1 to {len(choices)}, s, r or q.")
                continue
            try:
                return schema.check(_value(said, schema))
            except DataError as error:
                if choices:
                    near = nearest(said, [shown for shown, _ in choices])
                    _say(f"{said[:60]!r} is no answer here.{near} Type 1 to {len(choices)}, or a label.")
                else:
                    _say(str(error))
                if said in _KEYS:
                    _say(f"Type {_KEYS[said]} to leave the item.")


def _choices(schema: "LabelSchema") -> list[tuple[str, Any]]:
    """What is shown and what is stored. Whole numbers are typed as they are: key 1 must not mean the value
    that stands first."""
    rule = schema.rule
    if rule.value_type.kind == "int":
        return []
    if rule.value_type.kind == "bool" and rule.positive:
        shown = {"true": rule.positive, "false": rule.negative}
        return [(shown.get(label, label), label) for label in rule.value_type.choices()]
    return [(label, label) for label in rule.value_type.choices()]


def _value(said: str, schema: "LabelSchema") -> Any:
    """Lists of texts are typed with ; between."""
    if schema.value_type.kind == "bool":
        return {"y": "true", "n": "false"}.get(said.lower(), said)
    if schema.value_type.kind == "json" and not said.lstrip().startswith(("[", "{")):
        return [part.strip() for part in said.split(";") if part.strip()]
    if schema.value_type.kind == "json":
        try:
            return json.loads(said)
        except ValueError as error:
            raise DataError(
                f"This is not JSON ({error}).", "Type it again, or texts with ; between."
            ) from None
    return said


@contextmanager
def _keys(wanted: bool) -> Iterator[Callable[[], str] | None]:
    """Reads single keys inside the block; None where stdin is no terminal.

    The terminal is switched before anything is shown, and without throwing typed keys away: who answers
    faster than we print is not ignored.
    """
    try:
        import termios
        import tty
    except ImportError:  # no such terminals on this system
        yield None
        return
    if not wanted or not sys.stdin.isatty():
        yield None
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def key() -> str:
        said = os.read(terminal, 1)
        if said == _ESCAPE:  # an arrow or function key sends several characters: they are no answer
            while select.select([terminal], [], [], 0.05)[0]:
                os.read(terminal, 1)
            return ""
        return said.decode("ascii", "replace") or _END

    tty.setcbreak(terminal, termios.TCSADRAIN)
    try:
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pressed(said: str) -> str:
    """What a key means; shown, since the terminal does not echo it."""
    if said == _END:
        raise EOFError
    if said in _KEYS:
        raise _Leave(_KEYS[said])
    _say(said)
    return said.strip()


def _line(prompt: str) -> str:
    sys.stdout.write(prompt)
    sys.stdout.flush()
    said = sys.stdin.readline()
    if not said:
        raise EOFError
    said = said.strip()
    if said in (SKIP, RELEASE, QUIT):
        raise _Leave(said)
    return said


def _others_left(queue: "LabelQueue", released: "Task") -> bool:
    """Whether another item than the one that was just given back is next; it is taken, and comes next."""
    task = queue.next(released.rater)
    if task is None:
        return False
    if task.item == released.item:
        queue.release(task)
        return False
    return True


def _show_done(done: "Submitted") -> None:
    _say("Stored." + (" (Late, but the item still needed it.)" if done.late else ""))
    for said in done.judge_verdicts:
        why = f": {said.rationale}" if said.rationale else ""
        _say(f"Judge {said.source_id} said {_text(said.value)}{why}")


def _bye(queue: "LabelQueue", rater: str, labelled: int, more: str) -> int:
    found = queue.progress()
    _say(
        f"{labelled} labelled now; queue {queue.name!r}: {found.items_done} of {found.items} items done. "
        f"Go on with: judge-opt queue label {quote(queue.name)} --rater {quote(rater)}{more}"
    )
    return EXIT_OK


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)


def _say(text: str) -> None:
    print(printable(text), flush=True)
