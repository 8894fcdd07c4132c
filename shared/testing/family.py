"""Processes that a test did not start itself, and those that they started; Linux only."""

from contextlib import suppress
from pathlib import Path


def children_of(process: int) -> list[int]:
    """The processes that `process` has started and that still are."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                children.append(int(status.parent.name))
    return children


def is_alive(process: int) -> bool:
    """Whether it runs: one that is dead and waits for its parent does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
