"""An index on the disk: a cache that may be missing, old or damaged, and then is built again from the rows.

Two files beside the rows: `<name>.index.json`, the pointer, says which data file holds the index, its SHA-256,
which rows it was built from and up to which change. The data file is written first under a name of its own,
then the pointer is replaced, then the old data file is deleted: a crash at any point leaves a pointer to a
whole file, or to none. faiss reads damaged files without an error more often than not, so nothing is given to
it before the hash was compared.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from judge_opt.core.files import write_bytes
from judge_opt.core.hashing import canonical_json, content_hash, file_sha256
from judge_opt.core.killpoints import reach
from judge_opt.memory.index import VectorIndex, read_index

logger = logging.getLogger(__name__)
SCHEMA = 1
_LEFT_S = 3600


class IndexFile:
    """The index beside a file of rows.

    Args:
        rows: the path of the rows.
        about: what the index has to have been built for (embedding model, dimension, ...): JSON values. A
            file that was built for anything else is not used.
    """

    def __init__(self, rows: Path, about: Mapping[str, Any]) -> None:
        self.pointer = rows.with_name(rows.name + ".index.json")
        self.about = {"schema": SCHEMA, **about}

    def load(self) -> tuple[VectorIndex, int, int] | None:
        """The index, the last change that it has seen, and the digest of the rows then; None, with the reason
        logged, where it has to be built anew."""
        if not self.pointer.exists():
            return None
        try:
            body = json.loads(self.pointer.read_bytes())
            stated = body.pop("content_hash")
            if content_hash(body) != stated:
                raise ValueError("does not match its hash")
            if body["about"] != self.about:
                raise ValueError("was built for another embedding model, dimension or release")
            data = self.pointer.with_name(Path(body["data"]).name)
            if not data.is_file():
                raise ValueError(f"names {data.name}, which is missing")
            if file_sha256(data) != body["sha256"]:
                raise ValueError(f"names {data.name}, which does not match its hash")
            return read_index(data, body["index"]), int(body["seq"]), int(body["digest"], 16)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError) as error:
            why = f"{type(error).__name__}: {ascii(str(error))[:120]}"
            logger.warning(
                "%s cannot be used (%s): the index is built again from the rows", self.pointer, why
            )
            return None

    def save(self, index: VectorIndex, seq: int, digest: int) -> None:
        """Write the index, and drop the file that it takes the place of.

        Args:
            seq: the last change that it has seen.
            digest: of the rows then.

        Raises:
            OSError: the disk is full or the folder is read-only; the previous file is intact.
        """
        folder = self.pointer.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{self.pointer.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            described = index.write(temporary)
            reach("memory.index_half_written")
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            sha256 = file_sha256(temporary)
            data = self.pointer.with_name(self.pointer.name.removesuffix(".json") + f".{sha256[:16]}.faiss")
            os.chmod(temporary, 0o644)
            os.replace(temporary, data)
        except BaseException:
            _drop(temporary)
            raise
        reach("memory.index_written")
        body: dict[str, Any] = {
            "about": self.about,
            "data": data.name,
            "index": described,
            "seq": seq,
            "digest": f"{digest:064x}",
            "sha256": sha256,
        }
        write_bytes(self.pointer, canonical_json({**body, "content_hash": content_hash(body)}))
        reach("memory.pointer_written")
        stem = self.pointer.name.removesuffix(".json")
        for old in folder.glob(f"{stem}.*.faiss"):
            if old != data:
                _drop(old)
        for left in folder.glob(f".{self.pointer.name}.*.tmp"):  # of a process that was killed
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    _drop(left)


def _drop(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
