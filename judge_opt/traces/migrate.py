"""Brings a database to the schema of this release, with the Alembic migrations that the package ships.

A new migration is a new file in `migrations/versions/` and the new `HEAD`. Alembic is loaded only where
there is something to do: an open database at `HEAD` costs one query.
"""

import logging
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from judge_opt.core.errors import IntegrityError

if TYPE_CHECKING:
    from judge_opt.traces.database import Database

_log = logging.getLogger(__name__)

HEAD = "0004"
VERSION_TABLE = "judge_opt_version"  # not Alembic's default name: the server may be shared with MLflow
_ONE_AT_A_TIME = Lock()  # Alembic keeps the migration that runs in a module variable
FOLDER = Path(__file__).parent / "migrations"


def upgrade(database: "Database") -> None:
    """Migrates `database` to `HEAD`. All or nothing, by one process at a time.

    Raises:
        IntegrityError: the database is at a revision that this release does not know.
    """
    with database.read() as connection:
        if _revision(connection) == HEAD:
            return
    with database.write() as connection:
        found = _revision(connection)  # again: another process may have migrated while we waited
        if found == HEAD:
            return
        with _ONE_AT_A_TIME:
            migrate(connection, found, database.name)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(
        sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))
    ).scalar()
    return None if found is None else str(found)


def migrate(connection: sa.Connection, found: str | None, name: str, target: str = HEAD) -> None:
    """Runs the migrations from revision `found` (None: an empty database) to `target`, in the caller's
    transaction.

    Raises:
        IntegrityError: `found` is not known to this release.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise IntegrityError(
            f"{name} was written by a newer judge_opt (schema {found}; this one knows up to {HEAD}).",
            "Upgrade with: pip install -U judge-opt; or choose another database.",
        )

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(target, revision)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=target) as environment:
        environment.configure(
            connection=connection,
            target_metadata=all_tables(),
            version_table=VERSION_TABLE,
            transactional_ddl=True,
        )
        environment.run_migrations()
    if found is not None:
        _log.warning(
            "%s was migrated from schema %s to %s; older releases of judge_opt cannot open it any more.",
            name,
            found,
            target,
        )


def all_tables() -> sa.MetaData:
    """The metadata with every package's tables in it."""
    from judge_opt.traces.database import metadata

    for module in (
        "judge_opt.traces.tables",
        "judge_opt.traces.label_rules",
        "judge_opt.labels.held_out",
        "judge_opt.labels.queues.tables",
        "judge_opt.registry.tables",
    ):
        import_module(module)
    return metadata
