"""Which models are collections: found in the modules that DIBS_MODELS names, and checked when they are loaded."""

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from sqlalchemy import Column, Index, Table, UniqueConstraint

from shared.collections import Collection
from shared.columns import UnsupportedColumn, annotation, is_key_type
from shared.limits import HARD, Limits
from shared.models import Animal


class CollectionError(Exception):
    """A model cannot be a collection; the text says which and why, in one line."""


def collection_of(model: type[Any], limits: Limits = HARD) -> Collection | None:
    """The collection that `model` is, or None where it has no unique key; raises `CollectionError`.

    With several unique keys the model says which one counts: `__dibs_key__ = ("tenant", "handle")`;
    `__dibs_key__ = None` keeps a model out.
    """
    table: Table = model.__table__
    key = getattr(model, "__dibs_key__", ...)
    if key is ...:
        keys = _unique_keys(table)
        if len(keys) > 1:
            raise CollectionError(f"{model.__name__} has several unique keys; say which by __dibs_key__ = (…)")
        key = keys[0] if keys else None
    if key is None:
        return None
    collection = Collection(str(table.name), table, tuple(str(name) for name in key), limits)
    _check(model, collection)
    return collection


def _unique_keys(table: Table) -> list[tuple[str, ...]]:
    """The keys that "on conflict" can name: not deferred, over whole columns, and for all rows."""
    constraints = [u for u in table.constraints if isinstance(u, UniqueConstraint) and not u.deferrable]
    found = [tuple(str(c.name) for c in u.columns) for u in constraints]
    found += [tuple(str(c.name) for c in i.columns) for i in table.indexes if i.unique and _is_plain(i)]
    if not found and table.autoincrement_column is None and table.primary_key.columns:
        found = [tuple(c.name for c in table.primary_key.columns)]
    return sorted(set(found))


def _primary_key(collection: Collection) -> tuple[str, ...]:
    return tuple(column.name for column in collection.table.primary_key.columns)


def _is_plain(index: Index) -> bool:
    is_partial = any(index.dialect_options[name]["where"] is not None for name in ("postgresql", "sqlite"))
    return not is_partial and all(isinstance(expression, Column) for expression in index.expressions)


def _check(model: type[Any], collection: Collection) -> None:
    by_name = {c.name: c for c in collection.table.columns}
    for name in collection.key:
        if name not in by_name:
            raise CollectionError(f"{model.__name__}: __dibs_key__ names {name!r}, which is no column")
        if not is_key_type(by_name[name]):
            raise CollectionError(
                f"{model.__name__}.{name} cannot be part of a key: "
                "it must be text, an integer, a date, a boolean or a UUID, and not null"
            )
    if set(collection.key) not in [set(key) for key in (*_unique_keys(collection.table), _primary_key(collection))]:
        raise CollectionError(f"{model.__name__}: __dibs_key__ {collection.key} has no unique constraint of its own")
    try:
        for column in collection.columns.values():
            annotation(column)
    except UnsupportedColumn as error:
        raise CollectionError(f"{model.__name__}: {error}, which cannot be given as JSON") from None


def load_collections(named: Iterable[str | type[Any]], limits: Limits = HARD) -> dict[str, Collection]:
    """`animals` and what is `named` (module, module:Class, or the class), by table name; raises `CollectionError`."""
    models: list[type[Any]] = [Animal]
    for one in named:
        models += _models_in(one) if isinstance(one, str) else [one]
    found: dict[str, Collection] = {}
    for model in dict.fromkeys(models):
        collection = collection_of(model, limits)
        if collection is None:
            continue
        if collection.name in found:
            raise CollectionError(f"two models are called {collection.name}")
        found[collection.name] = collection
    return found


def _models_in(name: str) -> list[type[Any]]:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise CollectionError(f"DIBS_MODELS: {module_name} cannot be imported: {error}") from error
    if class_name:
        model = getattr(module, class_name, None)
        if not hasattr(model, "__table__"):
            raise CollectionError(f"DIBS_MODELS: {module_name} has no model {class_name}")
        return [model]  # type: ignore[list-item]  # it has a table
    models = [m for m in vars(module).values() if _is_model_of(m, module)]
    if not any(collection_of(m) for m in models):
        raise CollectionError(f"DIBS_MODELS: {module_name} has no model with a unique key")
    return models


def _is_model_of(thing: object, module: ModuleType) -> bool:
    return isinstance(thing, type) and hasattr(thing, "__table__") and thing.__module__ == module.__name__
