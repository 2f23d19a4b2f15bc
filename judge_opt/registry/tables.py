"""The registry's tables, in the same database as the traces. A change here needs a migration."""

import sqlalchemy as sa

from judge_opt.traces.database import SafeText, metadata
from judge_opt.traces.tables import Sequence

versions = sa.Table(
    "registry_versions",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("kind", SafeText, nullable=False),
    sa.Column("name", SafeText, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("payload_json", sa.Text),  # NULL once deleted
    sa.Column("lineage_json", sa.Text, nullable=False),
    sa.Column("tags_json", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("deleted", sa.String(40)),  # when: the tombstone, so that a number is never given twice
    sa.Column("deleted_by", SafeText),
    sa.Column("deleted_reason", SafeText),
    sa.Column("record_hash", sa.String(64)),  # of what never changes but is outside the content hash
    sa.Column("trusted", sa.Boolean),  # False: from a bundle, so that its endpoints get no keys; else trusted
    sa.UniqueConstraint("kind", "name", "version"),
    sqlite_autoincrement=True,
)

blobs = sa.Table(
    "registry_blobs",
    metadata,
    sa.Column(
        "version_seq", Sequence, sa.ForeignKey("registry_versions.seq", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("name", SafeText, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

aliases = sa.Table(
    "registry_aliases",
    metadata,
    sa.Column("kind", SafeText, primary_key=True),
    sa.Column("name", SafeText, primary_key=True),
    sa.Column("alias", SafeText, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("moved", sa.String(40), nullable=False),
    sa.ForeignKeyConstraint(
        ["kind", "name", "version"],
        ["registry_versions.kind", "registry_versions.name", "registry_versions.version"],
    ),
)
