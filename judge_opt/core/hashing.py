"""Content addresses: the same content has the same name, on every machine and in every process."""

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """ASCII JSON with sorted keys and no white space; what is not ASCII is escaped, so that hostile text
    (lone surrogates) has a hash too.

    Raises:
        TypeError: `value` holds something that JSON cannot express.
        ValueError: it holds NaN or an infinity.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def content_hash(value: Any) -> str:
    """SHA-256, as 64 hex digits, of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
