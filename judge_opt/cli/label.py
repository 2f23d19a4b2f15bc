"""`judge-opt label`: people's labels into the store."""

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, WholeHelp
from judge_opt.core.errors import EXIT_OK, UsageError
from judge_opt.core.values import BOOL, ValueType, categories, scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judge_opt.labels import LabelledExample
    from judge_opt.traces import Store
    from judge_opt.traces.bulk import Record

app = typer.Typer(cls=WholeHelp, help="Bring people's labels into the store.", no_args_is_help=False)

_RANGE = re.compile(r"^(-?\d+)\.\.(-?\d+)$")


@app.callback()
def _group() -> None:
    pass


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines or CSV; see docs/configuration.md.")
    ],
    name: Annotated[str, typer.Option("--name", help="The label's name: that of the judge it is for.")],
    values: Annotated[
        str, typer.Option("--values", help="What a label may be: bool, 1..5, or LABEL,LABEL,...")
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Store rows as traces and their labels as assessments by people, in HOME/store.db.

    Every label is checked first; one that is not allowed stops the import before anything is written.
    Importing a file again changes nothing.
    """
    from judge_opt.labels import load_examples

    loaded = load_examples(file, name, parse_values(values))
    from judge_opt.traces import Store

    home.mkdir(parents=True, exist_ok=True)
    with Store(home / "store.db") as store:
        counts = _store(store, name, loaded.examples)
    result = {
        "file": str(file),
        "store": str(home / "store.db"),
        "name": name,
        "rows": len(loaded.examples),
        "rows_skipped": len(loaded.skipped),
        **{key: counts[key] for key in ("traces_new", "labels_new", "labels_changed", "labels_unchanged")},
    }
    if as_json:
        output.emit(result)
        return EXIT_OK
    print(
        f"{result['rows']} rows with labels called {name!r} from {file.name}: {result['traces_new']} new traces,"
    )
    print(
        f"{result['labels_new']} new labels, {result['labels_changed']} changed, "
        f"{result['labels_unchanged']} already there; {result['rows_skipped']} rows without such a label."
    )
    print(f"Stored in {result['store']}")
    return EXIT_OK


def parse_values(text: str) -> ValueType:
    """`bool`, `1..5`, or labels with commas between.

    Raises:
        UsageError: it is none of these.
    """
    if text.strip() == "bool":
        return BOOL
    if match := _RANGE.match(text.strip()):
        return scale(int(match[1]), int(match[2]))
    labels = [label.strip() for label in text.split(",")]
    if len(labels) < 2:
        raise UsageError(f"--values {text[:60]!r} lists no values.", "Write bool, 1..5, or good,bad.")
    return categories(*labels)


def _store(store: "Store", name: str, examples: "list[LabelledExample]") -> Counter[str]:
    from judge_opt.traces import Trace
    from judge_opt.traces.bulk import Record
    from judge_opt.traces.label_rules import load_rules
    from judge_opt.traces.schema import Assessment, new_assessment_id, now

    counts: Counter[str] = Counter()
    counts["traces_new"] = store.add_traces(
        Trace(
            id=one.id,
            inputs=one.fields.get("inputs"),
            outputs=one.fields.get("outputs"),
            expectations=one.fields.get("expectations") or {},
            session=one.group if one.group != one.id else None,
        )
        for one in examples
    )
    with store.database.read() as connection:
        rules = load_rules(connection)
    imported = now()

    def records() -> "Iterator[Record]":
        """The labels that are not their rater's current word yet."""
        for one in examples:
            there = {
                said.source_id: (said.value, said.rationale)
                for said in store.assessments(one.id, name)
                if said.votes and said.source_type == "HUMAN" and said.kind == "feedback"
            }
            words = []
            for vote in one.votes:
                word = Assessment(
                    new_assessment_id(), one.id, "feedback", name, vote.value, vote.rationale, "HUMAN",
                    vote.rater, imported,
                )  # fmt: skip
                word = rules.checked(word, strict=True)
                if there.get(vote.rater) == (word.value, word.rationale):
                    counts["labels_unchanged"] += 1
                    continue
                counts["labels_changed" if vote.rater in there else "labels_new"] += 1
                words.append(word)
            if words:
                yield Record(store.get_trace(one.id), words)

    store.add_records(records())
    return counts
