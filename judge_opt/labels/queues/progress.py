"""How far a queue is, and who did what."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from judge_opt.labels.queues.tables import queue_items, queue_turns


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """One rater.

    Attributes:
        labelled, skipped, refused: items; refused ones were submitted too late (see `LabelQueue.submit`).
        holds: items that are leased now.
        median_seconds: from taking an item to its labels; None before the first one.
    """

    rater: str
    labelled: int
    skipped: int
    refused: int
    holds: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A queue.

    Attributes:
        items, items_done: done items have the labels of all raters that they need.
        labels, labels_wanted: raters' answers that are in, and that are wanted in all.
        raters: everyone who ever took an item, sorted by name.
    """

    queue: str
    items: int
    items_done: int
    labels: int
    labels_wanted: int
    raters: tuple[RaterProgress, ...]

    @property
    def done(self) -> bool:
        return self.items_done == self.items

    def to_json(self) -> dict[str, Any]:
        return {
            "queue": self.queue,
            "items": self.items,
            "items_done": self.items_done,
            "labels": self.labels,
            "labels_wanted": self.labels_wanted,
            "done": self.done,
            "raters": [
                {
                    "rater": one.rater,
                    "labelled": one.labelled,
                    "skipped": one.skipped,
                    "refused": one.refused,
                    "holds": one.holds,
                    "median_seconds": one.median_seconds,
                }
                for one in self.raters
            ],
        }


def progress_of(connection: sa.Connection, queue: int, name: str, places: int, moment: str) -> Progress:
    """As of `moment`, in one snapshot."""
    from statistics import median

    from judge_opt.labels.queues.turns import seconds

    labelled = (
        connection.execute(sa.select(queue_items.c.labelled).where(queue_items.c.queue_seq == queue))
        .scalars()
        .all()
    )
    turns = connection.execute(
        sa.select(queue_turns).join(queue_items).where(queue_items.c.queue_seq == queue)
    ).all()
    raters = []
    for rater in sorted({turn.rater for turn in turns}):
        own = [turn for turn in turns if turn.rater == rater]
        took = [seconds(turn.taken, turn.updated) for turn in own if turn.state == "done"]
        raters.append(
            RaterProgress(
                rater,
                len(took),
                sum(turn.state == "skipped" for turn in own),
                sum(turn.state == "refused" for turn in own),
                sum(turn.state == "leased" and turn.expires > moment for turn in own),
                round(median(took), 3) if took else None,
            )
        )
    return Progress(
        name,
        len(labelled),
        sum(count >= places for count in labelled),
        sum(labelled),
        len(labelled) * places,
        tuple(raters),
    )
