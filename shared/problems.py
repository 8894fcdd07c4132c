"""Problem details (RFC 9457): the one shape of every error that a caller sees, now or in a receipt."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from shared.problem_kinds import ABOUT, Kind

__all__ = ["MEDIA_TYPE", "FieldError", "Kind", "Problem", "problem"]

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One wrong place in a request: `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. `constraint` and `column` name what a database refused, where it says so."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/unknown-job",
                    "title": "There is no such job",
                    "status": 404,
                    "detail": "no receipt and no waiting job has this id",
                }
            ]
        }
    )

    type: str = Field(description="What kind of problem it is, and the address of the page about it")
    title: str
    status: int | None = Field(None, description="That of the answer; absent in the `error` of a job")
    detail: str = Field(description="What is so this time; the words may change")
    constraint: str | None = Field(None, description="What the database refused, where it says so")
    column: str | None = Field(None, description="Likewise")
    errors: list[FieldError] | None = Field(None, description="Each bad place in the request")

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    def at(self, root: str) -> "Problem":
        """The same, as it is told to whom dibs stands at `root`, such as /names."""
        return self.model_copy(update={"type": root + self.type}) if root else self

    @property
    def kind(self) -> Kind:
        return Kind(self.type.rpartition("/")[2])


def problem(
    kind: Kind,
    detail: str,
    *,
    constraint: str | None = None,
    column: str | None = None,
    errors: list[FieldError] | None = None,
) -> Problem:
    """The only way a problem is made: `kind` decides its type, title and status."""
    about = ABOUT[kind]
    return Problem(
        type=about.page,
        title=about.title,
        status=about.status.value if about.status else None,
        detail=detail,
        constraint=constraint,
        column=column,
        errors=errors,
    )
