"""Which models are collections, and what an operator is told of those that cannot be."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from shared.models import Animal
from shared.registry import CollectionError, collection_of, load_collections
from tests.models import Handle, Tenant


def model(*parts: Any, **options: Any) -> type[Any]:
    """A model `Thing` of `parts` in the table `things`."""

    class Base(DeclarativeBase):
        pass

    primary = (
        []
        if any(getattr(part, "primary_key", False) for part in parts)
        else [sa.Column("id", sa.Integer, primary_key=True)]
    )
    return type("Thing", (Base,), {"__table__": sa.Table("things", Base.metadata, *primary, *parts)} | options)


def text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(20), **({"nullable": False} | options))


def key_of(made: type[Any]) -> tuple[str, ...] | None:
    collection = collection_of(made)
    return collection.key if collection else None


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """An adopter's module, importable while the test runs."""
    made = ModuleType("adopters_models")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def put(module: ModuleType, *models: type[Any]) -> None:
    for number, each in enumerate(models):
        each.__module__ = module.__name__
        setattr(module, f"Model{number}", each)


def test_the_key_is_the_one_unique_constraint() -> None:
    assert key_of(model(text("name", unique=True), text("other"))) == ("name",)
    assert key_of(model(text("a"), text("b"), sa.UniqueConstraint("b", "a"))) == ("b", "a")


def test_the_key_may_be_a_unique_index() -> None:
    assert key_of(model(text("name", index=True, unique=True))) == ("name",)


@pytest.mark.parametrize(
    "options",
    [{"postgresql_where": sa.text("id > 1")}, {"sqlite_where": sa.text("id > 1")}],
    ids=["postgresql", "sqlite"],
)
def test_an_index_over_some_of_the_rows_is_no_key(options: dict[str, Any]) -> None:
    assert key_of(model(text("name"), sa.Index("ix", "name", unique=True, **options))) is None


def test_an_index_over_an_expression_is_no_key() -> None:
    name = text("name")
    assert key_of(model(name, sa.Index("ix", sa.func.lower(name), unique=True))) is None


def test_the_key_may_be_a_primary_key_that_nobody_counts() -> None:
    assert key_of(model(text("code", primary_key=True))) == ("code",)


def test_a_model_without_a_unique_key_is_no_collection() -> None:
    assert key_of(model(text("name"))) is None


def test_a_model_may_be_kept_out() -> None:
    assert collection_of(Tenant) is None
    assert key_of(model(text("name", unique=True), __dibs_key__=None)) is None


def test_of_several_keys_the_model_must_choose() -> None:
    parts = (text("a", unique=True), text("b", unique=True))
    with pytest.raises(CollectionError, match=r"^Thing has several unique keys; say which by __dibs_key__ = "):
        collection_of(model(*parts))
    assert key_of(model(text("a", unique=True), text("b", unique=True), __dibs_key__=("b",))) == ("b",)
    assert key_of(Handle) == ("tenant", "handle")


@pytest.mark.parametrize(
    "column",
    [
        sa.Column("name", sa.String(20), unique=True, nullable=True),
        sa.Column("name", sa.CHAR(20), unique=True, nullable=False),
        sa.Column("name", sa.Float, unique=True, nullable=False),
        sa.Column("name", sa.DateTime, unique=True, nullable=False),
    ],
    ids=["nullable", "char", "float", "datetime"],
)
def test_a_key_that_does_not_come_back_as_it_went_in_is_refused(column: sa.Column[Any]) -> None:
    with pytest.raises(CollectionError, match=r"^Thing\.name cannot be part of a key"):
        collection_of(model(column))


def test_a_key_that_names_no_column_is_refused() -> None:
    with pytest.raises(CollectionError, match=r"^Thing: __dibs_key__ names 'nam', which is no column$"):
        collection_of(model(text("name", unique=True), __dibs_key__=("nam",)))


def test_a_column_that_has_no_json_form_is_refused() -> None:
    with pytest.raises(CollectionError, match=r"^Thing: column things\.photo .* cannot be given as JSON$"):
        collection_of(model(text("name", unique=True), sa.Column("photo", sa.LargeBinary)))


def test_animals_are_always_there() -> None:
    assert list(load_collections([])) == ["animals"]
    assert load_collections([])["animals"].table is Animal.__table__


def test_a_module_brings_its_collections() -> None:
    assert set(load_collections(["tests.models"])) == {"animals", "handles"}


def test_one_model_of_a_module_can_be_named(module: ModuleType) -> None:
    put(module, model(text("name", unique=True)))
    assert set(load_collections(["adopters_models:Model0"])) == {"animals", "things"}


def test_models_that_a_module_only_imports_are_not_its_own(module: ModuleType) -> None:
    put(module, model(text("name", unique=True)))
    module.Handle = Handle  # type: ignore[attr-defined]  # as an import does
    assert set(load_collections(["adopters_models"])) == {"animals", "things"}


def test_a_model_that_is_named_twice_is_one(module: ModuleType) -> None:
    put(module, model(text("name", unique=True)))
    assert set(load_collections(["adopters_models", "adopters_models:Model0"])) == {"animals", "things"}


def test_two_models_of_one_name_are_refused(module: ModuleType) -> None:
    put(module, model(text("name", unique=True)), model(text("name", unique=True)))
    with pytest.raises(CollectionError, match=r"^two models are called things$"):
        load_collections(["adopters_models"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_module", "^DIBS_MODELS: no_such_module cannot be imported"),
        ("tests.models:Handel", "^DIBS_MODELS: tests.models has no model Handel$"),
        ("tests.models:NAMING", "^DIBS_MODELS: tests.models has no model NAMING$"),
        ("tests.build", "^DIBS_MODELS: tests.build has no model with a unique key$"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(name: str, told: str) -> None:
    with pytest.raises(CollectionError, match=told) as caught:
        load_collections([name])
    assert "\n" not in str(caught.value)
