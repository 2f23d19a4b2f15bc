"""A PostgreSQL server of the test run's own: made in a temporary folder, and gone with it.

It listens on a Unix socket in that folder and nowhere else, so that it meets no other server. PostgreSQL
refuses to run as root; then it runs as another user. The kernel ends it when the test run dies, however
that happens.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_USER = "judge"


class NoPostgres(Exception):
    """There is none on this machine."""


def binaries() -> Path:
    """The folder of initdb and postgres, of the newest release that is installed."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()],
        reverse=True,
    )
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres("no PostgreSQL: install Debian's package postgresql, or put initdb on the PATH")


class Cluster:
    """A running server. `new_database` gives the URL of an empty database, or of a copy of another one."""

    def __init__(self) -> None:
        programs = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="jo_pg_"))  # short: a socket's path has 107 characters
        self._names = count(1)
        self._owner: pwd.struct_passwd | None = None
        try:
            if os.geteuid() == 0:
                self._owner = _unprivileged()
                os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
            data = self.folder / "data"
            made = self._start(
                [
                    programs / "initdb",
                    "-D",
                    data,
                    "-U",
                    _USER,
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "--data-checksums",
                ]
            )
            if made.wait(120) != 0:
                raise RuntimeError(f"initdb failed:\n{self.log()}")
            self._server = self._start([
                programs / "postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=",
                "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "max_connections=200",
            ])  # fmt: skip
            self._wait()
        except BaseException:
            self.stop()
            raise

    def new_database(self, like: str | None = None, encoding: str = "UTF8") -> str:
        """Args:
        like: the URL of a database that nobody is connected to, to copy.
        """
        name = f"test_{next(self._names)}"
        template = "template0" if like is None else like.partition("?")[0].rpartition("/")[2]
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING '{encoding}'")
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def damaged_copy(self, url: str, table: str, change: Callable[[bytes], bytes]) -> str:
        """A copy of a database, with the server's file of one table changed on disk before the server reads it.

        Args:
            url: a database that nobody is connected to.
        """
        import psycopg

        name, original = f"test_{next(self._names)}", url.partition("?")[0].rpartition("/")[2]
        self._execute(f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY FILE_COPY")
        with psycopg.connect(host=str(self.folder), user=_USER, dbname=original) as connection:
            row = connection.execute("SELECT pg_relation_filenode(%s::regclass)", (table,)).fetchone()
        with self._connect() as connection:
            found = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", (name,)).fetchone()
        file = self.folder / "data" / "base" / str(found[0]) / str(row[0])
        file.write_bytes(change(file.read_bytes()))
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        name = url.partition("?")[0].rpartition("/")[2]
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def end_connection(self, pid: int) -> None:
        """Ends a client's connection from the server's side, and waits until it has ended."""
        self._execute(f"SELECT pg_terminate_backend({pid}, 60000)")

    def limit_files(self, pid: int, size: int) -> None:
        """For one client's connection, the disk is full once a file has `size` bytes."""
        limited = self._start(["prlimit", f"--pid={pid}", f"--fsize={size}"])
        assert limited.wait(60) == 0, self.log()

    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else "(no log)"

    def stop(self) -> None:
        server = getattr(self, "_server", None)
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGQUIT)  # at once: what is in it is thrown away
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, command: list[object]) -> "subprocess.Popen[bytes]":
        owner, parent = self._owner, os.getpid()
        libc = ctypes.CDLL(None)

        def prepare() -> None:
            if owner is not None:
                os.setgroups([])
                os.setgid(owner.pw_gid)
                os.setuid(owner.pw_uid)
            if sys.platform == "linux":  # after setuid, which clears it
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
                if os.getppid() != parent:
                    os._exit(1)

        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it in order
                preexec_fn=prepare,
            )

    def _connect(self) -> "object":
        import psycopg

        return psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True)

    def _wait(self) -> None:
        import psycopg

        deadline = time.monotonic() + 120
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"The PostgreSQL server did not start:\n{self.log()}") from None
                time.sleep(0.05)

    def _execute(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("PostgreSQL does not run as root, and there is no user postgres or nobody")
