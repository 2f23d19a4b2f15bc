"""A change of a judge's memory is a new version: what it was made from, by whom and why is in its lineage."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge_opt.cli.locate import parse_reference
from judge_opt.core.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge
    from judge_opt.memory.memory import Memory
    from judge_opt.registry import Registry, Version

KIND = "judge"


@dataclass(frozen=True, slots=True)
class Base:
    """The registered version that a change starts from.

    Attributes:
        latest: it was named as the latest: it must still be that when the change is stored.
    """

    registry: "Registry"
    version: "Version"
    judge: "Judge"
    latest: bool

    @property
    def name(self) -> str:
        return f"{self.version.name}/{self.version.version}"

    @property
    def memory(self) -> "Memory":
        """Raises:
        UsageError: the judge has learned nothing.
        """
        if self.judge.memory is None:
            raise UsageError(
                f"{self.name} has learned nothing from labels.", "Align it first: judge-opt align."
            )
        return self.judge.memory


def base_of(reference: str, home: Path, *, change: bool = True) -> Base:
    """The registered version that a user named, as it is stored; no address in it is asked.

    Args:
        change: False to look only: a version by number or alias is as good as the latest.

    Raises:
        UsageError: a folder was named, where only what is registered can be changed.
        NotFound, IntegrityError: never another version instead.
    """
    if change and Path(reference).expanduser().is_dir():
        raise UsageError(
            f"{reference[:80]!r} is a folder; only registered judges are changed here.",
            "Register it first (judge.register()), or change it in Python: docs/memory.md.",
        )
    from judge_opt.judges.stored import load_judge
    from judge_opt.llm.session import Session, use_session
    from judge_opt.registry import Registry
    from judge_opt.registry.judges import registry_path

    name, wanted = parse_reference(reference)
    if not registry_path(home).is_file():
        raise NotFound(
            f"There is no judge {name!r}: nothing is registered in {home}.",
            "Align one, or give the right --home.",
        )
    registry = Registry(registry_path(home))
    version, state, blobs = registry.get(KIND, name, wanted)
    apart = "store" in (state.get("memory") or {})  # examples in a file: it is looked for in the home folder
    with (
        Session(home) if apart else nullcontext() as session,
        use_session(session) if session else nullcontext(),
    ):
        return Base(registry, version, load_judge(state, blobs), wanted is None)


def store_change(
    base: Base, memory: "Memory | None", what: str, reason: str, by: str | None, details: dict[str, Any]
) -> "Version | None":
    """Register a judge with another memory; None where it is the same, and nothing was registered.

    Args:
        what: the verb.
        details: of the change, for the lineage: JSON.

    Raises:
        Conflict: somebody registered a version after the one that was changed was read.
        UsageError: no reason was given.
    """
    from judge_opt.judges.stored import dump_judge
    from judge_opt.registry.judges import code_version

    if not reason.strip():
        raise UsageError("--reason is empty.", "Say why in a few words: whoever loads the version is told.")
    if memory is base.judge.memory:
        return None
    state, blobs = dump_judge(base.judge.with_memory(memory))
    before, _ = dump_judge(base.judge)
    if state == before:
        return None
    if base.latest:
        now = base.registry.get(KIND, base.version.name)[0]
        if now.version != base.version.version:
            raise Conflict(
                f"{base.version.name}/{now.version} was registered since {base.name} was read; nothing was changed.",
                f"Look at it (judge-opt registry diff {base.version.name} {base.version.version} {now.version}), "
                "and do it again.",
            )
    lineage = {
        "code": code_version(),
        "parent": {"version": base.version.version, "content_hash": base.version.content_hash},
        "change": {"what": what, "reason": reason, "by": by, **details},
    }
    return base.registry.register(
        KIND, base.version.name, state, blobs, lineage, trusted=base.version.trusted
    )


def edited_text(text: str) -> tuple[str, Path]:
    """A text as the user's editor ($VISUAL, else $EDITOR) leaves it, and the file that it is kept in.

    Raises:
        UsageError: no editor is set, it is not there, or it ended with an error.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise UsageError(
            "Neither VISUAL nor EDITOR is set: there is no editor to open.",
            "Set one; or write the text with `memory show --text`, and give it with --file.",
        )
    handle, name = tempfile.mkstemp(prefix="guidelines-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    try:
        done = subprocess.run([*shlex.split(command), name], check=False)  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as error:
        Path(name).unlink()
        raise UsageError(
            f"The editor {command!r} cannot be run ({error}).", "Set EDITOR to one that is there."
        ) from None
    if done.returncode:
        raise UsageError(
            f"The editor {command!r} ended with code {done.returncode}; nothing was changed.",
            f"What it left is in {name}: give it with --file.",
        )
    return read_text(Path(name)), Path(name)


def read_text(path: Path) -> str:
    """Raises:
    NotFound, UsageError: the file is not there, or is no text.
    """
    try:
        return path.expanduser().read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", "Check the path.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None


def each(memory: "Memory", numbers: list[int], change: Callable[["Memory", int], "Memory"]) -> "Memory":
    """A memory with one change made to several guidelines, by their numbers."""
    for number in numbers:
        memory = change(memory, number)
    return memory


def changes_of(before: "Memory | None", after: "Memory | None") -> list[str]:
    """What is another, one a line."""
    if after is None or before is None:
        return ["Nothing is left: the judge is the untouched one."]
    old = {g.text: g for g in before.guidelines}
    new = {g.text: g for g in after.guidelines}
    lines = [f"gone: {text}" for text in old if text not in new]
    for text, g in new.items():
        state = "pinned" if g.pinned else g.state
        was = old.get(text)
        if was is None:
            lines.append(f"new, {state}: {text}")
        elif (was.state, was.pinned) != (g.state, g.pinned):
            lines.append(f"now {state}: {text}")
        elif len(was.sources) != len(g.sources):
            lines.append(f"stands on {len(g.sources)} examples instead of {len(was.sources)}: {text}")
    if votes := _labels(before) - _labels(after):
        lines.append(f"{votes} labels are gone, {_labels(after)} are left")
    if gone := len(before.episodic) - len(after.episodic):
        lines.append(f"{gone} examples are gone, {len(after.episodic)} are left")
    if before.fusion is not None and after.fusion is None:
        lines.append("fusion is off: what is left is too little to fit it")
    return lines


def _labels(memory: "Memory") -> int:
    """Votes behind its examples; 0 where they are in a file of their own."""
    return sum(len(e.ballots) for e in getattr(memory.episodic, "episodes", ()))
