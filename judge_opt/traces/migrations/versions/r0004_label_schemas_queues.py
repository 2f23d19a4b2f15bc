"""Label schemas, the judges bound to them, and queues of items to label.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "label_schemas",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("instruction", sa.Text()),
        sa.Column("enable_comment", sa.Boolean(), nullable=False),
        sa.Column("input_json", sa.Text(), nullable=False),
        sa.Column("rule_json", sa.Text(), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("updated", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_label_schemas"),
        sa.UniqueConstraint("id", name="uq_label_schemas_id"),
        sa.UniqueConstraint("kind", "name", name="uq_label_schemas_kind_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "label_schema_judges",
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("schema_seq", _seq, nullable=False),
        sa.PrimaryKeyConstraint("judge", name="pk_label_schema_judges"),
        sa.ForeignKeyConstraint(
            ["schema_seq"],
            ["label_schemas.seq"],
            name="fk_label_schema_judges_schema_seq",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_label_schema_judges_schema_seq", "label_schema_judges", ["schema_seq"])
    op.create_table(
        "label_queues",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("raters_per_item", sa.Integer(), nullable=False),
        sa.Column("lease_seconds", sa.Double(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("order_json", sa.Text(), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_label_queues"),
        sa.UniqueConstraint("id", name="uq_label_queues_id"),
        sa.UniqueConstraint("name", name="uq_label_queues_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "label_queue_schemas",
        sa.Column("queue_seq", _seq, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("queue_seq", "position", name="pk_label_queue_schemas"),
        sa.ForeignKeyConstraint(
            ["queue_seq"], ["label_queues.seq"], name="fk_label_queue_schemas_queue_seq", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["schema_id"], ["label_schemas.id"], name="fk_label_queue_schemas_schema_id"),
    )
    op.create_table(
        "label_queue_items",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("queue_seq", _seq, nullable=False),
        sa.Column("trace_seq", _seq, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("labelled", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_label_queue_items"),
        sa.UniqueConstraint("queue_seq", "trace_seq", name="uq_label_queue_items_queue_seq_trace_seq"),
        sa.ForeignKeyConstraint(
            ["queue_seq"], ["label_queues.seq"], name="fk_label_queue_items_queue_seq", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trace_seq"], ["traces.seq"], name="fk_label_queue_items_trace_seq", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_label_queue_items_queue_seq_position", "label_queue_items", ["queue_seq", "position"])
    op.create_index("ix_label_queue_items_trace_seq", "label_queue_items", ["trace_seq"])
    op.create_table(
        "label_queue_turns",
        sa.Column("item_seq", _seq, nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("taken", sa.String(40), nullable=False),
        sa.Column("expires", sa.String(40), nullable=False),
        sa.Column("updated", sa.String(40), nullable=False),
        sa.Column("labels_json", sa.Text()),
        sa.PrimaryKeyConstraint("item_seq", "rater", name="pk_label_queue_turns"),
        sa.ForeignKeyConstraint(
            ["item_seq"],
            ["label_queue_items.seq"],
            name="fk_label_queue_turns_item_seq",
            ondelete="CASCADE",
        ),
    )
