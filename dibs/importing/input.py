"""A file that can be read again and again, whatever it came from."""

import codecs
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from dibs.importing.faults import Fault, FileFault

LONGEST_LINE = 16 * 1024 * 1024
"""Far above what a server takes; a file without any line end must not be held whole."""

STDIN = "-"

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_8_MARK = "\ufeff"


class Input:
    """The lines of `file`, in `encoding`, as often as they are wanted."""

    def __init__(self, name: str, file: BinaryIO, encoding: str) -> None:
        self.name = name
        self._file = file
        self._encoding = encoding
        self._state = self._stat()

    def check_unchanged(self) -> None:
        """Raises `FileFault` where somebody has written to the file since it was opened."""
        if self._stat() != self._state:
            raise FileFault([], f"{self.name} was changed while it was read")

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def lines(self) -> Iterator[str]:
        """Each line with its end, without a byte order mark; raises `FileFault`."""
        self._file.seek(0)
        number = 0
        while raw := self._file.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                raise FileFault([Fault(number, f"has no end within {LONGEST_LINE >> 20} MiB")])
            yield self._decoded(raw, number)

    def _decoded(self, raw: bytes, number: int) -> str:
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            told = f"byte {error.start + 1} is not {self._encoding}; say what it is, such as --encoding cp1252"
            raise FileFault([Fault(number, told)]) from None
        return text.removeprefix(UTF_8_MARK) if number == 1 else text


@contextmanager
def opened(path: str, encoding: str) -> Iterator[Input]:
    """The file at `path`, or stdin; raises `FileFault`.

    What cannot be read twice, such as a pipe, is first read to its end into a temporary file, and so is what is not
    an encoding in which a line ends with one byte.
    """
    name = "stdin" if path == STDIN else path
    with ExitStack() as stack:
        try:
            file: BinaryIO = sys.stdin.buffer if path == STDIN else stack.enter_context(open(path, "rb"))  # noqa: PTH123  # as given
            if not file.seekable():
                file = _spooled(stack, file)
        except OSError as error:
            raise FileFault([], f"{name} cannot be read: {error.strerror}") from None
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError:
            raise FileFault([], f"--encoding: there is no {encoding}") from None
        file.seek(0)
        if file.read(2) in UTF_16_MARKS:
            encoding = "utf-16"
        if "\n".encode(encoding) != b"\n":
            file, encoding = _as_utf_8(stack, name, file, encoding), "utf-8"
        yield Input(name, file, encoding)


def _spooled(stack: ExitStack, file: BinaryIO) -> BinaryIO:
    copy = _temporary(stack)
    shutil.copyfileobj(file, copy)
    copy.flush()
    return copy


def _as_utf_8(stack: ExitStack, name: str, file: BinaryIO, encoding: str) -> BinaryIO:
    copy = _temporary(stack)
    file.seek(0)
    try:
        for text in codecs.getreader(encoding)(file):
            copy.write(text.encode())
    except UnicodeError as error:
        raise FileFault([], f"{name} is not {encoding}: {error}") from None
    copy.flush()
    return copy


def _temporary(stack: ExitStack) -> BinaryIO:
    return cast("BinaryIO", stack.enter_context(tempfile.TemporaryFile()))  # it is one
