"""One database for traces, assessments and the registry: SQLite by default, any SQLAlchemy URL by choice.

There is one writer at a time, who waits at most a minute: `BEGIN IMMEDIATE` on SQLite, an advisory lock
on PostgreSQL. A transaction that read before it wrote can therefore neither fail half-way nor overwrite
what another process wrote in between. Readers never wait, and see one moment (WAL; REPEATABLE READ).
What was committed survives kill -9 and a power cut (`synchronous=FULL`; on PostgreSQL its
`synchronous_commit`, which is on by default, is switched on); the price is one fsync a commit, so batch
where you can.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool

from judge_opt.core.errors import Conflict, IntegrityError, JudgeOptError, NotFound, UsageError
from judge_opt.core.forks import no_fork
from judge_opt.core.killpoints import reach

BUSY_SECONDS = 60.0
_ADVISORY_LOCK = 0x6A6F7074  # "jopt"
_WRITE = "BEGIN IMMEDIATE"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of judge_opt. Packages add theirs; the migrations create them all."""


class SafeText(sa.types.TypeDecorator[str]):
    """Text of any code points, also NUL and lone surrogates, which drivers refuse: those and the backslash
    are stored as escapes. The mapping is one to one, so equality in SQL is equality of the texts."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        escaped = value.replace("\\", "\\\\").replace("\x00", "\\0")
        return escaped.encode("utf-8", "backslashreplace").decode("utf-8")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None or "\\" not in value:
            return value
        head, *parts = value.split("\\\\")
        return "\\".join(_unescape(part) for part in (head, *parts))


def _unescape(text: str) -> str:
    head, *rest = text.split("\\")
    for part in rest:
        if part.startswith("0"):
            head += "\x00" + part[1:]
        else:
            head += chr(int(part[1:5], 16)) + part[5:]
    return head


class Database:
    """An open database, at the schema of this release.

    Args:
        url: a file path (SQLite) or an SQLAlchemy URL.
        create: False refuses a file that does not exist instead of making it.

    Raises:
        NotFound: `create` is False and there is no such file.
        UsageError: the URL cannot be read, or the file or server cannot be opened.
        IntegrityError: the file is no database, is damaged, or was written by a newer judge_opt.
    """

    def __init__(self, url: str | Path, *, create: bool = True) -> None:
        self.url = _read_url(url)
        self._sqlite = self.url.get_backend_name() == "sqlite"
        self._memory = self._sqlite and self.url.database in (None, "", ":memory:")
        self._one_at_a_time = RLock() if self._memory else nullcontext()
        if self._sqlite and not self._memory:
            self._prepare_file(create)
        self._process = os.getpid()
        self._engine = self._connect()
        from judge_opt.traces.migrate import upgrade

        with self._errors():
            if self._sqlite and not self._memory:
                self._set_wal()
            if self.url.get_backend_name() == "postgresql":
                self._check_encoding()
            upgrade(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def name(self) -> str:
        """For messages: the file, or the URL without its password."""
        if self._sqlite:
            return self.url.database or ":memory:"
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot. Waits for nobody."""
        with self._errors(), self._one_at_a_time, self._live().connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction of the only writer: committed and durable when the block ends, undone if it raises.

        Raises:
            Conflict: another process held the lock for more than a minute.
        """
        engine = self._live().execution_options(judge_opt_begin=_WRITE)
        whole = no_fork() if self._sqlite else nullcontext()
        with self._errors(), self._one_at_a_time, whole, engine.begin() as connection:
            yield connection
            reach("database.commit")
        reach("database.committed")

    def close(self) -> None:
        """Gives the connections back. The object may be used again; it then reconnects."""
        self._live().dispose()

    def _live(self) -> Engine:
        """The engine; after a fork a fresh one, for a connection must not be shared by two processes."""
        if self._process != os.getpid():
            self._engine.dispose(close=False)
            self._process = os.getpid()
        return self._engine

    def _prepare_file(self, create: bool) -> None:
        file = Path(str(self.url.database))
        if not create and not file.exists():
            raise NotFound(f"There is no database {file}.", "Check the path, or create it by adding traces.")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"Cannot make the folder of {file}: {error}.", "Choose another path.") from None

    def _connect(self) -> Engine:
        options: dict[str, Any] = {}
        if self._sqlite:
            options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        if self._memory:
            options["poolclass"] = StaticPool
        if not self._sqlite:
            options["pool_pre_ping"] = True  # a server that was restarted is connected to again
        try:
            engine = sa.create_engine(self.url, **options)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{self.name} needs the package {error.name}.", "Run: pip install 'judge-opt[postgres]'."
            ) from None
        except (ArgumentError, sa.exc.NoSuchModuleError) as error:
            raise UsageError(f"Cannot read the database URL {self.name}: {error}.", _URL_REMEDY) from None
        if self._sqlite:
            event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin)
        return engine

    def _set_wal(self) -> None:
        """Several processes that open a new file at once can meet SQLITE_BUSY here without SQLite having
        waited (it returns at once where waiting could deadlock), hence the loop."""
        deadline = time.monotonic() + BUSY_SECONDS
        bare = self._engine.execution_options(judge_opt_begin="")  # WAL cannot be set in a transaction
        while True:
            try:
                with bare.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
            except DBAPIError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _check_encoding(self) -> None:
        with self._engine.connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise UsageError(
                f"{self.name} is encoded in {encoding}, which cannot hold every text.",
                "Make the database with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _explain(error, self.name) from error
        except UnicodeDecodeError as error:  # from the driver: a text column that is not UTF-8
            raise IntegrityError(
                f"{self.name} is damaged: it holds bytes that are no text ({error}).",
                "Restore it from a backup.",
            ) from error


_URL_REMEDY = "Give a file path, or a URL such as postgresql+psycopg://user@host/database."


def _read_url(url: str | Path) -> URL:
    text = str(url)
    if not text or "\x00" in text:
        raise UsageError(f"The database path {text!r} is no path.", _URL_REMEDY)
    if isinstance(url, Path) or "://" not in text:
        file = text if text == ":memory:" else str(Path(text).expanduser().absolute())
        return URL.create("sqlite", database=file)
    try:
        return make_url(text)
    except ArgumentError:
        # The text is not repeated: it may hold a password.
        raise UsageError("The database URL cannot be read.", _URL_REMEDY) from None


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts no transaction behind our back: `_begin` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    how = connection.get_execution_options().get("judge_opt_begin", "BEGIN")
    if connection.dialect.name == "sqlite":
        if how:
            connection.exec_driver_sql(how)
    elif connection.dialect.name == "postgresql":
        if how == _WRITE:
            connection.exec_driver_sql(
                f"SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}"
            )
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


_STATES = {
    "XX001": "damaged",
    "XX002": "damaged",
    "55P03": "locked",
    "53100": "full",
    "53200": "full",
    "25006": "readonly",
    "42501": "readonly",
}
"""PostgreSQL's codes of what the user can do something about."""

_WORDS = {
    "not a database": "damaged",
    "malformed": "damaged",
    "locked": "locked",
    "disk is full": "full",
    "disk I/O": "full",
    "could not extend file": "full",
    "could not write": "full",
    "unable to open": "readonly",
    "readonly": "readonly",
}


def _explain(error: DBAPIError, name: str) -> JudgeOptError:
    """The driver's error as ours."""
    text = " ".join(str(error.orig).split())
    what = _STATES.get(str(getattr(error.orig, "sqlstate", None)))
    what = what or next((found for words, found in _WORDS.items() if words in text), None)
    if what == "damaged":
        return IntegrityError(f"{name} is damaged or is no database ({text}).", "Restore it from a backup.")
    if what == "locked":
        return Conflict(
            f"Another process has been writing to {name} for over {BUSY_SECONDS:g} s.",
            "Wait for it to end, or stop it, and try again.",
        )
    if what == "full":
        return JudgeOptError(
            f"{name} could not be written ({text}); what was stored before is intact.",
            "Free some space and try again.",
        )
    if what == "readonly":
        return UsageError(
            f"{name} cannot be opened for writing ({text}).", "Check the path and its permissions."
        )
    if isinstance(error, OperationalError) and ("connection" in text or error.connection_invalidated):
        return UsageError(f"{name} cannot be reached ({text}).", "Check the URL and that the server runs.")
    return JudgeOptError(f"{name}: the database refused the operation ({text}).", "Report this as a bug.")
