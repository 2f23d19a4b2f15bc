"""Guidelines as people read and edit them: numbered in print, one a line as text.

    print(describe(judge.memory))
    judge.memory = pin(judge.memory, 2)
    judge.memory = with_text(judge.memory, edited)

A memory is never changed in place: each function returns another one.
"""

import re
from dataclasses import replace

from judge_opt.core.errors import UsageError
from judge_opt.core.text import printable
from judge_opt.memory.distil import fault_of
from judge_opt.memory.guidelines import MAX_CHARS, Guideline
from judge_opt.memory.memory import Memory

_SIGNS = {"+": "active", "-": "retired", "!": "pinned"}
_HEAD = (
    "# One guideline a line: + shown to the judge, - retired, ! shown and kept whatever later labels say.\n"
    "# Text that you change or add counts as your own; lines that you delete are forgotten.\n"
)


def describe(memory: Memory) -> str:
    """What a memory holds, for people: its guidelines by number, with what they were measured to be worth and
    what they stand on; its examples in a line; what is pooled."""
    active = sum(g.state == "active" for g in memory.guidelines)
    lines = [f"{len(memory.guidelines)} guidelines, {active} of them active"]
    for number, g in enumerate(memory.guidelines, 1):
        state = "pinned" if g.pinned else g.state
        lines.append(f"{number:3}. [{state}] {printable(g.text)}")
        told = [_worth(g), f"stands on {len(g.sources)} examples" if g.sources else "written by a person"]
        if g.leads_to:
            told.append(f"leads to {g.leads_to}")
        if g.why:
            told.append(printable(g.why))
        lines.append("     " + "; ".join(one for one in told if one))
    votes = f", {len(memory.episodic)} examples, " + (
        f"{memory.shots} nearest are shown" if memory.shots else "none is shown"
    )
    lines.append(votes.removeprefix(", "))
    if memory.fusion is not None:
        weights = ", ".join(f"{name} {w:.2f}" for name, w in sorted(memory.fusion.weights.items()))
        lines.append(f"answers are pooled by the weights {weights}")
    return "\n".join(lines)


def as_text(memory: Memory) -> str:
    """The guidelines as a text to edit; `with_text` reads it back."""
    rows = []
    for g in memory.guidelines:
        sign = "!" if g.pinned else ("+" if g.state == "active" else "-")
        rows.append(f"{sign} {printable(g.text)}")
    return _HEAD + "".join(f"{row}\n" for row in rows)


def with_text(memory: Memory, text: str) -> Memory:
    """A memory with the guidelines of an edited text. Those whose words are unchanged keep what was measured.

    Raises:
        UsageError: a line without a sign, a text that is no guideline (the line is named), or one twice.
    """
    known = {g.text: g for g in memory.guidelines}
    made: list[Guideline] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*([+\-!])\s+(.*\S)\s*", line)
        if match is None:
            raise UsageError(
                f"Line {number} is no guideline: {printable(line)[:60]!r}.",
                "Begin it with '+ ', '- ' or '! '.",
            )
        state, words = _SIGNS[match[1]], match[2]
        if any(words == g.text for g in made):
            raise UsageError(f"Line {number} stands there twice.", "Delete one of the two.")
        old = known.get(words)
        g = (
            old
            if old is not None
            else Guideline(_checked(words, f"Line {number}"), why="written by a person")
        )
        made.append(_in_state(g, state))
    return replace(memory, guidelines=tuple(made))


def add(memory: Memory, text: str, *, pinned: bool = True) -> Memory:
    """With a guideline that a person wrote; pinned, so that no alignment retires it.

    Raises:
        UsageError: it is no guideline, or it is there already.
    """
    words = _checked(" ".join(printable(text).split()), "The text")
    _new(memory, words)
    g = Guideline(words, why="written by a person", pinned=pinned)
    return replace(memory, guidelines=(*memory.guidelines, g))


def edit(memory: Memory, number: int, text: str) -> Memory:
    """With other words for a guideline, by its number in `describe`. What was measured of the old words is
    dropped; the sources stay.

    Raises:
        UsageError: there is no such number, the text is no guideline, or another says it already.
    """
    old = _numbered(memory, number)
    words = _checked(" ".join(printable(text).split()), "The text")
    if words == old.text:
        return memory
    _new(memory, words)
    return _with(
        memory,
        number,
        Guideline(words, old.sources, state=old.state, why="edited by a person", pinned=old.pinned),
    )


def pin(memory: Memory, number: int) -> Memory:
    """With a guideline shown to the judge, and kept whatever later labels say."""
    return _with(memory, number, _in_state(_numbered(memory, number), "pinned"))


def retire(memory: Memory, number: int, why: str = "retired by a person") -> Memory:
    """With a guideline that is not shown to the judge any more."""
    return _with(memory, number, replace(_numbered(memory, number), state="retired", pinned=False, why=why))


def remove(memory: Memory, number: int) -> Memory:
    """Without a guideline: it may be distilled again, where a retired one is not."""
    gone = _numbered(memory, number)
    return replace(memory, guidelines=tuple(g for g in memory.guidelines if g is not gone))


def _with(memory: Memory, number: int, guideline: Guideline) -> Memory:
    listed = list(memory.guidelines)
    listed[number - 1] = guideline
    return replace(memory, guidelines=tuple(listed))


def _new(memory: Memory, words: str) -> None:
    if any(g.text == words for g in memory.guidelines):
        raise UsageError("This guideline is there already.", "Pin it, or edit it.")


def _numbered(memory: Memory, number: int) -> Guideline:
    if not 1 <= number <= len(memory.guidelines):
        raise UsageError(
            f"There is no guideline {number}: the memory has {len(memory.guidelines)}.",
            "See describe(memory).",
        )
    return memory.guidelines[number - 1]


def _in_state(g: Guideline, state: str) -> Guideline:
    if state == "pinned":
        return (
            g if g.pinned and g.state == "active" else replace(g, state="active", pinned=True, why="pinned")
        )
    if g.state == state and not g.pinned:
        return g
    why = "switched on by a person" if state == "active" else "retired by a person"
    return replace(g, state="active" if state == "active" else "retired", pinned=False, why=why)


def _checked(words: str, what: str) -> str:
    if fault := fault_of(words):
        raise UsageError(
            f"{what} is no guideline ({fault}): {printable(words)[:60]!r}.",
            f"Write one sentence of at most {MAX_CHARS} characters, without markup.",
        )
    return words


def _worth(g: Guideline) -> str:
    if g.uplift is None:
        return "not measured"
    return f"{g.uplift:+.3f} log probability a row: better on {g.support}, worse on {g.contradict}"
