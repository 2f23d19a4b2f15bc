"""`judge-opt evaluate`: a judge over many rows, with its agreement where people labelled them."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.items import Item, read_items
from judge_opt.cli.judge import feedback_json
from judge_opt.cli.locate import find_judge
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, JudgeReference
from judge_opt.core.errors import EXIT_OK, IntegrityError, NotFound, UsageError

if TYPE_CHECKING:
    from judge_opt.judges.feedback import Feedback
    from judge_opt.judges.judge import Judge
    from judge_opt.validate import Agreement


def evaluate(
    reference: JudgeReference = "",
    data: Annotated[
        Path | None, typer.Option("--data", help="JSON Lines: inputs, outputs, ..., labels if there are.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="The labels' name in the file; default: the judge's name.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="The held-out rows of this run (--data where their file moved); its judge unless --judge.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write one JSON line a row here.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=512)] = 8,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Judge every row of a file, or the held-out rows of a run.

    Rows that could not be judged count against coverage and enter no other figure.
    """
    if run is None and (data is None or not reference):
        raise UsageError("Give --judge and --data, or --run.", "See: judge-opt evaluate --help")
    from judge_opt.cli.progress import make_progress
    from judge_opt.llm.session import Session, use_session

    quiet.after_imports()
    chosen, items = _work(reference, data, label, run, home)
    from judge_opt.align.contract import Event

    with make_progress() as progress, Session(home, run_id="evaluate", events=progress.call) as session:
        session.check(chosen.model, chosen.base_url)
        with use_session(session):
            said = chosen.batch(
                [item.fields for item in items],
                not_groups=[item.group for item in items],
                concurrency=concurrency,
                progress=lambda done, total: progress.event(Event("judge rows", done, total)),
            )
    if out is not None:
        _write(out, items, said)
    measured = _agreement(chosen, items, said)
    seen = _seen(chosen, items)
    if seen:
        output.say(f"caution: {seen} of {len(items)} rows are among those that the judge learned from")
    if as_json:
        output.emit(_json(chosen, items, said, measured, seen, out))
    else:
        _show(chosen, items, said, measured)
    return EXIT_OK


def _work(
    reference: str, data: Path | None, label: str | None, run: str | None, home: Path
) -> "tuple[Judge, list[Item]]":
    if run is not None:
        folder = _run_folder(run, home)
        return find_judge(reference or str(folder / "judge"), home), _held_out(folder, data, home)
    assert data is not None
    chosen = find_judge(reference, home)
    return chosen, read_items(data, label or chosen.name, chosen.value_type)


def _run_folder(run: str, home: Path) -> Path:
    for folder in (home / "runs" / run, Path(run)):
        if (folder / "config.yaml").is_file():
            return folder
    raise NotFound(f"There is no run {run[:80]!r}.", "See: judge-opt runs")


def _held_out(folder: Path, data: Path | None, home: Path) -> list[Item]:
    """The held-out rows of a run, by its own configuration and split.

    Raises:
        NotFound: the file of rows is not where the configuration says.
        IntegrityError: the rows are not those that the run was made with.
    """
    from judge_opt.experiments.config import data_path, load_config
    from judge_opt.experiments.run import prepare
    from judge_opt.labels import Split

    changes = {"data.path": str(data.resolve())} if data is not None else {}
    config = load_config(folder / "config.yaml", changes)[0]
    rows = data_path(config.data, Path.cwd())
    if not rows.is_file():
        raise NotFound(f"The rows of run {folder.name} are not at {rows}.", "Give their file with --data.")
    prepared = prepare(config, Path.cwd(), home)
    if prepared.split.content_hash != Split.load(folder / "split.json").content_hash:
        raise IntegrityError(
            f"The rows in {rows.name} are not those that run {folder.name} was made with.",
            "Restore the file, or run the configuration again.",
        )
    test = prepared.split.select(prepared.examples)[2]
    return [Item(one.id, one.group, dict(one.fields), one.gold) for one in test]


def _agreement(judge: "Judge", items: list[Item], said: "list[Feedback]") -> "Agreement | None":
    rows = [(item, one) for item, one in zip(items, said, strict=True) if item.gold is not None]
    if not rows:
        return None
    from judge_opt.validate import measure_agreement

    return measure_agreement(
        [item.gold for item, _ in rows if item.gold is not None],
        [one.result for _, one in rows],
        [item.group for item, _ in rows],
        judge.value_type,
    )


def _seen(judge: "Judge", items: list[Item]) -> int:
    if judge.memory is None:
        return 0
    learned = {episode.id for episode in judge.memory.episodic.episodes}
    return sum(item.id in learned for item in items)


def _write(path: Path, items: list[Item], said: "list[Feedback]") -> None:
    from judge_opt.core.files import write_text

    rows = [{"id": item.id, **feedback_json(one)} for item, one in zip(items, said, strict=True)]
    write_text(path, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows))


def _counts(judge: "Judge", said: "list[Feedback]") -> dict[str, int]:
    counts = Counter(judge.value_type.text_of(one.value) for one in said if one.value is not None)
    order = judge.value_type.choices() or sorted(counts)
    return {label: counts[label] for label in order}


def _json(
    judge: "Judge",
    items: list[Item],
    said: "list[Feedback]",
    measured: "Agreement | None",
    seen: int,
    out: Path | None,
) -> dict[str, Any]:
    unscored = Counter(one.error.split(":")[0] for one in said if one.error is not None)
    return {
        "judge": judge.name,
        "model": judge.model,
        "rows": len(items),
        "labelled": sum(item.gold is not None for item in items),
        "learned_from": seen,
        "verdicts": _counts(judge, said),
        "unscored": dict(unscored),
        "coverage": 1 - sum(unscored.values()) / len(items),
        "agreement": measured.model_dump(mode="json") if measured is not None else None,
        "out": str(out) if out is not None else None,
    }


def _show(judge: "Judge", items: list[Item], said: "list[Feedback]", measured: "Agreement | None") -> None:
    failed = [(item, one) for item, one in zip(items, said, strict=True) if one.error is not None]
    coverage = f"{len(items) - len(failed)} of {len(items)} rows judged"
    output.table(["verdict", "rows"], [[label, str(n)] for label, n in _counts(judge, said).items()])
    print(f"\n{coverage}")
    for item, one in failed[:3]:
        output.say(f"not judged: {item.id}: {one.error}")
    if measured is None:
        print("No labels, so no agreement.")
        return
    from judge_opt.validate import TITLES

    print(f"Agreement with the majority of the raters on {measured.n_scored} labelled rows:")
    rows = [
        [TITLES[name], figure.text("percent" if name == "agreement" else "number")]
        for name, figure in measured.metrics.items()
    ]
    output.table(["metric", "95 % interval"], rows)
