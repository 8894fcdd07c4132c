"""The client of a command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dibs.client.faces import DibsSync

PATIENCE_S = 1.0
"""How long a server that is away is asked again: whoever sits before the screen wants to know."""


def connected(url: str, api_key: str | None) -> "DibsSync":
    from dibs.client.faces import DibsSync  # noqa: PLC0415  # httpx, which `--help` and `dibs serve` can do without

    return DibsSync(url, key=api_key, patience=PATIENCE_S)
