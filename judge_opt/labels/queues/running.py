"""What the one who runs a queue asks of it: its labels as examples, and another order."""

from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.queues.items import items_of, set_order
from judge_opt.labels.queues.order import Embeds, Key, OrderName, Scores, order_traces
from judge_opt.traces import recorded

if TYPE_CHECKING:
    from judge_opt.labels.queues.queue import LabelQueue

_FIELDS = ("inputs", "outputs", "expectations")


def results_of(queue: "LabelQueue", name: str | None, *, done_only: bool) -> list[LabelledExample]:
    """See `LabelQueue.results`."""
    names = [schema.name for schema in queue.schemas if schema.type == "feedback"]
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        raise DataError(
            f"Queue {queue.name!r} has no labels called {name!r}.{nearest(str(name), names)}",
            f"Give one of: {', '.join(names)}.",
        )
    least = queue.raters_per_item if done_only else 0
    with queue.store.database.read() as connection:
        wanted = {item.trace_id for item in items_of(connection, queue.seq) if item.labelled >= least}
    if name not in queue.store.feedback_names():
        return []
    value_type = next(schema.value_type for schema in queue.schemas if schema.name == name)
    found = [] if not queue.store.labelled_traces(name) else queue.store.labelled_examples(name, value_type)
    return [one for one in found if one.id in wanted]


def label_rows(queue: "LabelQueue", *, done_only: bool = False) -> list[dict[str, Any]]:
    """The labels of all questions as rows that importers read, one an item, sorted by id."""
    rows: dict[str, dict[str, Any]] = {}
    for schema in queue.schemas:
        if schema.type != "feedback":
            continue
        for one in queue.results(schema.name, done_only=done_only):
            row = rows.setdefault(one.id, {"id": one.id, "inputs": {}, "outputs": {}, "human": []})
            row |= {field: one.fields[field] for field in _FIELDS if field in one.fields}
            if one.group != one.id:
                row["session"] = one.group
            row["human"] += [
                {"rater": vote.rater, "name": schema.name, "value": vote.value, "rationale": vote.rationale}
                for vote in one.votes
            ]
    return [rows[key] for key in sorted(rows)]


def reorder_items(
    queue: "LabelQueue",
    order: OrderName | Scores,
    names: list[str],
    *,
    seed: int,
    key: Key | None,
    embedder: Embeds | None,
) -> None:
    """See `LabelQueue.reorder`.

    Args:
        names: those under which labels and verdicts of the queue's questions stand.
    """
    with queue.store.database.read() as connection:
        items = items_of(connection, queue.seq)
        loaded = recorded.load_by_id(connection, [item.trace_id for item in items])
    labelled = [loaded[item.trace_id] for item in items if item.labelled and order == "distance"]
    places = order_traces(
        [loaded[item.trace_id] for item in items],
        order,
        names=names,
        seed=seed,
        key=key,
        embedder=embedder,
        labelled=labelled,
    )
    with queue.store.database.write() as connection:
        set_order(connection, [items[n] for n in places])
