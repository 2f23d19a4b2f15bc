"""A queue of items that several people label, from any number of processes at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, NotFound
from judge_opt.core.killpoints import reach
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.queues import turns
from judge_opt.labels.queues.answers import Refused, Submitted, assessment_of, refused_of, seen_before
from judge_opt.labels.queues.items import add_items
from judge_opt.labels.queues.order import Embeds, Key, OrderName, Scores, verdicts
from judge_opt.labels.queues.progress import Progress, progress_of
from judge_opt.labels.queues.running import reorder_items, results_of
from judge_opt.labels.queues.tables import queue_items
from judge_opt.labels.queues.task import Task
from judge_opt.labels.schema_rows import LabelSchema
from judge_opt.traces import assessments as words
from judge_opt.traces import recorded
from judge_opt.traces.json_text import dump_json
from judge_opt.traces.rows import time_text
from judge_opt.traces.schema import Trace, now, short_text
from judge_opt.traces.tables import traces

if TYPE_CHECKING:
    from judge_opt.traces.store import Store


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
        reasons = task.reasons(rationale)
        payload = dump_json(
            {"labels": values, "rationale": reasons}, f"The labels of trace {task.trace_id!r}"
        )
        facts = {**(metadata or {}), "queue": self.name, "blind": self.blind}
        with self.store.database.write() as connection:
            at = time_text(self.clock())
            turn = self._turn(connection, task)
            stored = seen_before(turn, payload)
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
                    said = assessment_of(task, turn, at, name, value, reasons.get(name), facts)
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
        own = {
            said.name: said
            for said in current
            if said.votes and said.source_type == "HUMAN" and said.source_id == task.rater
        }
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
        return results_of(self, name, done_only=done_only)

    def refused(self) -> list[Refused]:
        """Labels that came too late, in the order of their items."""
        with self.store.database.read() as connection:
            return refused_of(connection, self.seq)

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
        reorder_items(self, order, self._names(), seed=seed, key=key, embedder=embedder)

    # -- inside

    def _names(self) -> list[str]:
        """The names under which labels and verdicts of these questions stand."""
        return [name for schema in self.schemas for name in (schema.name, *schema.judges)]

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
