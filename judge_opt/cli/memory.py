"""`judge-opt memory`: what a judge learned: looked at, explained, edited, and taken back."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.judge import EXIT_UNSCORED
from judge_opt.cli.memory_change import Base, base_of, changes_of, each, edited_text, read_text, store_change
from judge_opt.cli.memory_view import explanation_json, show_explanation, show_memory
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp, parse_field
from judge_opt.core.errors import EXIT_OK, DataError, UsageError
from judge_opt.core.text import nearest

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge
    from judge_opt.memory.memory import Memory

app = typer.Typer(
    cls=WholeHelp,
    help="Show, explain and edit what a judge learned; take labels back.",
    no_args_is_help=False,
)

Reference = Annotated[
    str,
    typer.Argument(
        metavar="NAME[/VERSION|@ALIAS]", help="A registered judge; the latest version by default."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the new version's lineage.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it.", show_default="the user's name here")]
Numbers = Annotated[
    list[int], typer.Argument(metavar="NUMBER", help="One or several, as `memory show` counts them.")
]
_FIELD = "Explain this item: JSON, text, or @FILE."


@app.command("show", epilog="Exit code 11: the item could not be judged.")
def show(
    judge: Annotated[
        str, typer.Argument(metavar="JUDGE", help="NAME[/VERSION|@ALIAS], or a folder that holds judge.json.")
    ],
    item: Annotated[
        Path | None,
        typer.Option("--item", metavar="FILE.json", help="Explain this item: an object with inputs, ..."),
    ] = None,
    inputs: Annotated[str | None, typer.Option("--inputs", help=_FIELD)] = None,
    outputs: Annotated[str | None, typer.Option("--outputs", help=_FIELD)] = None,
    expectations: Annotated[str | None, typer.Option("--expectations", help=_FIELD)] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Judge the item without each guideline and example, too: one call each."
        ),
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="Only the guidelines, as `memory edit --file` reads them.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Show what a judge learned; or, for one item, what its verdict rests on.

    With an item, the judge is asked: which guidelines and examples were used, and what each contributed.
    """
    fields = _item(item, {"inputs": inputs, "outputs": outputs, "expectations": expectations})
    if measure and fields is None:
        raise UsageError("--measure needs an item.", "Give --item, or --inputs and --outputs.")
    if fields is not None:
        return _explain(judge, fields, measure, home, as_json)
    name, found = _looked_at(judge, home)
    from judge_opt.memory.editing import as_text
    from judge_opt.memory.facts import memory_facts

    facts = None if found.memory is None else memory_facts(found.memory)
    if as_json:
        output.emit({"judge": name, "memory": facts})
    elif found.memory is None or facts is None:
        output.say(f"{name} has learned nothing from labels.")
    elif text:
        print(as_text(found.memory), end="")
    else:
        show_memory(f"{name}: {found.value_type.describe()}", facts, found.value_type)
    return EXIT_OK


@app.command("edit")
def edit(
    judge: Reference,
    reason: Reason,
    file: Annotated[
        Path | None, typer.Option("--file", help="The edited text; else $VISUAL or $EDITOR is opened on it.")
    ] = None,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Edit the guidelines as text, one a line: + shown, - retired, ! pinned. Registers a new version."""
    base = base_of(judge, home)
    from judge_opt.memory.editing import as_text, with_text

    if file is not None:
        return _store(base, with_text(base.memory, read_text(file)), "edit", reason, by, as_json)
    changed, kept = edited_text(as_text(base.memory))
    try:
        code = _store(base, with_text(base.memory, changed), "edit", reason, by, as_json)
    except Exception:
        output.say(
            f"your text is kept in {kept}: correct it, and give it with --file {shlex.quote(str(kept))}"
        )
        raise
    kept.unlink()
    return code


@app.command("pin")
def pin(
    judge: Reference,
    numbers: Numbers,
    reason: Reason,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Pin guidelines: shown to the judge, and kept whatever later labels say. Registers a new version."""
    base = base_of(judge, home)
    from judge_opt.memory.editing import pin as pinned

    return _store(base, each(base.memory, numbers, pinned), "pin", reason, by, as_json, guidelines=numbers)


@app.command("retire")
def retire(
    judge: Reference,
    numbers: Numbers,
    reason: Reason,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Retire guidelines: not shown to the judge any more. Registers a new version."""
    base = base_of(judge, home)
    from judge_opt.memory import editing

    def retired(memory: "Memory", number: int) -> "Memory":
        at = number - 1
        if 0 <= at < len(memory.guidelines) and memory.guidelines[at].state == "retired":
            return memory
        return editing.retire(memory, number, f"retired by a person: {' '.join(reason.split())[:120]}")

    return _store(
        base, each(base.memory, numbers, retired), "retire", reason, by, as_json, guidelines=numbers
    )


@app.command("forget")
def forget(
    judge: Reference,
    reason: Reason,
    rater: Annotated[
        list[str] | None, typer.Option("--rater", help="All labels of this person; repeatable.")
    ] = None,
    trace: Annotated[
        list[str] | None, typer.Option("--trace", help="This whole example; repeatable.")
    ] = None,
    assessment: Annotated[
        list[str] | None, typer.Option("--assessment", help="This one label; repeatable.")
    ] = None,
    by: By = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Take labels back, with what was learned from them alone. Registers a new version.

    No model is asked. The version that it was made from still holds the labels: see `registry delete`.
    """
    named = {"raters": rater or [], "traces": trace or [], "assessments": assessment or []}
    if not any(named.values()):
        raise UsageError("Nothing to forget was named.", "Give --rater, --trace or --assessment.")
    base = base_of(judge, home)
    left = base.judge.unalign(
        named["traces"] or None, assessments=named["assessments"] or None, rater=named["raters"] or None
    ).memory
    return _store(base, left, "forget", reason, by, as_json, **named)


def _store(
    base: Base,
    memory: "Memory | None",
    what: str,
    reason: str,
    by: str | None,
    as_json: bool,
    **details: Any,
) -> int:
    """Register the change, and say what it was."""
    from judge_opt.cli.registry import user_name

    version = store_change(base, memory, what, reason, by or user_name(), details)
    if as_json:
        new = None if version is None else version.version
        changes = [] if version is None else changes_of(base.judge.memory, memory)
        output.emit(
            {
                "judge": base.version.name,
                "parent": base.version.version,
                "version": new,
                "changes": changes,
                **details,
            }
        )
        return EXIT_OK
    if version is None:
        output.line(f"Nothing changed: {base.name} is as it was.")
        return EXIT_OK
    for one in changes_of(base.judge.memory, memory):
        output.line(one)
    output.line(f"Registered as {version.name}/{version.version}; {base.name} is as it was.")
    if base.version.aliases:
        alias = base.version.aliases[0]
        output.line(
            f"{', '.join(base.version.aliases)} still points at {base.name}. To use the new one: "
            f"judge-opt registry alias {version.name} {alias} {version.version}"
        )
    return EXIT_OK


def _looked_at(reference: str, home: Path) -> tuple[str, "Judge"]:
    """(name, judge) to look at: no address in it is asked."""
    folder = Path(reference).expanduser()
    if folder.is_dir():
        from judge_opt.judges.stored import read_judge

        run = folder / "judge"
        return reference, read_judge(run if (run / "judge.json").is_file() else folder, trust_base_url=True)
    base = base_of(reference, home, change=False)
    aliases = f" ({', '.join(base.version.aliases)})" if base.version.aliases else ""
    return f"{base.name}{aliases}", base.judge


def _item(file: Path | None, said: dict[str, str | None]) -> dict[str, Any] | None:
    """The item that was given, or None."""
    fields = {name: parse_field(text, name) for name, text in said.items() if text is not None}
    if file is None:
        return fields or None
    if fields:
        raise UsageError(
            "Give the item by --item or by its fields, not both.", "See: judge-opt memory show --help"
        )
    import json

    from judge_opt.labels.examples import FIELDS

    try:
        given = json.loads(read_text(file))
    except ValueError as error:
        raise DataError(
            f"{file} is not JSON ({error}).", "Write one object with inputs, outputs, ..."
        ) from None
    found = (
        {name: given[name] for name in FIELDS if given.get(name) is not None}
        if isinstance(given, dict)
        else {}
    )
    if not found:
        near = nearest(next(iter(given), ""), FIELDS) if isinstance(given, dict) else ""
        raise DataError(
            f"{file} holds nothing to judge.{near}", f"Write an object with one of: {', '.join(FIELDS)}."
        )
    return found


def _explain(reference: str, item: dict[str, Any], measure: bool, home: Path, as_json: bool) -> int:
    from judge_opt.cli.locate import find_judge
    from judge_opt.llm.session import Session, use_session

    quiet.after_imports()
    judge = find_judge(reference, home)
    with Session(home) as session, use_session(session):
        if judge.model:
            session.check(judge.model, judge.base_url)
        told = judge.explain(item, measure=measure)
    if as_json:
        output.emit(explanation_json(told))
    else:
        show_explanation(told, judge.memory, "log probability" if judge.value_type.is_choice else "value")
    return EXIT_OK if told.feedback.error is None else EXIT_UNSCORED
