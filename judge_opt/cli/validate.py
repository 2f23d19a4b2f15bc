"""`judge-opt validate`: how well do judges, or any recorded verdicts, agree with people?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_NOT_PROMOTED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from judge_opt.core.values import ValueType
    from judge_opt.experiments.verdicts import Progress
    from judge_opt.judges.judge import Judge
    from judge_opt.labels import LabelledExample
    from judge_opt.validate.recorded import Verdicts
    from judge_opt.validate.verdict_parts import Context
    from judge_opt.validate.verdict_report import VerdictReport

EXIT_CODES = """\b
Exit codes:
  0    measured; with --gate: every check holds
  10   no error: the gate refuses
  2, 3 the command line, or a row, label or verdict, is wrong
  5    the budget is used up; 130 stopped by Ctrl-C: run again to go on"""


def validate(
    data: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines, CSV or Parquet with people's labels.")
    ],
    label: Annotated[
        str, typer.Option("--label", help="The labels' name in the file; default: the judge's.")
    ] = "",
    values: Annotated[
        str | None,
        typer.Option(
            "--values", help="What a label may be: bool, 1..5, or LABEL,LABEL,...; default: the judge's."
        ),
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The labels of --values have an order, first to last.")
    ] = False,
    pairwise: Annotated[
        bool, typer.Option("--pairwise", help="--values are a preference: first, second, and perhaps a tie.")
    ] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--map", metavar="SOURCE=LABEL", help="A source's label to ours.")
    ] = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option(
            "--verdicts",
            metavar="NAME=FILE",
            help="Verdicts of one judge: JSON Lines with id and value, as evaluate --out writes.",
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="NAME[/VERSION|@ALIAS]",
            help="Judge the rows by it now: a registered judge or a folder.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Of the recorded judges in FILE, only these."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="NAME", help="The judge that the others are compared with."),
    ] = None,
    gate: Annotated[
        Path | None, typer.Option("--gate", metavar="YAML", help="Promote or refuse; see docs/validation.md.")
    ] = None,
    promote: Annotated[
        str | None,
        typer.Option(
            "--promote", metavar="ALIAS", help="With --gate: point this alias at --judge if it passes."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="PATH", help="What makes rows dependent, e.g. inputs.story_id."),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="PATH", help="Tell agreement for each value of a field."),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option("--embedder", metavar="URI", help="For the text baseline, e.g. local:/minilm."),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats", min=1, max=50, help="With --judge: judge each row so often, for its stability."
        ),
    ] = 1,
    audits: Annotated[
        list[str] | None,
        typer.Option(
            "--audit", metavar="NAME", help="With --judge: a bias audit (see judge-opt audit), or all."
        ),
    ] = None,
    audit_rows: Annotated[int, typer.Option("--audit-rows", min=1, help="Rows of an audit at most.")] = 100,
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", help="How much worse than a rater: .2 expert, .15 skilled, .1 crowd."),
    ] = 0.2,
    noun: Annotated[str, typer.Option("--noun", help="What a row is, in the plural.")] = "rows",
    title: Annotated[str, typer.Option("--title", help="The report's title.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write report.html, .md and .json here.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="Show the texts of the worst disagreements.")
    ] = True,
    budget_calls: Annotated[int | None, typer.Option("--budget-calls", min=0)] = None,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", min=0)] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=0, help="Of the intervals.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=512)] = 8,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Validate judges, or verdicts that are there already, against people's labels.

    Without --verdicts and --judge, the verdicts recorded in FILE (its `judge` lists) are measured. With one
    --judge and --gate the verdict is stored in the registry beside the judge.
    """
    import shlex
    import sys

    from judge_opt.cli.locate import find_judge
    from judge_opt.cli.progress import make_progress
    from judge_opt.experiments.verdicts import context_of, with_texts, write_report
    from judge_opt.labels import load_examples
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.session import Session, use_session
    from judge_opt.validate.gate_checks import load_policy
    from judge_opt.validate.verdicts import validate_verdicts

    quiet.after_imports()
    policy = load_policy(gate) if gate is not None else None
    judges = {reference_: find_judge(reference_, home) for reference_ in judge or []}
    if promote is not None and (policy is None or not judges):
        raise UsageError("--promote needs --gate and --judge.", "Give both.")
    if (repeats > 1 or audits) and not judges:
        raise UsageError("Repeats and audits ask a judge.", "Name one with --judge.")
    value_type, name = _what(values, ordered, pairwise, label, judges)
    mapping = _pairs(changes or [], "--map")
    loaded = load_examples(data, name, value_type, group=group, value_map=mapping)
    examples = loaded.examples
    given = _given(
        data, name, value_type, mapping, verdicts or [], only or [], recorded=not judges and not verdicts
    )
    budget = (
        Budget(calls=budget_calls, usd=budget_usd) if (budget_calls, budget_usd) != (None, None) else None
    )
    with (
        make_progress() as progress,
        Session(home, run_id="validate", budget=budget, events=progress.call) as session,
        use_session(session),
    ):
        from judge_opt.align.contract import Event

        def told(phase: str, done: int, total: int) -> None:
            progress.event(Event(phase, done, total))

        context = context_of(examples, value_type, slices=slices or [], embedder=embedder)
        if judges:
            given, context = _judged(
                judges, examples, context, given, audits or [], repeats, audit_rows, concurrency, seed, told
            )
        report = validate_verdicts(
            examples, given, value_type,
            reference=reference or _older(judges, list(given)), policy=policy, context=context, epsilon=epsilon,
            title=title or f"{name} in {data.name}", noun=noun, n_boot=resamples, seed=seed, progress=told,
        )  # fmt: skip
    command = f"judge-opt {shlex.join(sys.argv[1:])}" if len(sys.argv) > 1 else "judge-opt validate"
    report = report.model_copy(update={"how": [command]})
    if texts:
        report = with_texts(report, examples, given)
    paths = write_report(report, out) if out is not None else []
    kept = _keep(report, judges, promote, home) if judges and policy is not None else None
    promoted = report.decision is None or report.decision.promoted
    code = EXIT_OK if promoted else EXIT_NOT_PROMOTED
    if as_json:
        output.emit(
            {
                **report.model_dump(mode="json"),
                "files": [str(p) for p in paths],
                "kept": kept,
                "exit_code": code,
            }
        )
    else:
        _show(report)
        for path in paths[1:2]:
            output.say(f"report: {path}")
        if kept:
            output.say(kept)
    return code


def _what(
    values: str | None, ordered: bool, pairwise: bool, label: str, judges: "dict[str, Judge]"
) -> "tuple[ValueType, str]":
    from judge_opt.cli.queue import values_of
    from judge_opt.core.values import ValueType, preference

    kinds = list(dict.fromkeys(one.value_type for one in judges.values()))
    if len(kinds) > 1:
        raise UsageError("The judges differ in what they may say.", "Validate them one by one.")
    names = {one.name for one in judges.values()}
    if not label and len(names) != 1:
        raise UsageError("--label is missing.", "Give the name of the labels in the file.")
    name = label or next(iter(names))
    if kinds:
        return kinds[0], name
    if values is None:
        raise UsageError("--values is missing.", "Say what a label may be: bool, 1..5, or LABEL,LABEL,...")
    if not pairwise:
        return values_of(values, ordered), name
    sides = [one.strip() for one in values.split(",")]
    if ordered or len(sides) not in (2, 3):
        raise UsageError(
            "--pairwise needs two labels, or three with a tie.", "Write --values 1,2,tie --pairwise"
        )
    made: ValueType = preference(sides[0], sides[1], tie=sides[2] if len(sides) == 3 else None)
    return made, name


def _pairs(given: list[str], option: str) -> dict[str, str]:
    out = {}
    for one in given:
        key, mark, value = one.partition("=")
        if not mark or not key or not value:
            raise UsageError(
                f"{option} {one[:60]!r} is not NAME=VALUE.", f"Write for example {option} yes=true"
            )
        out[key] = value
    return out


def _given(
    data: Path,
    name: str,
    value_type: "ValueType",
    mapping: dict[str, str],
    files: list[str],
    only: list[str],
    *,
    recorded: bool,
) -> "dict[str, Verdicts]":
    from judge_opt.core.text import nearest
    from judge_opt.validate.recorded import read_verdicts, recorded_verdicts

    found = {
        who: read_verdicts(path, value_type, value_map=mapping)
        for who, path in _pairs(files, "--verdicts").items()
    }
    if recorded or only:
        held = recorded_verdicts(data, name, value_type, value_map=mapping)
        for who in only:
            if who not in held:
                raise UsageError(
                    f"No recorded judge {who[:60]!r}.{nearest(who, held)}", f"Known: {', '.join(held)[:400]}."
                )
        found |= {who: held[who] for who in (only or held)}
    return found


def _judged(
    judges: "dict[str, Judge]",
    examples: "list[LabelledExample]",
    context: "Context",
    given: "dict[str, Verdicts]",
    audits: list[str],
    repeats: int,
    audit_rows: int,
    concurrency: int,
    seed: int,
    told: "Progress",
) -> "tuple[dict[str, Verdicts], Context]":
    from judge_opt.experiments.verdicts import judge_rows
    from judge_opt.validate.audits import POSITION
    from judge_opt.validate.perturbations import SHIPPED

    wanted = [one for one in audits if one != "all"]
    if "all" in audits:
        pairwise = all(one.value_type.kind == "pairwise" for one in judges.values())
        wanted = list(dict.fromkeys([*wanted, *([POSITION] if pairwise else []), *SHIPPED]))
    made, context = judge_rows(
        judges, examples, context, repeats=repeats, audits=dict.fromkeys(judges, wanted),
        audit_rows=audit_rows, concurrency=concurrency, seed=seed, progress=told,
    )  # fmt: skip
    return {**given, **made}, context


def _older(judges: "dict[str, Judge]", names: list[str]) -> str | None:
    """Of two, the one that is not the first --judge is what it is compared with."""
    first = next(iter(judges), None)
    others = [name for name in names if name != first]
    return others[0] if first is not None and len(names) == 2 else None


def _keep(report: "VerdictReport", judges: "dict[str, Judge]", promote: str | None, home: Path) -> str | None:
    """Store the report beside the judge, and move the alias where the gate promotes."""
    from judge_opt.cli.locate import parse_reference
    from judge_opt.experiments.verdicts import record_validation
    from judge_opt.registry.judges import registry_path
    from judge_opt.registry.registry import Registry

    first = next(iter(judges))
    if Path(first).expanduser().is_dir():
        return None
    name, version = parse_reference(first)
    registry = Registry(registry_path(home))
    found = registry.get("judge", name, int(version) if version and version.isdigit() else version)[0]
    kept = record_validation(report, found, registry)
    said = f"kept as validation {kept.name}/{kept.version} of {found.name}/{found.version}"
    if promote is not None and report.decision is not None and report.decision.promoted:
        registry.set_alias("judge", found.name, promote, found.version)
        said += f"; {promote} points at it"
    return said


def _show(report: "VerdictReport") -> None:
    from judge_opt.experiments.report.verdicts import standings_of
    from judge_opt.validate.metrics import heading

    output.line(report.headline)
    print()
    cells: list[list[Any]] = [
        [s.name, s.agreement.text("percent"), s.primary.text()] for s in standings_of(report)
    ]
    output.table(["95 % intervals", "agreement", heading(report.metric)], cells)
    if report.decision is not None:
        print()
        output.table(
            ["gate", "what was found"],
            [["holds" if c.holds else "fails", c.text] for c in report.decision.checks],
        )
    for note in report.notes:
        output.say(f"caution: {note}")
