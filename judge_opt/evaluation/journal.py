"""The journal of an evaluation: what each row got, written before anything else happens with it.

One JSON object a line, each with its checksum, appended with one `write` call, which a killed process cannot
take back. `sync` makes the lines survive a power cut too. A last line that was cut by a kill is dropped when
the journal is opened again; any other line that does not match its checksum is an error.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from judge_opt.core.errors import Conflict, IntegrityError, UsageError

NAME = "journal.jsonl"
_SUM = 16


def json_bytes(value: Any) -> bytes:
    """JSON with sorted keys on one line. Equal values have equal bytes; any text has some (lone surrogates
    and huge whole numbers, which orjson refuses, are written by the standard library).

    Raises:
        ValueError, TypeError: NaN, or an object that is no JSON value.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        ).encode()


def read_json(data: bytes) -> Any:
    """The inverse of `json_bytes`.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


class Journal:
    """An open journal. One process at a time; safe from many threads. Once it is closed nothing can be
    appended: a thread that was left behind by a second Ctrl-C must not write into another file that got the
    same number.

    Args:
        run_id: the run's; it stands in the first line, so that the journal of another run is not taken for it.

    Raises:
        Conflict: another process has it open.
        UsageError: the folder cannot be written.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written ({error.strerror}).", "Choose another home."
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Conflict(
                f"Evaluation {folder.name!r} is running in another process.",
                "Wait for it, or give this one another run_id.",
            ) from None
        self._drop_torn_tail()
        if not os.fstat(self._file).st_size:
            self.append({"run": run_id})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Hand a line to the system: it survives the end of this process."""
        body = json_bytes(entry)
        line = body + b"\t" + _checksum(body) + b"\n"
        with self._lock:
            before = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, line)
                while written < len(line):
                    written += os.write(self._file, line[written:])
            except OSError:  # the disk is full: no half line may stand before the next one
                os.ftruncate(self._file, before)
                raise

    def sync(self) -> None:
        """Wait until every line is on the disk."""
        with self._lock:
            os.fsync(self._file)

    def close(self) -> None:
        """Sync, and let other processes have it."""
        with self._lock:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _drop_torn_tail(self) -> None:
        size = os.fstat(self._file).st_size
        end, step = size, 1 << 16
        while end > 0:
            begin = max(0, end - step)
            at = os.pread(self._file, end - begin, begin).rfind(b"\n")
            if at >= 0:
                end = begin + at + 1
                break
            end = begin
        if end < size:
            os.ftruncate(self._file, end)


def read_journal(folder: Path, run_id: str) -> Iterator[dict[str, Any]]:
    """The entries in the order in which they were written; none where there is no journal yet.

    Raises:
        IntegrityError: a line was changed or damaged, or it is the journal of another run; the message names
            it.
    """
    path = folder / NAME
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return  # cut by a kill: never acknowledged
            body, _, checksum = line[:-1].rpartition(b"\t")
            if _checksum(body) != checksum:
                raise IntegrityError(
                    f"{path} line {number} does not match its checksum.",
                    "Restore the file from a backup, or evaluate again under another run_id.",
                )
            entry: dict[str, Any] = read_json(body)
            if number > 1:
                yield entry
            elif entry != {"run": run_id}:
                raise IntegrityError(
                    f"{path} is the journal of another run.", "Restore the file from a backup."
                )


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_SUM].encode()
