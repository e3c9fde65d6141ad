"""The app's operations, read off its routes. The OpenAPI document says the same, but to generate it takes a second and much memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import isclass
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Operation:
    """One documented operation: its id, its address as the document writes it, and its methods."""

    id: str
    path: str
    methods: frozenset[str]


def operations(app: FastAPI) -> Iterator[Operation]:
    """Every operation of the OpenAPI document."""
    for route in iter_route_contexts(app.routes):
        found: Any = route
        if isinstance(route.original_route, APIRoute) and found.include_in_schema:
            yield Operation(found.operation_id, found.path_format, frozenset(found.methods))


_names: dict[str, frozenset[str]] = {}


def query_names(route: APIRoute) -> frozenset[str]:
    """The query parameters this route knows, as the document has them; read once an operation."""
    assert route.operation_id is not None
    if route.operation_id not in _names:
        _names[route.operation_id] = frozenset(_query_names(route.dependant))
    return _names[route.operation_id]


def _query_names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        model: Any = field.field_info.annotation
        if isclass(model) and issubclass(model, BaseModel):
            yield from (each.alias or name for name, each in model.model_fields.items())
        else:
            yield field.alias
    for inner in dependant.dependencies:
        yield from _query_names(inner)
