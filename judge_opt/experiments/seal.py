"""The files of a run that ended, with their checksums, so that a changed result is not taken for the measured one.

`SHA256SUMS` is in the format of sha256sum and written last: a run without it is not over, or was made by a
release before there were any. The judge's folder has hashes of its own.
"""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from judge_opt.core.errors import IntegrityError
from judge_opt.core.files import write_text
from judge_opt.core.hashing import file_sha256

SUMS = "SHA256SUMS"
FILES = ("split.json", "results.json", "report.json", "report.html", "report.md")
AGAIN = "Run its configuration again: its calls are in the cache."


def seal(folder: Path) -> None:
    """Writes the checksums of a run's files."""
    sums = {name: file_sha256(folder / name) for name in FILES}
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def unseal(folder: Path) -> None:
    """Before files are written again: a run that is stopped half-way is unfinished and not damaged."""
    with suppress(FileNotFoundError):
        (folder / SUMS).unlink()


def sealed_bytes(file: Path) -> bytes:
    """A file of a run, verified where the run was sealed.

    Raises:
        IntegrityError: it is not what was measured.
    """
    data = file.read_bytes()
    sums = file.parent / SUMS
    if sums.is_file():
        lines = sums.read_text("ascii", "backslashreplace").splitlines()
        if f"{sha256(data).hexdigest()}  {file.name}" not in lines:
            raise IntegrityError(f"{file} was changed after the run: it does not match {SUMS}.", AGAIN)
    return data
