"""Verdicts in the store: each row a trace, each judgement an assessment of it, many to a transaction.

What is written has names that follow from its content, so that writing it again, after a kill, changes
nothing. A judge's newer word on a trace replaces its older one, which stays as history. A row without a
verdict is stored with its reason, as an assessment that never votes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from judge_opt.core.hashing import content_hash
from judge_opt.core.killpoints import reach
from judge_opt.evaluation.rows import Row
from judge_opt.traces.bulk import Record
from judge_opt.traces.json_text import dump_json
from judge_opt.traces.recorded import chunks, load_by_id
from judge_opt.traces.schema import MAX_NAME, Assessment, Trace, now
from judge_opt.traces.store import Store
from judge_opt.traces.tables import traces


@dataclass(frozen=True, slots=True)
class Word:
    """One judgement that is to be stored.

    Attributes:
        fields: the row's fields, the agent's outputs among them.
        source: (source type, source id) of the judge.
        said: as in the journal.
    """

    row: Row
    trace_id: str
    fields: Mapping[str, Any]
    judge: str
    source: tuple[str, str]
    said: Mapping[str, Any]


def trace_ids(store: Store | None, rows: Sequence[Row], *, with_outputs: bool) -> list[str | None]:
    """The trace that each row is, as far as it can be known before an agent has run.

    A row is the stored trace whose id it names. Without one it is the stored trace of its own id, where that
    has the same inputs and outputs; else a new one, named by its content.
    """
    if not with_outputs:
        return [row.trace_id for row in rows]
    known: dict[str, tuple[str, str]] = {}
    if store is not None:
        wanted = [row.id for row in rows if row.trace_id is None and len(row.id) <= MAX_NAME]
        query = sa.select(traces.c.id, traces.c.inputs_json, traces.c.outputs_json)
        with store.database.read() as connection:
            for some in chunks(wanted):
                for name, *parts in connection.execute(query.where(traces.c.id.in_(some))):
                    known[name] = (parts[0], parts[1])
    found: list[str | None] = []
    for row in rows:
        if row.trace_id is not None:
            found.append(row.trace_id)
        elif row.id in known and known[row.id] == _parts(row):
            found.append(row.id)
        else:
            found.append(new_trace_id(row, row.fields))
    return found


def new_trace_id(row: Row, fields: Mapping[str, Any]) -> str:
    """The id of the trace that a row's content makes."""
    return f"tr-{content_hash([row.session, dict(fields)])[:32]}"


def record(store: Store, run_id: str, words: Sequence[Word]) -> None:
    """Store judgements, with the traces that they are of; on the disk on return. Traces that the store has
    are left as they are."""
    if not words:
        return
    grouped: dict[str, list[Word]] = {}
    for word in words:
        grouped.setdefault(word.trace_id, []).append(word)
    with store.database.read() as connection:
        there = load_by_id(connection, grouped)
    reach("evaluation.before_store")
    store.add_records(
        Record(there.get(name) or _trace(many[0]), [_assessment(run_id, one) for one in many])
        for name, many in grouped.items()
    )
    reach("evaluation.store_committed")


def _parts(row: Row) -> tuple[str, str]:
    what = f"Row {row.id!r} "
    return tuple(dump_json(row.fields.get(name), what + name) for name in ("inputs", "outputs"))  # type: ignore[return-value]


def _trace(word: Word) -> Trace:
    fields = word.fields
    whole = fields.get("trace")
    if isinstance(whole, Mapping) and whole.get("id") == word.trace_id:  # a trace of another store
        return Trace(**{**whole, "spans": tuple(whole["spans"])})
    expectations = fields.get("expectations", {})
    inputs = fields.get("inputs")
    if inputs is None and "conversation" in fields:
        inputs = {"messages": fields["conversation"]}
    trace = fields.get("trace")
    spans = trace.get("spans", ()) if isinstance(trace, Mapping) else ()
    return Trace(
        id=word.trace_id,
        inputs=inputs,
        outputs=fields.get("outputs"),
        expectations=expectations if isinstance(expectations, Mapping) else {"expected": expectations},
        session=word.row.session[:MAX_NAME] if word.row.session else None,
        spans=spans if isinstance(spans, list) and all(isinstance(s, Mapping) for s in spans) else (),
    )


def _assessment(run_id: str, word: Word) -> Assessment:
    said = word.said
    failed = "error" in said
    facts = {name: said[name] for name in ("confidence", "probabilities") if said.get(name) is not None}
    return Assessment(
        id=f"as-{content_hash([run_id, word.row.id, word.judge, dict(said)])[:32]}",
        trace_id=word.trace_id,
        kind="feedback",
        name=word.judge,
        value=None if failed else said["value"],
        rationale=None if failed else said.get("rationale"),
        source_type=word.source[0],  # type: ignore[arg-type]
        source_id=word.source[1][:MAX_NAME],
        created=now(),
        error=f"{said['error']}: {said.get('detail', '')}".rstrip(": ") if failed else None,
        metadata={"evaluation": run_id, "row": word.row.id, **facts},
    )
