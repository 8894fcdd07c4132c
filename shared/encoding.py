"""The one JSON form of what dibs sends, queues and stores."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel


def encode(content: Any, *, sort: bool = False) -> bytes:
    """JSON, with decimals as strings and dates as RFC 3339."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SORT_KEYS if sort else None)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")  # without an exponent, which the door does not take either
    if isinstance(value, UUID):  # asyncpg has one of its own
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    raise TypeError(f"{type(value).__name__} has no JSON form")
