"""`judge-opt queue`: people label items, each with the others' and the judges' opinions hidden."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output
from judge_opt.cli.label import parse_values
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp, home_option
from judge_opt.core.errors import EXIT_OK, NotFound, UsageError

if TYPE_CHECKING:
    from judge_opt.core.values import ValueType
    from judge_opt.labels.queues import LabelQueue
    from judge_opt.traces import Store

app = typer.Typer(
    cls=WholeHelp,
    help="Let people label items: several raters an item, blind, resumable.",
    no_args_is_help=False,
)


Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
Rater = Annotated[str, typer.Option("--rater", help="Who labels.")]
TraceId = Annotated[str, typer.Option("--trace", metavar="ID", help="The item, as `next` printed it.")]


@app.callback()
def _group() -> None:
    pass


@app.command("create")
def create(
    name: Name,
    label: Annotated[
        list[str], typer.Option("--label", help="A label to ask for: a label schema's name; may be repeated.")
    ],
    traces: Annotated[
        list[str] | None, typer.Argument(metavar="TRACE", help="Trace ids; all traces by default.")
    ] = None,
    values: Annotated[
        str | None,
        typer.Option("--values", help="Makes the label schema: bool, 1..5, or LABEL,LABEL,..."),
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The labels of --values have an order, first to last.")
    ] = False,
    question: Annotated[str | None, typer.Option("--question", help="What raters are asked.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Only these traces, such as \"tags.env = 'prod'\".")
    ] = None,
    raters: Annotated[int, typer.Option("--raters", help="How many people label each item.")] = 3,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            help="given, random, stratified, uncertainty, disagreement or distance; docs/labelling.md.",
        ),
    ] = "random",
    key: Annotated[
        str | None,
        typer.Option(
            "--key", help="Of stratified: a path such as inputs.topic; the judge's verdict by default."
        ),
    ] = None,
    embedder: Annotated[
        str, typer.Option("--embedder", help="Of distance: the embedding model.")
    ] = "local:/minilm",
    seed: Annotated[int, typer.Option("--seed")] = 0,
    lease: Annotated[float, typer.Option("--lease", help="Minutes that an item is kept for a rater.")] = 30.0,
    show_judge: Annotated[
        bool, typer.Option("--show-judge", help="Show judges' verdicts before the label is in.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Make a queue of the traces in HOME/store.db, in a useful order."""
    from judge_opt.labels.queues import create_queue

    with _store(home) as store:
        if values is not None:
            _make_schema(store, label, values, ordered, question)
        chosen: Any = traces or [trace.id for trace in store.iter_traces(filter_)]
        queue = create_queue(
            name,
            chosen,
            label,
            raters_per_item=raters,
            order=order,  # type: ignore[arg-type]
            lease_seconds=60.0 * lease,
            blind=not show_judge,
            seed=seed,
            key=key,
            embedder=_embedder(home, embedder) if order == "distance" else None,
            store=store,
        )
        items = queue.progress().items
    result = {"queue": name, "items": items, "labels": label, "raters_per_item": raters, "order": order}
    if as_json:
        output.emit(result)
        return EXIT_OK
    output.line(f"Queue {name!r}: {items} items, raters an item: {raters}, order: {order}.")
    output.line(f"Label with: judge-opt queue label {quote(name)} --rater YOUR_NAME{home_option(home)}")
    return EXIT_OK


@app.command("list")
def list_(home: Home = DEFAULT_HOME, as_json: Json = False) -> int:
    """The queues and how far they are."""
    from judge_opt.labels.queues import list_queues

    with _store(home) as store:
        found = [(queue, queue.progress()) for queue in list_queues(store=store)]
    if as_json:
        output.emit({"queues": [progress.to_json() for _, progress in found]})
        return EXIT_OK
    if not found:
        output.line("There is no queue. Make one with: judge-opt queue create")
        return EXIT_OK
    output.table(
        ["queue", "labels", "items", "done", "answers", "blind"],
        [
            [
                queue.name,
                ", ".join(schema.name for schema in queue.schemas),
                str(progress.items),
                str(progress.items_done),
                f"{progress.labels} of {progress.labels_wanted}",
                "yes" if queue.blind else "no",
            ]
            for queue, progress in found
        ],
    )
    return EXIT_OK


@app.command("label")
def label_(name: Name, rater: Rater, home: Home = DEFAULT_HOME) -> int:
    """Label item after item in the terminal.

    The same command goes on where you stopped.
    """
    from judge_opt.cli.labelling import label_items

    with _queue(home, name) as queue:
        return label_items(queue, rater, home_option(home))


@app.command("next")
def next_(name: Name, rater: Rater, home: Home = DEFAULT_HOME, as_json: Json = False) -> int:
    """Take the rater's next item and print it."""
    from judge_opt.cli.labelling import show_task

    with _queue(home, name) as queue:
        task = queue.next(rater)
        if as_json:
            output.emit({"task": None if task is None else task.to_json()})
        elif task is None:
            output.line(f"Nothing is left for {rater} in queue {name!r} now.")
        else:
            show_task(task)
            asked = [f"--label {quote(schema.name)}=..." for schema in task.schemas]
            for schema in task.schemas:
                output.line(f"{schema.title} ({schema.name}: {schema.value_type.describe()})")
            output.line(
                f"Answer with: judge-opt queue submit {quote(name)} --rater {quote(rater)} "
                f"--trace {quote(task.trace_id)} {' '.join(asked)}{home_option(home)}"
            )
    return EXIT_OK


@app.command("submit")
def submit(
    name: Name,
    rater: Rater,
    trace: TraceId,
    label: Annotated[
        list[str], typer.Option("--label", metavar="NAME=VALUE", help="One for each question; repeated.")
    ],
    rationale: Annotated[str | None, typer.Option("--rationale", help="Why.")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Store a rater's labels of an item that he has taken with `next`."""
    with _queue(home, name) as queue:
        task = queue.task(rater, trace)
        done = queue.submit(task, _labels(label), rationale)
        said = {one.name: one.value for one in done.labels}
        verdicts = [{"judge": one.source_id, "value": one.value} for one in done.judge_verdicts]
    if as_json:
        output.emit({"trace_id": trace, "labels": said, "late": done.late, "judge_verdicts": verdicts})
        return EXIT_OK
    output.line("Stored: " + ", ".join(f"{key}={value}" for key, value in said.items()))
    for one in verdicts:
        output.line(f"Judge {one['judge']} said {one['value']}.")
    return EXIT_OK


@app.command("skip")
def skip(name: Name, rater: Rater, trace: TraceId, home: Home = DEFAULT_HOME) -> int:
    """Give an item back for good: the rater cannot judge it."""
    with _queue(home, name) as queue:
        queue.skip(queue.task(rater, trace))
    return EXIT_OK


@app.command("release")
def release(name: Name, rater: Rater, trace: TraceId, home: Home = DEFAULT_HOME) -> int:
    """Give an item back for now: anybody may take it."""
    with _queue(home, name) as queue:
        queue.release(queue.task(rater, trace))
    return EXIT_OK


@app.command("progress")
def progress(name: Name, home: Home = DEFAULT_HOME, as_json: Json = False) -> int:
    """How far a queue is, and who did what."""
    with _queue(home, name) as queue:
        found = queue.progress()
        refused = queue.refused()
    if as_json:
        output.emit(found.to_json())
        return EXIT_OK
    output.line(
        f"{found.items_done} of {found.items} items done; {found.labels} of {found.labels_wanted} answers."
    )
    if found.raters:
        output.table(
            ["rater", "labelled", "skipped", "holds", "too late", "median seconds"],
            [
                [
                    one.rater,
                    str(one.labelled),
                    str(one.skipped),
                    str(one.holds),
                    str(one.refused),
                    "" if one.median_seconds is None else f"{one.median_seconds:g}",
                ]
                for one in found.raters
            ],
        )
    for late in refused:
        output.line(f"Too late, kept aside: {late.rater} on {late.trace_id}: {json.dumps(dict(late.labels))}")
    return EXIT_OK


@app.command("results")
def results(
    name: Name,
    out: Annotated[Path, typer.Option("--out", help="JSON Lines file to write, one item a line.")],
    done_only: Annotated[bool, typer.Option("--done", help="Only items that have all their labels.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Write the labels as rows that `judge-opt label import` and `judge-opt raters` read."""
    from judge_opt.core.files import write_text
    from judge_opt.labels.queues.running import label_rows

    with _queue(home, name) as queue:
        rows = label_rows(queue, done_only=done_only)
    write_text(out, "".join(json.dumps(row) + "\n" for row in rows))
    labels = sum(len(row["human"]) for row in rows)
    if as_json:
        output.emit({"queue": name, "out": str(out), "items": len(rows), "labels": labels})
    else:
        output.line(f"{labels} labels of {len(rows)} items in {out}")
    return EXIT_OK


@app.command("delete")
def delete(name: Name, home: Home = DEFAULT_HOME) -> int:
    """Delete a queue. The labels that were given stay."""
    from judge_opt.labels.queues import delete_queue

    with _store(home) as store:
        delete_queue(name, store=store)
    return EXIT_OK


@contextmanager
def _store(home: Path) -> "Iterator[Store]":
    from judge_opt.traces import Store

    file = home / "store.db"
    if not file.is_file():
        raise NotFound(
            f"There is no store {file}.",
            "Bring traces in with judge-opt trace import, or give the right --home.",
        )
    with Store(file) as store:
        yield store


@contextmanager
def _queue(home: Path, name: str) -> "Iterator[LabelQueue]":
    from judge_opt.labels.queues import get_queue

    with _store(home) as store:
        yield get_queue(name, store=store)


def _make_schema(
    store: "Store", labels: list[str], values: str, is_ordered: bool, question: str | None
) -> None:
    from judge_opt.labels.schemas import create_label_schema, list_label_schemas

    if len(labels) > 1:
        raise UsageError(
            "--values goes with one --label.", "Make the schemas first, one queue each, or in Python."
        )
    wanted = values_of(values, is_ordered)
    there = {schema.name: schema for schema in list_label_schemas(store=store) if schema.type == "feedback"}
    if labels[0] in there:
        if there[labels[0]].value_type != wanted:
            raise UsageError(
                f"Label schema {labels[0]!r} asks for {there[labels[0]].value_type.describe()}.",
                "Leave --values out, or choose another label.",
            )
        return
    create_label_schema(labels[0], input=wanted, title=question, store=store)


def values_of(text: str, is_ordered: bool) -> "ValueType":
    """`--values` with `--ordered`.

    Raises:
        UsageError: it lists no values, or --ordered meets values that have their own order.
    """
    from judge_opt.core.values import ordered

    found = parse_values(text)
    if not is_ordered:
        return found
    if found.kind != "nominal":
        raise UsageError(f"--ordered says nothing about --values {text[:60]!r}.", "Leave --ordered out.")
    return ordered(*found.labels)


def _labels(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(
                f"--label {pair[:60]!r} is not NAME=VALUE.", "Write for example --label tone=good"
            )
        found[key.strip()] = value
    return found


def _embedder(home: Path, uri: str) -> Any:
    from judge_opt.llm.session import Session

    return Session(home).embedder(uri)
