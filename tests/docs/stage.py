"""Where a page's blocks are run: a directory that looks like a clean clone, with a shell in it."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Self

from tests.docs.blocks import ROOT, Block
from tests.services import free_port

PATIENCE_S = 60.0
CLONE = ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt")
IS_READY = re.compile(r"^dibs (\w+ )?(serves|works)|Uvicorn running|Starting worker", re.MULTILINE)
OUR_ADDRESS = "127.0.0.1:8000"
OUR_PORT = "--port 8000"


class Failed(Exception):  # noqa: N818
    """A block does not do what its page says."""


class Stage:
    """Runs blocks one after another; what one exports, writes or starts is there for the next."""

    def __init__(self, directory: Path, replacements: dict[str, str]) -> None:
        self._directory = directory
        self._port = free_port()
        self._replacements = {
            OUR_ADDRESS: f"127.0.0.1:{self._port}",
            OUR_PORT: f"--port {self._port}",
            **replacements,
        }
        self._started = 0
        for name in CLONE:
            (directory / name).symlink_to(ROOT / name)
        _install(directory / ".venv")
        (directory / ".curlrc").write_text("silent\nshow-error\n")
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIBS_", "OTEL_", "PYTEST"))}
        path = f"{self._directory}/.venv/bin:{os.environ['PATH']}"
        return {
            **kept,
            "PATH": path,
            "CURL_HOME": str(self._directory),
            "DIBS_PORT": str(self._port),
            "DIBS_URL": f"http://127.0.0.1:{self._port}",
            "COLUMNS": "200",
            "PYTHONPATH": str(self._directory),
        }

    def run(self, block: Block) -> None:
        if "skip" in block.options:
            return
        if "from" in block.options:
            _check_quotation(block)
        elif "file" in block.options:
            self._write(block)
        elif block.language == "python":
            (self._directory / "block.py").write_text(self._ours(block.text))
            self._type("python block.py", 0)
        elif block.language == "console" and "background" in block.options:
            self._serve(block)
        elif block.language == "console":
            for command in block.commands():
                output = self._type(command.typed, int(block.options.get("exit", "0")))
                if command.printed and not command.is_printed_by(self._theirs(output)):
                    raise Failed(f"$ {command.typed}\nshould print\n{command.printed}\nand printed\n{output}")

    def _serve(self, block: Block) -> None:
        if block.options["background"] == "instead":
            self._stop_all()
        for command in block.commands():
            self._start(command.typed)

    def _write(self, block: Block) -> None:
        path = self._directory / block.options["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._ours(block.text))

    def _type(self, command: str, exit_code: int) -> str:
        """Run `command` in the shell; what it exports stays."""
        end = f"end-of-{time.monotonic_ns()}"
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{self._ours(command)}\nprintf '\\n%s %s\\n' {end} $?\n")
        self._shell.stdin.flush()
        output = self._read_until(end, command)
        code = int(output.rsplit(end, 1)[1])
        output = output.rsplit(end, 1)[0].strip("\n")
        if code != exit_code:
            raise Failed(f"$ {command}\nended with {code}, not {exit_code}:\n{output}")
        return output

    def _read_until(self, end: str, command: str) -> str:
        assert self._shell.stdout is not None
        watchdog = Timer(PATIENCE_S, _kill, [self._shell])
        watchdog.start()
        lines: list[str] = []
        try:
            for line in self._shell.stdout:
                lines.append(line)
                if line.startswith(end):
                    return "".join(lines)
        finally:
            watchdog.cancel()
        raise Failed(f"$ {command}\nthe shell ended:\n{''.join(lines)}")

    def _start(self, command: str) -> None:
        """Start a server from the shell's own environment, and return when it answers or has said that it works."""
        self._started += 1
        log = self._directory / f"log-{self._started}"
        log.touch()
        self._type(f"( exec env {command}\n) > {log} 2>&1 &", 0)
        give_up_at = time.monotonic() + PATIENCE_S
        while not IS_READY.search(log.read_text()):
            if time.monotonic() > give_up_at:
                raise Failed(f"$ {command}\nis not ready:\n{log.read_text()}")
            time.sleep(0.02)

    def _ours(self, text: str) -> str:
        for theirs, ours in self._replacements.items():
            text = text.replace(theirs, ours)
        return text

    def _theirs(self, text: str) -> str:
        for theirs, ours in self._replacements.items():
            text = text.replace(ours, theirs)
        return text

    def _stop_all(self) -> None:
        self._type("kill $(jobs -p) 2> /dev/null; wait; true", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop in order what the page started, and then the shell."""
        with suppress(OSError, Failed):
            self._stop_all()
        _kill(self._shell)
        with suppress(BrokenPipeError):
            self._shell.communicate()


def _check_quotation(block: Block) -> None:
    """A page quotes whole lines; how far they are indented is left to whoever formats the page."""
    source = block.options["from"]
    if _lines(block.text) not in _lines((ROOT / source).read_text()):
        raise Failed(f"this is no part of {source}:\n{block.text}")


def _lines(text: str) -> str:
    return "\n".join(["", *(line.strip() for line in text.splitlines() if line.strip()), ""])


def _install(venv: Path) -> None:
    """The packages that run this test, as `make install` would leave them."""
    venv.mkdir()
    for content in Path(sys.prefix).iterdir():
        (venv / content.name).symlink_to(content)
    stamp = venv / ".installed"
    stamp.unlink(missing_ok=True)
    stamp.touch()


def _kill(shell: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
