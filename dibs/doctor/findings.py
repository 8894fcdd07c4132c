"""What was found: a state, what was seen, and how to mend it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from rich.text import Text

from dibs.show import Exit, print_json, print_line


class State(StrEnum):
    """`warn` works, and may not when it counts; `fail` does not work, or loses what was accepted."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` says what to do about it, where something is to be done."""

    about: str
    state: State
    seen: str
    mend: str | None = None


def ok(about: str, seen: str) -> Finding:
    return Finding(about, State.OK, seen)


def warn(about: str, seen: str, mend: str) -> Finding:
    return Finding(about, State.WARN, seen, mend)


def fail(about: str, seen: str, mend: str) -> Finding:
    return Finding(about, State.FAIL, seen, mend)


def show(findings: Sequence[Finding], *, as_json: bool) -> Exit:
    """Print the findings, and return the exit code that says the same."""
    if as_json:
        print_json({"state": worst(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    return Exit.FAILED if worst(findings) is State.FAIL else Exit.DONE


def worst(findings: Iterable[Finding]) -> State:
    return max((finding.state for finding in findings), key=list(State).index, default=State.OK)


def _print(finding: Finding) -> None:
    line = Text(f"{finding.state.value:<5}", style=STYLES[finding.state])
    print_line(line.append(f"{finding.about:<12}{_printable(finding.seen)}", style="default"))
    if finding.mend:
        print_line(Text(f"{'':<17}{_printable(finding.mend)}", style="dim"))


def _printable(text: str) -> str:
    """What a server says of itself must not talk to the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
