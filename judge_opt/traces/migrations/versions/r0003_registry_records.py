"""Who deleted a version and why, whose endpoint is trusted, a hash over a version's record; reads of test rows.

Revision: 0003
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("record_hash", sa.String(64)),
        sa.Column("trusted", sa.Boolean()),
        sa.Column("deleted_by", sa.Text()),
        sa.Column("deleted_reason", sa.Text()),
    ):
        op.add_column("registry_versions", column)
    _hash_records(op.get_bind())
    op.create_table(
        "test_reads",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("rows_hash", sa.String(64), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("split_hash", sa.String(64)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("created", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_test_reads"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_test_reads_rows_hash", "test_reads", ["rows_hash"])


def _hash_records(connection: sa.Connection) -> None:
    """What `judge_opt.registry.versions.record_hash` was when this revision was written, on rows as they
    are stored: a migration does not import code that may change later."""
    versions = sa.table(
        "registry_versions",
        *(sa.column(name) for name in ("seq", *_RECORD, "record_hash")),
    )
    for row in connection.execute(sa.select(versions)).mappings().all():
        record: list[Any] = [row[name] for name in _RECORD]
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=True)
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()
        connection.execute(sa.update(versions).where(versions.c.seq == row["seq"]).values(record_hash=digest))


_RECORD = ("kind", "name", "version", "content_hash", "lineage_json", "created")
