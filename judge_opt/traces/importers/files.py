"""Bytes and JSON values of a file, one by one: memory holds one value, never the file."""

import gzip
import json
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from judge_opt.core.errors import DataError
from judge_opt.core.text import nearest
from judge_opt.traces.importers.report import Skipped

MAX_ROW = 256 * 2**20
"""Longest line, and largest single JSON document, in bytes: the ceiling of what is in memory at once."""

_BLOCK = 1 << 16
_DAMAGED = "Export or download it again; what was read before is stored, and importing again is safe."

Found = tuple[int, Any]
"""A line number, from 1, and the value that begins there: a JSON value, or a Skipped."""


def existing(path: str | Path) -> Path:
    """The path, if it is a file that can be read.

    Raises:
        DataError: it is not; the nearest name in the same folder is suggested.
    """
    file = Path(path).expanduser()
    try:
        if file.is_dir():
            raise DataError(f"{file} is a folder.", "Give the path of one file.")
        if not file.exists():
            folder = file.parent
            names = [other.name for other in folder.iterdir()] if folder.is_dir() else []
            raise DataError(f"There is no file {file}.{nearest(file.name, names)}", "Check the path.")
        file.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{str(file)[:300]!r} cannot be read: {reason}.", "Check its permissions.") from None
    return file


def is_folder(path: str | Path) -> bool:
    """True for a folder; False for what cannot be a path at all, which `existing` then names."""
    try:
        return Path(path).expanduser().is_dir()
    except (OSError, ValueError):
        return False


def suffix_of(path: str | Path) -> str:
    """The lower-case ending that tells the format, without a final .gz."""
    name = str(path).lower().removesuffix(".gz")
    return Path(name).suffix


def open_bytes(file: Path) -> IO[bytes]:
    """The file's bytes; a name that ends in .gz is unpacked on the way."""
    if file.name.lower().endswith(".gz"):
        return gzip.open(file, "rb")  # type: ignore[return-value]
    return file.open("rb")


def read_json(file: Path) -> Iterator[Found]:
    """The values of a file of JSON: one a line, the items of one array, or one document.

    A line that is not JSON, or longer than 256 MiB, is a Skipped, and reading goes on.

    Raises:
        DataError: the file cannot be unpacked, or is damaged so that its next value cannot be found.
    """
    try:
        with open_bytes(file) as stream:
            first = _first_line(stream)
            stream.seek(0)
            if first.lstrip(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
                yield from _array(stream, file)
            elif suffix_of(file) == ".json" and not _complete(first):
                yield from _document(stream, file)
            else:
                yield from read_lines(stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{file.name} cannot be unpacked ({error}).", _DAMAGED) from None
    except OSError as error:
        raise DataError(f"{file.name} cannot be read ({error.strerror or error}).", _DAMAGED) from None


def read_lines(stream: IO[bytes]) -> Iterator[Found]:
    """The values of JSON Lines; blank lines are passed over."""
    line = 0
    while raw := stream.readline(MAX_ROW):
        line += 1
        if len(raw) >= MAX_ROW and not raw.endswith(b"\n"):
            _pass_over(stream)
            yield line, Skipped(line, "", f"the line is longer than {MAX_ROW >> 20} MiB")
        elif raw.strip():
            yield line, parse(raw, line)


def parse(raw: bytes, line: int) -> Any:
    """The JSON value of one line, or a Skipped that says what is wrong with it."""
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return Skipped(line, "", f"it is not UTF-8 (byte {error.start + 1})")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return Skipped(line, "", "it is nested too deeply")
    except json.JSONDecodeError as error:
        return Skipped(line, "", f"it is not JSON ({error.msg}, column {error.colno})")
    except ValueError as error:
        return Skipped(line, "", f"it is not JSON ({error})")


def _first_line(stream: IO[bytes]) -> bytes:
    """The first line that is not blank."""
    while raw := stream.readline(MAX_ROW):
        if raw.strip(b" \t\r\n\xef\xbb\xbf"):
            return raw
    return b""


def _complete(line: bytes) -> bool:
    return not isinstance(parse(line, 1), Skipped)


def _pass_over(stream: IO[bytes]) -> None:
    while (rest := stream.readline(_BLOCK)) and not rest.endswith(b"\n"):
        pass


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _document(stream: IO[bytes], file: Path) -> Iterator[Found]:
    raw = stream.read(MAX_ROW + 1)
    if len(raw) > MAX_ROW:
        raise DataError(
            f"{file.name} is one JSON document of more than {MAX_ROW >> 20} MiB.",
            "Export it as JSON Lines, which is read line by line.",
        )
    value = parse(raw, 1)
    if isinstance(value, Skipped):
        raise DataError(f"{file.name}: {value.reason}.", _DAMAGED)
    yield 1, value


def _array(stream: IO[bytes], file: Path) -> Iterator[Found]:
    """The items of one JSON array, decoded as the text comes in."""
    text = _Text(stream, file)
    text.expect("[")
    if text.peek() == "]":
        return
    while True:
        text.peek()
        line = text.line
        yield line, text.value()
        if text.peek() == "]":
            return
        text.expect(",")


class _Text:
    """The text of a stream, of which only what was not taken yet is in memory."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self.line = 1
        self._stream = stream
        self._file = file
        self._decode = getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder(parse_constant=_no_constant)
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in " \t\r\n":
                    return character
                self.line += character == "\n"
                self._at += 1
            if not self._more(_BLOCK):
                return ""

    def expect(self, character: str) -> None:
        if self.peek() != character:
            self._broken(f"{character!r} is missing")
        self._at += 1

    def value(self) -> Any:
        size = _BLOCK
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
                # A number at the very end of the text could go on in the next block.
                if end < len(self._text) or self._ended:
                    self.line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value
            except RecursionError:
                self._broken("an item is nested too deeply")
            except json.JSONDecodeError as error:
                if self._ended:
                    self._broken(error.msg)
            except ValueError as error:
                self._broken(str(error))
            size *= 2  # so that an item of any size is tried a few times only
            self._more(size)

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        block = self._stream.read(size)
        self._ended = not block
        try:
            text = self._decode.decode(block, final=self._ended)
        except UnicodeDecodeError:
            self._broken("it is not UTF-8")
        self._text = self._text[self._at :] + text
        self._at = 0
        if len(self._text) > MAX_ROW:
            self._broken(f"an item is longer than {MAX_ROW >> 20} Mi characters")
        return True

    def _broken(self, reason: str) -> None:
        raise DataError(
            f"{self._file.name} cannot be read on from line {self.line}: {reason}.", _DAMAGED
        ) from None
