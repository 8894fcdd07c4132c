"""Cursors: where the next page of a list begins, as a word that means nothing to anybody else."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter

from api.problems import ProblemError, refuse
from shared.encoding import encode
from shared.problems import FieldError, Kind

Place = TypeVar("Place")


def write_cursor(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(encode(list(place))).decode().rstrip("=")


def read_cursor(cursor: str, place: TypeAdapter[Place]) -> Place:
    """What `cursor` stands for; raises a 422."""
    try:
        return place.validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise no_cursor() from None


def no_cursor() -> ProblemError:
    fault = FieldError(pointer="/query/cursor", detail="not a cursor of this list")
    return refuse(Kind.INVALID, fault.detail, errors=[fault])
