"""What the arguments of `dibs add` mean."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from typer import BadParameter
from typer.core import TyperCommand

if TYPE_CHECKING:
    from dibs.client.requests import Candidate

WAIT_S = 30.0
"""How long a bare `--wait` waits."""

# Not all that float() reads: somebody may be called Nan.
_SECONDS = re.compile(r"\d+(\.\d*)?")


class WithOptionalSeconds(TyperCommand):
    """A command whose `--wait` may stand alone, or with a number of seconds behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spell_out_wait(args))


def spell_out_wait(args: Sequence[str]) -> list[str]:
    """`args` with `--wait` and `--wait 5` as `--wait=…`; what is no number is the next argument."""
    spelt: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            return [*spelt, arg, *rest]
        if arg == "--wait":
            given = rest and _SECONDS.fullmatch(rest[0])
            arg = f"--wait={rest.pop(0) if given else WAIT_S}"
        spelt.append(arg)
    return spelt


def read_candidates(texts: Sequence[str]) -> list["Candidate"]:
    """Text is itself, `{…}` is an object in JSON."""
    return [_candidate(text) for text in texts]


def _candidate(text: str) -> "Candidate":
    if not text.startswith("{"):
        return text
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BadParameter(f"{text} begins like an object in JSON, but is none: {error}") from None
    assert isinstance(content, dict)
    return content


def read_values(texts: Sequence[str]) -> dict[str, Any]:
    """`column=value` each; a value that is a JSON scalar is that, any other is text."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BadParameter(f"{text} is not column=value")
        values[name] = _scalar(value)
    return values


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_time(text: str) -> datetime:
    """A time as RFC 3339 writes it, in UTC where it has no offset, or how long ago: 15m, 2h, 7d."""
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BadParameter(f"{text} is no time such as 15m, 2h, 7d or 2026-01-31T12:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
