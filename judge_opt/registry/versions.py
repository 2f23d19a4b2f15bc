"""One registered version, and how it is read from its row."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import sha256
from typing import Any, Final

import sqlalchemy as sa

from judge_opt.core.errors import IntegrityError, NotFound
from judge_opt.core.hashing import content_hash
from judge_opt.core.text import nearest, printable
from judge_opt.registry.tables import aliases, blobs, versions
from judge_opt.traces.json_text import load_json


class _Any(Enum):
    ANY = "any"


MAX_VERSION = 2**31 - 1

ANY: Final = _Any.ANY
"""For `Registry.set_alias(expected=ANY)`: move the alias wherever it points."""

Expected = int | _Any | None


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable version of a judge, a prompt or another artefact.

    Attributes:
        version: 1, 2, 3, ... per kind and name; never given twice, also after a deletion.
        content_hash: of the payload and the blobs; the same content has the same hash under any name.
        tags, lineage: as given at registration. Lineage says where it came from (parent version, split,
            optimizer, labels).
        aliases: the names that pointed at it when it was read, sorted.
        deleted: True for a tombstone; `deleted_by` and `deleted_reason` say more where they were given.
        trusted: False where it came from a bundle, and nobody here vouched for the addresses in it: see
            `judge_opt.judges.endpoints`.
    """

    name: str
    kind: str
    version: int
    content_hash: str
    created: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    deleted: bool = False
    deleted_by: str | None = None
    deleted_reason: str | None = None
    trusted: bool = True


def artefact_hash(payload: Any, data: Mapping[str, bytes]) -> str:
    """The content address of a payload with its blobs."""
    digests = {name: sha256(blob).hexdigest() for name, blob in data.items()}
    return content_hash({"payload": payload, "blobs": digests})


RECORD = ("kind", "name", "version", "content_hash", "lineage_json", "created")


def record_hash(row: Mapping[str, Any] | sa.RowMapping) -> str:
    """Of what is fixed at registration besides the content, so that a swapped or edited row is found out.
    Tags are left out: they may change."""
    return content_hash([row[column] for column in RECORD])


FACTS = [column for column in versions.c if column.name != "payload_json"]
"""What `version_of` needs: all but the content, which can be large."""


def version_of(connection: sa.Connection, row: sa.RowMapping) -> Version:
    """The version in a row of `registry_versions`."""
    return versions_of(connection, [row], aliases.c.kind == row["kind"], aliases.c.name == row["name"])[0]


def versions_of(
    connection: sa.Connection, rows: Sequence[sa.RowMapping], *which: sa.ColumnElement[bool]
) -> list[Version]:
    """The versions in many rows.

    Args:
        which: narrows the aliases that are looked at to those that can matter.
    """
    pointing: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    for alias in connection.execute(sa.select(aliases).where(*which)).mappings():
        pointing[alias["kind"], alias["name"], alias["version"]].append(alias["alias"])
    return [_version(row, pointing[row["kind"], row["name"], row["version"]]) for row in rows]


def _version(row: sa.RowMapping, pointing: Sequence[str]) -> Version:
    try:
        return _read(row, pointing)
    except (ValueError, TypeError):
        raise damaged(row) from None


def damaged(row: sa.RowMapping) -> IntegrityError:
    """For a version that is not what was registered."""
    return IntegrityError(
        f"The {row['kind']} {row['name']!r} version {row['version']} was changed or damaged on disk: its content "
        "or its lineage does not match its hash.",
        "Restore the database from a backup, or import the version again from a bundle.",
    )


def _read(row: sa.RowMapping, pointing: Sequence[str]) -> Version:
    return Version(
        name=row["name"],
        kind=row["kind"],
        version=row["version"],
        content_hash=row["content_hash"],
        created=datetime.fromisoformat(row["created"]),
        tags=load_json(row["tags_json"]),
        lineage=load_json(row["lineage_json"]),
        aliases=tuple(sorted(pointing)),
        deleted=row["deleted"] is not None,
        deleted_by=row["deleted_by"],
        deleted_reason=row["deleted_reason"],
        trusted=row["trusted"] is not False,
    )


def content_of(connection: sa.Connection, row: sa.RowMapping) -> tuple[Any, dict[str, bytes]]:
    """Payload and blobs of a row, verified.

    Raises:
        IntegrityError: they do not match the hash.
    """
    query = sa.select(blobs.c.name, blobs.c.data).where(blobs.c.version_seq == row["seq"])
    try:
        data = {str(name): blob for name, blob in connection.execute(query.order_by(blobs.c.name))}
        payload = load_json(row["payload_json"])
        matches = (
            artefact_hash(payload, data) == row["content_hash"] and record_hash(row) == row["record_hash"]
        )
    except (ValueError, TypeError):  # not JSON; a blob that is not bytes
        matches = False
    if not matches:
        raise damaged(row)
    return payload, data


def find_row(connection: sa.Connection, kind: str, name: str, version: int | str | None) -> sa.RowMapping:
    """The row of a version number, an alias, or the latest (None or "latest").

    Raises:
        NotFound: there is none, or it was deleted; names what there is.
    """
    of_name = sa.select(versions).where(versions.c.kind == kind, versions.c.name == name)
    if isinstance(version, str) and version.isascii() and version.isdigit():
        version = int(version)
    if isinstance(version, int) and not 1 <= version <= MAX_VERSION:
        raise _not_found(connection, kind, name, version)
    if version is None or version == "latest":
        query = of_name.where(versions.c.deleted.is_(None)).order_by(versions.c.version.desc())
    else:
        number = version if isinstance(version, int) else _aliased(connection, kind, name, version)
        query = of_name.where(versions.c.version == number)
    row = connection.execute(query.limit(1)).mappings().first()
    if row is None:
        raise _not_found(connection, kind, name, version)
    if row["deleted"] is not None:
        by = f" by {printable(row['deleted_by'])}" if row["deleted_by"] else ""
        why = f": {printable(row['deleted_reason']).rstrip('.')}" if row["deleted_reason"] else ""
        raise NotFound(
            f"Version {row['version']} of {kind} {name!r} was deleted on {row['deleted'][:10]}{by}{why}.",
            "Use another version; Registry.versions lists them.",
        )
    return row


def _aliased(connection: sa.Connection, kind: str, name: str, alias: str) -> int | None:
    query = sa.select(aliases.c.version).where(
        aliases.c.kind == kind, aliases.c.name == name, aliases.c.alias == alias
    )
    return connection.execute(query).scalar()


def _not_found(connection: sa.Connection, kind: str, name: str, version: int | str | None) -> NotFound:
    query = sa.select(versions.c.name).where(versions.c.kind == kind, versions.c.deleted.is_(None)).distinct()
    names = sorted(connection.execute(query).scalars())
    if name not in names:
        listed = ", ".join(map(repr, names[:20])) or "none"
        return NotFound(
            f"There is no {kind} {name!r}; registered: {listed}.{nearest(name, names)}", "Register it first."
        )
    of_name = sa.and_(aliases.c.kind == kind, aliases.c.name == name)
    there = sorted(connection.execute(sa.select(aliases.c.alias).where(of_name)).scalars())
    if isinstance(version, int):
        what, near = f"version {version}", ""
    else:
        what, near = f"alias {version!r}", nearest(str(version), there)
    listed = ", ".join(map(repr, there[:20])) or "none"
    return NotFound(
        f"{kind} {name!r} has no {what}.{near}",
        f"Its aliases: {listed}; Registry.versions lists its versions.",
    )
