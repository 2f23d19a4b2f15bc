"""The registry: versions that never change, and aliases that say which one is in use."""

import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from judge_opt.core.errors import Conflict, DataError, UsageError
from judge_opt.core.killpoints import reach
from judge_opt.registry import diff as diffs
from judge_opt.registry.names import check_alias, check_name
from judge_opt.registry.tables import aliases, blobs, versions
from judge_opt.registry.versions import (
    ANY,
    FACTS,
    MAX_VERSION,
    Expected,
    Version,
    artefact_hash,
    content_of,
    find_row,
    record_hash,
    version_of,
    versions_of,
)
from judge_opt.traces.database import Database
from judge_opt.traces.json_text import dump_json, load_json
from judge_opt.traces.rows import check_tags, time_text
from judge_opt.traces.schema import now
from judge_opt.traces.store import Store


class Registry:
    """Versions of judges, prompts and other artefacts in one database.

    Kinds and names follow `check_name`; kinds are free words such as "judge" and "prompt".

    Args:
        where: a Store or a Database to share, or a file path or SQLAlchemy URL.
    """

    def __init__(self, where: Store | Database | str | Path) -> None:
        if isinstance(where, Store):
            self.database = where.database
        else:
            self.database = where if isinstance(where, Database) else Database(where)

    def register(
        self,
        kind: str,
        name: str,
        payload: Mapping[str, Any],
        blobs: Mapping[str, bytes] | None = None,
        lineage: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        trusted: bool = True,
    ) -> Version:
        """Stores a new version and returns it.

        Idempotent: where the latest version has the same payload and blobs, that version is returned, with
        the tags and the lineage that it was first registered with. Two processes that register different
        content at once get two versions.

        Args:
            payload: a JSON object.
            blobs: name to bytes, for what is not JSON (an index, weights); names follow `check_name`.
            trusted: False where it came from elsewhere: see `Version.trusted`. Registering the same content
                again with True vouches for it; False never takes that back.

        Raises:
            UsageError: a name is not allowed.
            DataError: the payload cannot be stored as JSON.
        """
        check_name(kind, "kind")
        check_name(name)
        if not isinstance(payload, Mapping):
            raise DataError(f"The payload of {kind} {name!r} must be an object.", "Pass a dict.")
        data = {check_name(key, "blob name"): bytes(value) for key, value in (blobs or {}).items()}
        text = dump_json(dict(payload), f"The payload of {kind} {name!r}")
        row = {
            "kind": kind,
            "name": name,
            "content_hash": artefact_hash(load_json(text), data),
            "payload_json": text,
            "lineage_json": dump_json(dict(lineage or {}), f"The lineage of {kind} {name!r}"),
            "tags_json": dump_json(check_tags(tags or {}), f"The tags of {kind} {name!r}"),
            "created": time_text(now()),
            "trusted": trusted,
        }
        with self.database.write() as connection:
            version = _insert(connection, row, data)
        reach("registry.registered")
        return version

    def get(
        self, kind: str, name: str, version: int | str | None = None
    ) -> tuple[Version, dict[str, Any], dict[str, bytes]]:
        """A version with its payload and blobs, verified against its hash.

        Args:
            version: a number, an alias, or None for the latest that is not deleted.

        Raises:
            NotFound: there is none, or it was deleted.
            IntegrityError: it was changed on disk; never another version instead.
        """
        with self.database.read() as connection:
            row = find_row(connection, kind, name, version)
            payload, data = content_of(connection, row)
            return version_of(connection, row), payload, data

    def set_alias(
        self, kind: str, name: str, alias: str, version: int | None, expected: Expected = ANY
    ) -> None:
        """Points an alias at a version; None removes the alias.

        Args:
            expected: the version that the caller believes the alias points at (None: at nothing). Where it
                points elsewhere, nothing changes: compare-and-swap. ANY moves it unconditionally.

        Raises:
            Conflict: the alias does not point at `expected`.
            NotFound: there is no such version, or it was deleted.
            UsageError: the alias is not allowed.
        """
        check_alias(alias)
        this = sa.and_(aliases.c.kind == kind, aliases.c.name == name, aliases.c.alias == alias)
        with self.database.write() as connection:
            found = connection.execute(sa.select(aliases.c.version).where(this)).scalar()
            if expected is not ANY and found != expected:
                raise Conflict(
                    f"Alias {alias!r} of {kind} {name!r} points at {_at(found)}, not at {_at(expected)}: "
                    "somebody else moved it.",
                    "Look at the version it points at now, and decide again.",
                )
            if version is not None:
                find_row(connection, kind, name, version)
            connection.execute(sa.delete(aliases).where(this))
            reach("registry.alias_lifted")
            if version is not None:
                connection.execute(
                    sa.insert(aliases).values(
                        kind=kind, name=name, alias=alias, version=version, moved=time_text(now())
                    )
                )
        reach("registry.alias_moved")

    def set_tag(
        self, kind: str, name: str, version: int | str | None, key: str, value: str | None
    ) -> Version:
        """Sets a tag of a version, or removes it (None). Tags are notes about a version and not part of it:
        its content, hash and lineage stay as they are.

        Raises:
            NotFound: there is no such version, or it was deleted.
            UsageError: the key or the value is not text.
        """
        check_tags({key: "" if value is None else value})
        with self.database.write() as connection:
            row = find_row(connection, kind, name, version)
            tags = {k: v for k, v in load_json(row["tags_json"]).items() if k != key}
            if value is not None:
                tags[key] = value
            text = dump_json(tags, f"The tags of {kind} {name!r}")
            this = versions.c.seq == row["seq"]
            connection.execute(sa.update(versions).where(this).values(tags_json=text))
            changed = connection.execute(sa.select(versions).where(this)).mappings().one()
            return version_of(connection, changed)

    def list(self, kind: str | None = None) -> builtins.list[Version]:
        """The latest version of every name (of one kind, or of all) that is not deleted, sorted."""
        query = sa.select(*FACTS).where(versions.c.deleted.is_(None)).order_by(versions.c.version)
        if kind is not None:
            query = query.where(versions.c.kind == kind)
        with self.database.read() as connection:
            rows = {(row["kind"], row["name"]): row for row in connection.execute(query).mappings()}
            return versions_of(connection, [rows[key] for key in sorted(rows)])

    def versions(self, kind: str, name: str) -> builtins.list[Version]:
        """Every version of a name, the first first, tombstones included; [] where there is none."""
        query = sa.select(*FACTS).where(versions.c.kind == kind, versions.c.name == name)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(versions.c.version)).mappings().all()
            return versions_of(connection, rows, aliases.c.kind == kind, aliases.c.name == name)

    def delete(
        self,
        kind: str,
        name: str,
        version: int,
        *,
        reason: str | None = None,
        by: str | None = None,
        force: bool = False,
    ) -> Version:
        """Removes a version's content and leaves a tombstone with its number, hash and lineage.

        Args:
            reason, by: kept in the tombstone; whoever loads the version later is told.
            force: also remove the aliases that point at it.

        Returns:
            The tombstone.

        Raises:
            NotFound: there is no such version, or it was deleted already.
            Conflict: an alias points at it, and `force` is False.
        """
        with self.database.write() as connection:
            row = find_row(connection, kind, name, version)
            found = version_of(connection, row)
            if found.aliases and not force:
                raise Conflict(
                    f"Alias {found.aliases[0]!r} points at version {found.version} of {kind} {name!r}.",
                    "Move or remove the alias first, or force the deletion, which removes it.",
                )
            connection.execute(
                sa.delete(aliases).where(
                    aliases.c.kind == kind, aliases.c.name == name, aliases.c.version == found.version
                )
            )
            connection.execute(sa.delete(blobs).where(blobs.c.version_seq == row["seq"]))
            reach("registry.blobs_deleted")
            connection.execute(
                sa.update(versions)
                .where(versions.c.seq == row["seq"])
                .values(payload_json=None, deleted=time_text(now()), deleted_by=by, deleted_reason=reason)
            )
            tombstone = connection.execute(sa.select(versions).where(versions.c.seq == row["seq"]))
            return version_of(connection, tombstone.mappings().one())

    def check(self) -> builtins.list[str]:
        """What is wrong with the registered versions, a line each; [] where all match their hashes."""
        from judge_opt.registry.check import check_versions

        return check_versions(self.database)

    def diff(self, kind: str, name: str, a: int | str, b: int | str) -> builtins.list[str]:
        """What changed from version `a` to `b`, in words, one change an entry; [] where nothing did.

        Raises:
            NotFound, IntegrityError: as `get`.
        """
        _, before, blobs_before = self.get(kind, name, a)
        _, after, blobs_after = self.get(kind, name, b)
        return diffs.diff_payloads(before, after) + diffs.diff_blobs(blobs_before, blobs_after)

    def export_bundle(self, kind: str, name: str, version: int | str | None, folder: str | Path) -> Path:
        """Writes a version to a folder: see `judge_opt.registry.bundles`."""
        from judge_opt.registry.bundles import export_bundle

        return export_bundle(self, kind, name, version, folder)

    def import_bundle(self, folder: str | Path, *, trust_base_url: bool = False) -> Version:
        """Registers the version in a folder: see `judge_opt.registry.bundles`."""
        from judge_opt.registry.bundles import import_bundle

        return import_bundle(self, folder, trust_base_url=trust_base_url)


def _insert(connection: sa.Connection, row: dict[str, Any], data: dict[str, bytes]) -> Version:
    of_name = sa.and_(versions.c.kind == row["kind"], versions.c.name == row["name"])
    newest = sa.select(*FACTS).where(of_name).order_by(versions.c.version.desc()).limit(1)
    last = connection.execute(newest).mappings().first()
    if last is not None and last["deleted"] is None and last["content_hash"] == row["content_hash"]:
        if row["trusted"] and last["trusted"] is False:
            connection.execute(sa.update(versions).where(versions.c.seq == last["seq"]).values(trusted=True))
            last = connection.execute(newest).mappings().one()
        return version_of(connection, last)
    number = 1 if last is None else last["version"] + 1
    if number > MAX_VERSION:
        raise UsageError(f"{row['kind']} {row['name']!r} has no version numbers left.", "Use a new name.")
    row = {**row, "version": number}
    seq = connection.execute(
        sa.insert(versions).values(**row, record_hash=record_hash(row)).returning(versions.c.seq)
    ).scalar_one()
    reach("registry.row_inserted")
    if data:
        rows = [{"version_seq": seq, "name": key, "data": value} for key, value in sorted(data.items())]
        connection.execute(sa.insert(blobs), rows)
    stored = connection.execute(sa.select(*FACTS).where(versions.c.seq == seq)).mappings().one()
    return version_of(connection, stored)


def _at(version: Expected) -> str:
    return "nothing" if version is None else f"version {version}"
