"""A queue of items that several people label, from any number of processes at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, DataError, NotFound
from judge_opt.core.killpoints import reach
from judge_opt.core.text import nearest
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.queues import turns
from judge_opt.labels.queues.order import Embeds, Key, OrderName, Scores, order_traces, verdicts
from judge_opt.labels.queues.progress import Progress, progress_of
from judge_opt.labels.queues.tables import queue_items, queue_turns
from judge_opt.labels.queues.task import Task
from judge_opt.labels.schemas import LabelSchema
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded
from judge_opt.traces.json_text import dump_json, load_json
from judge_opt.traces.rows import time_text
from judge_opt.traces.schema import Assessment, Trace, new_assessment_id, now, short_text
from judge_opt.traces.tables import traces

if TYPE_CHECKING:
    from judge_opt.traces.store import Store


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a rater's answer became.

    Attributes:
        labels: the assessments, in the order of the schemas.
        judge_verdicts: what judges said of the item: shown now that the label is in.
        late: the lease had ended, but the item still needed a label.
    """

    trace_id: str
    labels: tuple[Assessment, ...]
    judge_verdicts: tuple[Assessment, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Labels that came too late for a place; kept, and of no effect."""

    trace_id: str
    rater: str
    labels: Mapping[str, Any]
    rationale: Any
    when: datetime


@dataclass(frozen=True, slots=True)
class LabelQueue:
    """A queue as it was made; see `create_queue` and `get_queue`.

    Attributes:
        seq: its number in the store.
        schemas: the questions, as they are stored when the queue is opened.
        order: how its items were ordered, for the record.
    """

    store: "Store"
    seq: int
    id: str
    name: str
    schemas: tuple[LabelSchema, ...]
    raters_per_item: int
    lease_seconds: float
    blind: bool
    order: Mapping[str, Any]
    clock: Callable[[], datetime] = now

    # -- for raters

    def next(self, rater: str) -> Task | None:
        """Takes the next item for a rater, who has it for `lease_seconds`; None where nothing is left for
        him now: he has had every item, or others hold the places that are left.

        Somebody who holds an item gets that one again, with a new lease, so that work can be resumed. An item
        that he has labelled or skipped never comes again; one that he gave back comes last.
        """
        short_text("rater", rater)
        moment = self.clock()
        with self.store.database.write() as connection:
            at = time_text(moment)
            turn = turns.open_turn(connection, self.seq, rater, at) or turns.next_free(
                connection, self.seq, rater, at, self.raters_per_item
            )
            if turn is None:
                return None
            expires = moment + timedelta(seconds=self.lease_seconds)
            turns.put(connection, turn, "leased", at, expires=time_text(expires))
            return self._task(connection, turn.item, turn.trace_seq, rater, expires)

    def submit(
        self,
        task: Task,
        labels: Any,
        rationale: str | Mapping[str, str] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Submitted:
        """Stores a rater's labels of an item as assessments; durable on return.

        Submitting the same labels again changes nothing. After the lease has ended, they are taken if the
        item still needs a rater: neither labels nor other raters' leases fill its places. Otherwise they
        are kept aside (see `refused`) and a Conflict says so.

        Args:
            labels: schema name to value; the value alone, where there is one schema.
            rationale: why, for all labels, or schema name to why.
            metadata: JSON facts to store with each label.

        Raises:
            DataError: a label is missing or not allowed; nothing was stored and the lease stands.
            Conflict: the rater has labelled the item otherwise before, or the labels came too late.
            NotFound: the item is not in the queue, or its trace was deleted.
        """
        values = task.check(labels)
        reasons = self._reasons(rationale)
        payload = dump_json(
            {"labels": values, "rationale": reasons}, f"The labels of trace {task.trace_id!r}"
        )
        with self.store.database.write() as connection:
            at = time_text(self.clock())
            turn = self._turn(connection, task)
            stored = _stored(turn, payload)
            if stored == "other":
                raise Conflict(
                    f"{task.rater!r} has labelled trace {task.trace_id!r} in queue {self.name!r} before, "
                    "otherwise.",
                    "Correct that label with Store.override.",
                )
            late = not (turn.state == "leased" and turn.expires > at)
            refused = (
                stored == "new"
                and late
                and turns.places_left(connection, turn.item, turn.rater, at, self.raters_per_item) < 1
            )
            if refused:
                turns.put(connection, turn, "refused", at, labels_json=payload)
            elif stored == "new":
                for name, value in values.items():
                    said = self._assessment(task, name, value, reasons.get(name), metadata, turn, at)
                    words.insert(connection, turn.trace_seq, said)
                turns.put(connection, turn, "done", at, labels_json=payload)
                reach("queue.before_commit")
            current = words.of_trace(connection, turn.trace_seq, None)
        reach("queue.committed")
        if refused:
            raise Conflict(
                f"The lease of {task.rater!r} on trace {task.trace_id!r} ended at "
                f"{task.expires:%H:%M:%S} UTC and its places are taken: the labels do not count.",
                f"They are kept in the queue (see refused()). Take the next item of {self.name!r}.",
            )
        own = {said.name: said for said in current if said.votes and _is(said, task.rater)}
        trace = Trace(task.trace_id, assessments=tuple(current))
        return Submitted(
            task.trace_id,
            tuple(own[name] for name in values if name in own),
            tuple(verdicts(trace, self._names())),
            late and stored == "new",
        )

    def skip(self, task: Task) -> None:
        """Gives an item back for good: the rater cannot judge it and never sees it again.

        Raises:
            Conflict: he has labelled it.
        """
        self._give_back(task, "skipped")

    def release(self, task: Task) -> None:
        """Gives an item back for now: anybody may take it, and the rater sees it again after all others.

        Raises:
            Conflict: he has labelled it.
        """
        self._give_back(task, "released")

    def task(self, rater: str, trace_id: str) -> Task:
        """The task of an item that the rater has taken, also after its lease has ended.

        Raises:
            NotFound: he never took it, or the queue has no such item.
        """
        with self.store.database.read() as connection:
            seq = words.trace_number(connection, trace_id, self.store.database.name)
            query = sa.select(queue_items.c.seq).where(
                queue_items.c.queue_seq == self.seq, queue_items.c.trace_seq == seq
            )
            item = connection.execute(query).scalar()
            turn = None if item is None else turns.find(connection, self.seq, item, rater)
            if turn is None or turn.state is None:
                raise NotFound(
                    f"{rater!r} has not taken trace {trace_id!r} in queue {self.name!r}.",
                    "Take an item with next().",
                )
            expires = datetime.fromisoformat(turn.expires)
            return self._task(connection, turn.item, turn.trace_seq, rater, expires)

    # -- for the one who runs it

    def progress(self) -> Progress:
        """How far it is, and who did what."""
        with self.store.database.read() as connection:
            at = time_text(self.clock())
            return progress_of(connection, self.seq, self.name, self.raters_per_item, at)

    def results(self, name: str | None = None, *, done_only: bool = False) -> list[LabelledExample]:
        """The queue's items that have labels, as examples: everything that people say of them today, so also
        labels from outside the queue, and no label that was retracted.

        Args:
            name: which schema's labels; may be left out where there is one schema.
            done_only: leave items out that still wait for raters.

        Raises:
            DataError: the queue does not ask for `name`.
        """
        names = [schema.name for schema in self.schemas if schema.type == "feedback"]
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            raise DataError(
                f"Queue {self.name!r} has no labels called {name!r}.{nearest(str(name), names)}",
                f"Give one of: {', '.join(names)}.",
            )
        wanted = {trace_id for trace_id, count in self._labelled() if count >= self._least(done_only)}
        if not wanted or not any(said.trace.id in wanted for said in self.store.labelled_traces(name)):
            return []
        value_type = next(schema.value_type for schema in self.schemas if schema.name == name)
        return [one for one in self.store.labelled_examples(name, value_type) if one.id in wanted]

    def refused(self) -> list[Refused]:
        """Labels that came too late, in the order of their items."""
        with self.store.database.read() as connection:
            found = connection.execute(
                sa.select(queue_turns, traces.c.id.label("trace_id"))
                .join(queue_items, queue_items.c.seq == queue_turns.c.item_seq)
                .join(traces, traces.c.seq == queue_items.c.trace_seq)
                .where(queue_items.c.queue_seq == self.seq, queue_turns.c.state == "refused")
                .order_by(queue_items.c.position, queue_turns.c.rater)
            ).all()
        out = []
        for row in found:
            said = load_json(row.labels_json)
            when = datetime.fromisoformat(row.updated)
            out.append(Refused(row.trace_id, row.rater, said["labels"], said["rationale"], when))
        return out

    def add(self, trace_ids: Iterable[str]) -> int:
        """Adds traces at the end.

        Returns:
            How many were new to the queue.

        Raises:
            NotFound: the store has no such trace.
        """
        with self.store.database.write() as connection:
            return add_items(connection, self.seq, trace_ids, self.store.database.name)

    def reorder(
        self,
        order: OrderName | Scores,
        *,
        seed: int = 0,
        key: Key | None = None,
        embedder: Embeds | None = None,
    ) -> None:
        """Orders the items anew, as labels and verdicts are now; see `create_queue`. What somebody holds
        stays with him."""
        with self.store.database.read() as connection:
            found = connection.execute(
                sa.select(queue_items.c.seq, traces.c.id, queue_items.c.labelled)
                .join(traces, traces.c.seq == queue_items.c.trace_seq)
                .where(queue_items.c.queue_seq == self.seq)
                .order_by(queue_items.c.position)
            ).all()
            loaded = recorded.load_by_id(connection, [row.id for row in found])
        listed = [loaded[row.id] for row in found]
        labelled = [loaded[row.id] for row in found if row.labelled] if order == "distance" else []
        places = order_traces(
            listed,
            order,
            names=self._names(),
            seed=seed,
            key=key,
            embedder=embedder,
            labelled=labelled,
        )
        with self.store.database.write() as connection:
            this = sa.update(queue_items).where(queue_items.c.seq == sa.bindparam("item"))
            values = [{"item": found[n].seq, "place": place} for place, n in enumerate(places)]
            if values:
                connection.execute(this.values(position=sa.bindparam("place")), values)

    # -- inside

    def _names(self) -> list[str]:
        """The names under which labels and verdicts of these questions stand."""
        return [name for schema in self.schemas for name in (schema.name, *schema.judges)]

    def _least(self, done_only: bool) -> int:
        return self.raters_per_item if done_only else 0

    def _labelled(self) -> list[tuple[str, int]]:
        with self.store.database.read() as connection:
            query = (
                sa.select(traces.c.id, queue_items.c.labelled)
                .join(traces, traces.c.seq == queue_items.c.trace_seq)
                .where(queue_items.c.queue_seq == self.seq)
            )
            return [(str(trace_id), int(count)) for trace_id, count in connection.execute(query)]

    def _task(
        self, connection: sa.Connection, item: int, trace_seq: int, rater: str, expires: datetime
    ) -> Task:
        trace = recorded.load(connection, sa.select(traces).where(traces.c.seq == trace_seq))[0][1]
        return Task(
            queue=self.name,
            item=item,
            trace_id=trace.id,
            rater=rater,
            expires=expires,
            inputs=trace.inputs,
            outputs=trace.outputs,
            expectations=trace.expectations,
            spans=trace.spans,
            session=trace.session,
            schemas=self.schemas,
            judge_verdicts=None if self.blind else tuple(verdicts(trace, self._names())),
            number=turns.done_by(connection, self.seq, rater) + 1,
        )

    def _turn(self, connection: sa.Connection, task: Task) -> turns.Turn:
        turn = turns.find(connection, self.seq, task.item, task.rater)
        if turn is None:
            raise NotFound(
                f"Trace {task.trace_id!r} is not in queue {self.name!r} any more: it was deleted.",
                "Take the next item.",
            )
        if turn.state is None:
            raise NotFound(
                f"{task.rater!r} has not taken trace {task.trace_id!r} in queue {self.name!r}.",
                "Take an item with next().",
            )
        return turn

    def _give_back(self, task: Task, state: turns.State) -> None:
        with self.store.database.write() as connection:
            turn = self._turn(connection, task)
            if turn.state == "done":
                raise Conflict(
                    f"{task.rater!r} has labelled trace {task.trace_id!r} already.",
                    "Retract the label with Store.retract.",
                )
            turns.put(connection, turn, state, time_text(self.clock()))

    def _reasons(self, rationale: str | Mapping[str, str] | None) -> dict[str, str]:
        names = [schema.name for schema in self.schemas]
        if not isinstance(rationale, Mapping):
            return dict.fromkeys(names, rationale) if rationale else {}
        for name in rationale:
            if name not in names:
                raise DataError(
                    f"Queue {self.name!r} does not ask for {name!r}.{nearest(str(name), names)}",
                    f"It asks for: {', '.join(names)}.",
                )
        return {name: text for name, text in rationale.items() if text}

    def _assessment(
        self,
        task: Task,
        name: str,
        value: Any,
        rationale: str | None,
        metadata: Mapping[str, Any] | None,
        turn: turns.Turn,
        at: str,
    ) -> Assessment:
        facts = {"queue": self.name, "blind": self.blind, "seconds": round(turns.seconds(turn.taken, at), 1)}
        return Assessment(
            id=new_assessment_id(),
            trace_id=task.trace_id,
            kind=next(schema.type for schema in self.schemas if schema.name == name),
            name=name,
            value=value,
            rationale=rationale,
            source_type="HUMAN",
            source_id=task.rater,
            created=now(),
            metadata={**(metadata or {}), **facts},
        )


def add_items(connection: sa.Connection, queue: int, trace_ids: Iterable[str], name: str) -> int:
    """Puts traces at the end of a queue; those that it has are left where they are."""
    last = connection.execute(
        sa.select(sa.func.max(queue_items.c.position)).where(queue_items.c.queue_seq == queue)
    ).scalar()
    there = set(
        connection.execute(
            sa.select(queue_items.c.trace_seq).where(queue_items.c.queue_seq == queue)
        ).scalars()
    )
    numbers: dict[str, int] = {}
    wanted = list(dict.fromkeys(trace_ids))
    for some in recorded.chunks(wanted):
        query = sa.select(traces.c.id, traces.c.seq).where(traces.c.id.in_(some))
        numbers |= {str(trace_id): int(seq) for trace_id, seq in connection.execute(query)}
    rows: list[dict[str, int]] = []
    for trace_id in wanted:
        seq = numbers.get(trace_id)
        if seq is None:
            seq = words.trace_number(connection, trace_id, name)  # raises, with the nearest id
        if seq not in there:
            place = (-1 if last is None else int(last)) + 1 + len(rows)
            rows.append({"queue_seq": queue, "trace_seq": seq, "position": place, "labelled": 0})
    if rows:
        connection.execute(sa.insert(queue_items), rows)
    return len(rows)


def _stored(turn: turns.Turn, payload: str) -> str:
    """ "new", "same" or "other", against what the rater submitted before."""
    if turn.state != "done":
        return "new"
    return "same" if turn.labels_json == payload else "other"


def _is(said: Assessment, rater: str) -> bool:
    return said.source_type == "HUMAN" and said.source_id == rater


__all__: Sequence[str] = ["LabelQueue", "Refused", "Submitted", "add_items"]
