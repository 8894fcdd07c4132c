"""What JSON Schema says of a JSON column: any JSON that both databases take and give back as it was."""

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from typing_extensions import TypeAliasType

NO_NUL = r"^[^\u0000]*$"
"""A text that PostgreSQL can store."""

_Text = Annotated[str, Field(pattern=NO_NUL)]
_Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
_Float = Annotated[float, Field(json_schema_extra={"not": {"type": "integer"}})]
# mypy knows no recursion through a value: ignored twice.
_Object: Any = Annotated[dict[_Text, "Json"], Field(json_schema_extra={"additionalProperties": False})]  # type: ignore[misc]
Json: Any = TypeAliasType("Json", bool | _Integer | _Float | _Text | list["Json"] | _Object | None)  # type: ignore[misc]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Json)


class _JsonSchema:
    """Describes a value by `Json`, whoever checks it."""

    def __get_pydantic_json_schema__(self, _: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_ADAPTER.core_schema)


JSON_SCHEMA = _JsonSchema()
