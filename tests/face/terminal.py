"""A `dibs` before a terminal: what it draws there on stderr can be read as it comes."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Self

from tests.face.processes import PATIENCE_S, clean, python_m_dibs

SIZE = struct.pack("HHHH", 40, 160, 0, 0)
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_BAR = re.compile(r"(\d+)/(\d+) ")


class Terminal:
    """Runs one command; `with` kills it if it still runs."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self.process = subprocess.Popen(
            python_m_dibs(*arguments),
            env=clean({"TERM": "xterm", **environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self.drawn = ""

    def bars(self) -> Iterator[tuple[int, int]]:
        """What each drawing of the bar says is done, and of how many, until the command ends."""
        give_up_at = time.monotonic() + PATIENCE_S * 4
        seen = 0
        while True:
            assert time.monotonic() < give_up_at, f"it does not end: {self.drawn[-2000:]}"
            found = list(_BAR.finditer(_CONTROLS.sub("", self.drawn)))
            for bar in found[seen:]:
                yield int(bar[1]), int(bar[2])
            seen = len(found)
            if not self._read():
                return

    def until_drawn(self, text: str) -> None:
        """Return once `text` stands there."""
        while text not in self.drawn:
            assert self._read(), f"it ended without {text!r}: {self.drawn[-2000:]}"

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], PATIENCE_S)[0]:
            return True
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.drawn += read.decode(errors="replace")
        return bool(read)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it wrote to stdout."""
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._ours)
