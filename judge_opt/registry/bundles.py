"""A version as a folder, to hand to somebody else: JSON, blob files and their checksums.

    bundle.json     kind, name, version, hash, tags, lineage, payload
    blobs/<name>    as they are
    SHA256SUMS      of both, in the format of sha256sum; written last, so that a half-written bundle has none

A bundle is read as hostile: no archive to unpack, no pickle, no link followed, no file that the checksums
do not list, no name outside the allow-list.
"""

import json
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import DataError, IntegrityError, NotFound, UsageError
from judge_opt.core.files import write_bytes
from judge_opt.registry.names import check_name
from judge_opt.registry.versions import Version, artefact_hash
from judge_opt.traces.json_text import dump_json

if TYPE_CHECKING:
    from judge_opt.registry.registry import Registry

SCHEMA = 1
_MAIN = "bundle.json"
_SUMS = "SHA256SUMS"
_BLOBS = "blobs"
_AGAIN = "Ask for the bundle again from its source."


def export_bundle(
    registry: "Registry", kind: str, name: str, version: int | str | None, folder: str | Path
) -> Path:
    """Writes a version to `folder`, which must be empty or new, and returns the folder.

    Raises:
        NotFound, IntegrityError: as `Registry.get`.
        UsageError: the folder is not empty.
    """
    target = Path(folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder.", "Give a new folder.")
    found, payload, blobs = registry.get(kind, name, version)
    content = {
        "schema": SCHEMA,
        "kind": found.kind,
        "name": found.name,
        "version": found.version,
        "content_hash": found.content_hash,
        "created": found.created.isoformat(),
        "tags": dict(found.tags),
        "lineage": dict(found.lineage),
        "payload": payload,
    }
    dump_json(content, "The bundle")
    files = {_MAIN: json.dumps(content, indent=1, sort_keys=True).encode("ascii")}
    files |= {f"{_BLOBS}/{blob}": data for blob, data in sorted(blobs.items())}
    for path, data in files.items():
        write_bytes(target / path, data)
    sums = "".join(f"{sha256(data).hexdigest()}  {path}\n" for path, data in files.items())
    write_bytes(target / _SUMS, sums.encode("ascii"))
    return target


def import_bundle(registry: "Registry", folder: str | Path, *, trust_base_url: bool = False) -> Version:
    """Registers the version in `folder` under its kind and name, with the next number here.

    Idempotent like `Registry.register`.

    Args:
        trust_base_url: the addresses of endpoints in it are known to be good: without this a judge from a
            bundle is not loaded with them, since it would send there what it judges, and your keys.

    Raises:
        NotFound: there is no such folder.
        IntegrityError: a file is missing, added, changed or a link, or a name is not allowed; names it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotFound(f"There is no folder {root}.", "Give the folder that export_bundle wrote.")
    files = _read_all(root)
    content = _content(files.pop(_MAIN), root)
    blobs = {path.removeprefix(f"{_BLOBS}/"): data for path, data in files.items()}
    try:
        matches = artefact_hash(content["payload"], blobs) == content["content_hash"]
    except RecursionError:
        raise IntegrityError(f"{root / _MAIN} is nested too deeply.", _AGAIN) from None
    if not matches:
        raise IntegrityError(f"{root / _MAIN} does not match its content hash.", _AGAIN)
    try:
        return registry.register(
            content["kind"],
            content["name"],
            content["payload"],
            blobs,
            content["lineage"],
            content["tags"],
            trusted=trust_base_url,
        )
    except (UsageError, DataError) as error:
        raise IntegrityError(f"{root / _MAIN}: {error.message}", _AGAIN) from None


def _read_all(root: Path) -> dict[str, bytes]:
    """Every listed file, verified, by its path in the bundle."""
    sums = _sums(root)
    present = {_SUMS}
    for place, folders, names in os.walk(root):  # links to folders are listed here, and not entered
        inside = Path(place).relative_to(root)
        present |= {(inside / name).as_posix() for name in names}
        for name in folders:
            if (Path(place) / name).is_symlink() or (inside / name).as_posix() != _BLOBS:
                raise IntegrityError(f"{Path(place) / name} does not belong in a bundle.", _AGAIN)
    unlisted = sorted(present - sums.keys() - {_SUMS})
    if unlisted:
        raise IntegrityError(f"{root / unlisted[0]} is not listed in {_SUMS}.", _AGAIN)
    files = {}
    for path, digest in sums.items():
        data = _read(root / path)
        if sha256(data).hexdigest() != digest:
            raise IntegrityError(f"{root / path} does not match its checksum.", _AGAIN)
        files[path] = data
    if _MAIN not in files:
        raise IntegrityError(f"{root / _SUMS} does not list {_MAIN}.", _AGAIN)
    return files


def _sums(root: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    for line in _read(root / _SUMS).decode("ascii", "backslashreplace").splitlines():
        digest, _, path = line.partition("  ")
        parts = path.split("/")
        allowed = path == _MAIN or (len(parts) == 2 and parts[0] == _BLOBS)
        if not allowed:
            raise IntegrityError(f"{root / _SUMS} lists {ascii(path)[:80]}, outside the bundle.", _AGAIN)
        try:
            check_name(parts[-1], "file name")
        except UsageError as error:
            raise IntegrityError(f"{root / _SUMS}: {error.message}", _AGAIN) from None
        sums[path] = digest
    return sums


def _read(path: Path) -> bytes:
    """A regular file's bytes; a link is refused by the system call itself, so that none can slip in between
    a check and the reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise IntegrityError(f"{path} {reason}.", _AGAIN) from None
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise IntegrityError(f"{path} is not a regular file.", _AGAIN)
        return stream.read()


def _content(data: bytes, root: Path) -> dict[str, Any]:
    file = root / _MAIN
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise IntegrityError(f"{file} is not JSON.", _AGAIN) from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise IntegrityError(
            f"{file} is of schema {str(found)[:20]}; this judge_opt reads {SCHEMA}.",
            "Upgrade judge_opt, or ask for a bundle of this schema.",
        )
    shape = {"kind": str, "name": str, "content_hash": str, "tags": dict, "lineage": dict, "payload": dict}
    for key, kind in shape.items():
        if not isinstance(content.get(key), kind):
            raise IntegrityError(f"{file} has no valid {key!r}.", _AGAIN)
    return content
