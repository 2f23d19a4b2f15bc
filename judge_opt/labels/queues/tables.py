"""The tables of queues. A change here needs a migration.

A turn is one rater with one item: its row is there from the first lease on, so that nobody gets an item
twice. Labels themselves are assessments, like all others.
"""

import sqlalchemy as sa

from judge_opt.traces.database import SafeText, metadata
from judge_opt.traces.tables import Sequence

queues = sa.Table(
    "label_queues",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", SafeText, nullable=False, unique=True),
    sa.Column("name", SafeText, nullable=False, unique=True),
    sa.Column("raters_per_item", sa.Integer, nullable=False),
    sa.Column("lease_seconds", sa.Double, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("order_json", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sqlite_autoincrement=True,
)

queue_schemas = sa.Table(
    "label_queue_schemas",
    metadata,
    sa.Column("queue_seq", Sequence, sa.ForeignKey("label_queues.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("schema_id", SafeText, sa.ForeignKey("label_schemas.id"), nullable=False),
)

queue_items = sa.Table(
    "label_queue_items",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("queue_seq", Sequence, sa.ForeignKey("label_queues.seq", ondelete="CASCADE"), nullable=False),
    sa.Column("trace_seq", Sequence, sa.ForeignKey("traces.seq", ondelete="CASCADE"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("labelled", sa.Integer, nullable=False),  # raters whose labels are in
    sa.UniqueConstraint("queue_seq", "trace_seq"),
    sa.Index(None, "queue_seq", "position"),
    sa.Index(None, "trace_seq"),
    sqlite_autoincrement=True,
)

queue_turns = sa.Table(
    "label_queue_turns",
    metadata,
    sa.Column(
        "item_seq", Sequence, sa.ForeignKey("label_queue_items.seq", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("rater", SafeText, primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),  # leased, done, skipped, released, refused
    sa.Column("taken", sa.String(40), nullable=False),
    sa.Column("expires", sa.String(40), nullable=False),
    sa.Column("updated", sa.String(40), nullable=False),
    sa.Column("labels_json", sa.Text),  # done and refused: what was submitted
)
