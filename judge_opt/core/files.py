"""Files that are either the old one or the new one, never half of each.

Written to a temporary name in the same folder, fsynced, renamed, and the folder fsynced. The cost is
two fsyncs a file; the gain is that a crash or a full disk leaves the previous file untouched.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically and durably. Makes the parent folder.

    Raises:
        OSError: the disk is full or the folder is read-only; the previous file is intact.
    """
    write_chunks(path, (data,))


def write_chunks(path: Path, chunks: Iterable[bytes]) -> str:
    """As `write_bytes`, of data that need not be in memory as a whole.

    Returns:
        The SHA-256 of what was written, in hexadecimal.
    """
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
                digest.update(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8; lone surrogates are written as their escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
