"""Traces, assessments and the registry.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "traces",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text()),
        sa.Column("inputs_json", sa.Text(), nullable=False),
        sa.Column("outputs_json", sa.Text(), nullable=False),
        sa.Column("expectations_json", sa.Text(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("spans_json", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_traces"),
        sa.UniqueConstraint("id", name="uq_traces_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_traces_session", "traces", ["session"])
    op.create_table(
        "trace_tags",
        sa.Column("trace_seq", _seq, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trace_seq", "key", name="pk_trace_tags"),
        sa.ForeignKeyConstraint(
            ["trace_seq"], ["traces.seq"], name="fk_trace_tags_trace_seq", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_trace_tags_key", "trace_tags", ["key"])
    op.create_table(
        "assessments",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("trace_seq", _seq, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value_json", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text()),
        sa.Column("source_type", sa.String(20), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("supersedes", sa.Text()),
        sa.Column("retracted", sa.String(40)),
        sa.Column("error", sa.Text()),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_assessments"),
        sa.UniqueConstraint("id", name="uq_assessments_id"),
        sa.ForeignKeyConstraint(
            ["trace_seq"], ["traces.seq"], name="fk_assessments_trace_seq", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assessments_name", "assessments", ["name"])
    op.create_index(
        "uq_assessments_current",
        "assessments",
        ["trace_seq", "kind", "name", "source_type", "source_id"],
        unique=True,
        sqlite_where=sa.text("is_current = 1"),
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "registry_versions",
        sa.Column("seq", _seq, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("payload_json", sa.Text()),
        sa.Column("lineage_json", sa.Text(), nullable=False),
        sa.Column("tags_json", sa.Text(), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("deleted", sa.String(40)),
        sa.PrimaryKeyConstraint("seq", name="pk_registry_versions"),
        sa.UniqueConstraint("kind", "name", "version", name="uq_registry_versions_kind_name_version"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "registry_blobs",
        sa.Column("version_seq", _seq, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_seq", "name", name="pk_registry_blobs"),
        sa.ForeignKeyConstraint(
            ["version_seq"],
            ["registry_versions.seq"],
            name="fk_registry_blobs_version_seq",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "registry_aliases",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "alias", name="pk_registry_aliases"),
        sa.ForeignKeyConstraint(
            ["kind", "name", "version"],
            ["registry_versions.kind", "registry_versions.name", "registry_versions.version"],
            name="fk_registry_aliases_kind",
        ),
    )
