"""Collections: SQLAlchemy models with a unique key, and what an add to one of them looks like."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import Enum
from functools import cached_property
from operator import itemgetter
from typing import Annotated, Any, NotRequired, cast

import orjson
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails
from sqlalchemy import Column, DateTime, Table
from typing_extensions import TypedDict

from shared.columns import annotation, is_given, is_required
from shared.contract import Row
from shared.encoding import encode
from shared.limits import HARD, Limits
from shared.packing import JSON_ALREADY
from shared.problems import FieldError

MAX_FAULTS = 20
MAX_NAME = 200

MESSAGES = {
    "extra_forbidden": "there is no such column or member here",
    "dict_type": "must be an object that gives columns by name",
    "string_pattern_mismatch": "must not contain the NUL character",
    "string_unicode": "must not contain unpaired surrogates",
}
"""What is said instead of pydantic's own words."""

# The two ways to give a candidate; no column can be called so.
ROW, SCALAR = TAGS = ("a row\0", "a scalar\0")


class MalformedAdd(Exception):  # noqa: N818
    """The body is not JSON."""


class InvalidAdd(Exception):  # noqa: N818
    """The add does not fit the collection; `faults` points at each bad place."""

    def __init__(self, faults: list[FieldError]) -> None:
        super().__init__(faults[0].detail)
        self.faults = faults


@dataclass(frozen=True)
class Add:
    """A valid add: `candidates` in order of preference and the `values` that they share, columns by name."""

    candidates: list[Row]
    values: Row

    def fingerprint(self, collection: str) -> str:
        """Equal for equal adds: SHA-256, in hex, of the add with its columns in order."""
        content = [collection, self.candidates, self.values]
        return hashlib.sha256(encode(content, sort=True)).hexdigest()


@dataclass(frozen=True)
class Collection:
    """A table that can be added to.

    `key` are the columns of the unique key, in the order of the constraint. Validation, the JSON schema and
    the claim are all derived from the table.
    """

    name: str
    table: Table
    key: tuple[str, ...]
    limits: Limits = HARD
    """What an add may bring; a row that comes from the queue is held to the hard limits alone."""

    @cached_property
    def columns(self) -> dict[str, Column[Any]]:
        """The columns that a caller may give."""
        return {str(c.name): c for c in self.table.columns if is_given(c) or c.name in self.key}

    @cached_property
    def names(self) -> list[str]:
        """All columns, as a row that came of an add shows them."""
        return [str(column.name) for column in self.table.columns]

    @cached_property
    def required(self) -> frozenset[str]:
        return frozenset(name for name, column in self.columns.items() if is_required(column))

    def keys_of(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        values = map(itemgetter(*self.key), rows)
        return [*zip(values)] if len(self.key) == 1 else [*values]

    def _row_type(self, *, strict: bool) -> Any:
        """A part of a row as the door takes it, or, not `strict`, a whole one as Redis carried it: the door was
        strict, here dates and decimals come as strings.
        """
        limits = self.limits if strict else HARD
        types = {name: annotation(column, limits) for name, column in self.columns.items()}
        may_lack = types.keys() if strict else types.keys() - self.required
        fields = {name: NotRequired[kind] if name in may_lack else kind for name, kind in types.items()}
        return _typed_dict(f"{self.name}_row", fields, strict=strict)

    @cached_property
    def _stored(self) -> TypeAdapter[list[Row]]:
        row: Any = self._row_type(strict=False)
        return TypeAdapter(list[row])

    @cached_property
    def _stored_key(self) -> TypeAdapter[Row]:
        fields = {name: annotation(self.columns[name]) for name in self.key}
        return TypeAdapter(_typed_dict(f"{self.name}_key", fields, strict=False))

    @cached_property
    def _add(self) -> TypeAdapter[Any]:
        row = self._row_type(strict=True)
        candidate: Any = row
        if len(self.key) == 1:
            scalar = annotation(self.columns[self.key[0]], self.limits)
            candidate = Annotated[
                Annotated[scalar, Tag(SCALAR)] | Annotated[row, Tag(ROW)],
                Discriminator(lambda value: ROW if isinstance(value, dict) else SCALAR),
            ]
        candidates: Any = Annotated[list[candidate], Field(min_length=1, max_length=self.limits.candidates)]
        return TypeAdapter(
            _typed_dict(f"{self.name}_add", {"candidates": candidates, "values": NotRequired[row]}, strict=True)
        )

    def parse_add(self, body: bytes) -> Add:
        """Read an add; raises `MalformedAdd` or `InvalidAdd`."""
        try:
            content = self._add.validate_json(body)
        except ValidationError as error:
            found = _errors(error)
            if found[0]["type"] == "json_invalid":
                raise MalformedAdd(found[0]["msg"]) from None
            raise InvalidAdd(_faults(found)) from None
        values = content.get("values", {})
        key = self.key[0]
        candidates = [c if isinstance(c, dict) else {key: c} for c in content["candidates"]]
        self._check_required(candidates, values)
        return Add(candidates, values)

    def _check_required(self, candidates: list[Row], values: Row) -> None:
        needed = self.required - values.keys()
        if all(name in candidate for name in needed for candidate in candidates):
            return
        missing = [
            FieldError(pointer=_pointer(("candidates", place, name)), detail=f"column {name} is required")
            for place, candidate in enumerate(candidates)
            for name in sorted(needed - candidate.keys())
        ]
        if missing:
            raise InvalidAdd(missing[:MAX_FAULTS])

    def rows(self, candidates: Iterable[Row], values: Row) -> list[Row]:
        """The candidates as rows of Python values, each with all it was given; raises `InvalidAdd`."""
        whole = [{**values, **candidate} for candidate in candidates] if values else list(candidates)
        try:
            return self._stored.validate_python(whole)
        except ValidationError as error:
            raise InvalidAdd(_faults(_errors(error))) from None

    def parse_key(self, key: Row) -> tuple[Any, ...]:
        """A key from outside as Python values; raises `InvalidAdd`."""
        try:
            return self.keys_of([self._stored_key.validate_python(key)])[0]
        except ValidationError as error:
            raise InvalidAdd(_faults(_errors(error))) from None

    def to_json(self, row: Mapping[str, Any]) -> Row:
        """A row from the database as the plain JSON that callers see."""
        plain = dict(row)
        if self._is_json_already:
            return plain
        for name, value in row.items():
            if isinstance(value, Enum):
                plain[name] = value.name
            elif name in self._aware and value is not None and value.tzinfo is None:
                plain[name] = value.replace(tzinfo=UTC)  # SQLite keeps no time zone; the door gave it UTC
        return dict(orjson.loads(encode(plain)))

    @cached_property
    def _is_json_already(self) -> bool:
        return all(type(column.type) in JSON_ALREADY for column in self.table.columns)

    @cached_property
    def _aware(self) -> frozenset[str]:
        return frozenset(c.name for c in self.table.columns if isinstance(c.type, DateTime) and c.type.timezone)

    def json_schema(self, ref_template: str) -> dict[str, Any]:
        """JSON Schema (2020-12) of an add to this collection; `ref_template` says where it keeps its parts."""
        schema = self._add.json_schema(ref_template=ref_template)
        schema["title"] = f"Add to {self.name}"
        if self.required:
            schema["allOf"] = [self._required_schema(name) for name in sorted(self.required)]
        return schema

    def _required_schema(self, column: str) -> dict[str, Any]:
        """`column` stands in the values, or in every candidate; a bare candidate is the key's one column."""
        row = {"required": [column]}
        given = {"anyOf": [{"not": {"type": "object"}}, row]} if self.key == (column,) else {"type": "object"} | row
        return {
            "anyOf": [
                {"properties": {"values": row}, "required": ["values"]},
                {"properties": {"candidates": {"items": given}}},
            ]
        }


def _typed_dict(name: str, fields: dict[str, Any], *, strict: bool) -> Any:
    """A TypedDict made at run time: unlike a model's, its names cannot clash with anything."""
    made = cast("Any", TypedDict)(name, fields)
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=strict)
    return made


def _errors(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _faults(found: list[ErrorDetails]) -> list[FieldError]:
    return [FieldError(pointer=_pointer(fault["loc"]), detail=_detail(fault)) for fault in found[:MAX_FAULTS]]


def _detail(fault: ErrorDetails) -> str:
    return MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))


def _pointer(loc: tuple[int | str, ...]) -> str:
    """JSON pointer (RFC 6901) of a place in the body, without the tags of the union that pydantic puts in.

    Where a member's name is longer than any column's, the pointer ends at the object that has it.
    """
    parts = [str(part) for part in loc if part not in TAGS]
    if parts and len(parts[-1]) > MAX_NAME:
        del parts[-1]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
