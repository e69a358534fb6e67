"""Convert the declared types of queues to JSON Schemas."""

# pyright: reportPrivateUsage=false
# The types of a queue are not public.

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import msgspec
from msgspec import inspect

from relay_sdk._codecs.type_checks import is_pydantic, is_pydantic_model, iter_types
from relay_sdk.cli.errors import UsageError
from relay_sdk.codec import Codec
from relay_sdk.job import Queue

Schema: TypeAlias = dict[str, Any]

REF = "#/components/schemas/"
CODEC = "x-relay-codec"
"""Marks a value of a custom codec. Only the code of the application knows its schema."""


def is_object(node: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a part of a document is an object."""
    return isinstance(node, dict)


def is_list(node: object) -> TypeGuard[list[Any]]:
    """Return whether a part of a document is a list."""
    return isinstance(node, list)


def schemas_of(
    queues: Sequence[Queue[Any, Any]],
) -> tuple[dict[str, dict[str, Schema]], dict[str, Schema]]:
    """Return the schemas of payload and state by the name of the queue, and the shared schemas."""
    shared: dict[str, Schema] = {}
    result = {
        queue.name: {
            part: _schema(form, shared)
            for part, form in zip(("payload", "state"), queue._type_forms, strict=True)
        }
        for queue in queues
    }
    return result, shared


def _schema(form: Any, shared: dict[str, Schema]) -> Schema:
    if isinstance(form, Codec):
        return {CODEC: True}
    if form is Any or form is object:
        return {}
    if any(map(is_pydantic, iter_types(form))) and not _only_msgspec_supports(form):
        from pydantic import TypeAdapter

        adapter: TypeAdapter[Any] = TypeAdapter(form)
        schema = adapter.json_schema(ref_template=REF + "{model}")
        _share(schema.pop("$defs", {}), shared)
        return _named(schema, shared)
    (schema,), components = msgspec.json.schema_components(
        [form],
        ref_template=REF + "{name}",
        schema_hook=lambda inner: _inner_schema(inner, shared),
    )
    _add_time_formats(inspect.type_info(form), schema, components, set())
    _share(components, shared)
    return schema


def _only_msgspec_supports(form: Any) -> bool:
    """Return whether pydantic does not support the type, for example a Struct with models in it."""
    from pydantic import PydanticSchemaGenerationError, TypeAdapter

    try:
        TypeAdapter(form)
    except PydanticSchemaGenerationError:
        return True
    return False


def _inner_schema(form: Any, shared: dict[str, Schema]) -> Schema:
    """Return the schema of a type that msgspec does not support."""
    if not is_pydantic_model(form):
        return {}
    schema: Schema = form.model_json_schema(ref_template=REF + "{model}")
    _share(schema.pop("$defs", {}), shared)
    return _named(schema, shared)


def _named(schema: Schema, shared: dict[str, Schema]) -> Schema:
    """Move the schema of a model to the shared ones, and return a reference to it."""
    title = schema.get("title")
    if schema.get("type") != "object" or not title or not str(title).isidentifier():
        return schema
    _share({title: schema}, shared)
    return {"$ref": REF + title}


def _share(schemas: Mapping[str, Schema], shared: dict[str, Schema]) -> None:
    for name, schema in schemas.items():
        if shared.setdefault(name, schema) != schema:
            raise UsageError(f"two different types are named {name!r}: rename one of them")


def _add_time_formats(
    kind: inspect.Type, schema: Schema, components: Mapping[str, Schema], seen: set[str]
) -> None:
    """Add `format` to dates and times. msgspec omits it where the offset is optional."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        if (
            name in seen or name not in components
        ):  # a schema of pydantic, which adds the formats itself
            return
        seen.add(name)
        schema = components[name]
    inner: list[tuple[inspect.Type, Any]] = []
    match kind:
        case inspect.DateTimeType():
            schema.setdefault("format", "date-time")
        case inspect.TimeType():
            schema.setdefault("format", "time")
        case inspect.Metadata():
            inner = [(kind.type, schema)]
        case inspect.UnionType():
            inner = list(zip(kind.types, schema.get("anyOf", ()), strict=False))
        case inspect.TupleType():
            inner = list(zip(kind.item_types, schema.get("prefixItems", ()), strict=False))
        case inspect.CollectionType():
            inner = [(kind.item_type, schema.get("items"))]
        case inspect.DictType():
            inner = [(kind.value_type, schema.get("additionalProperties"))]
        case (
            inspect.StructType()
            | inspect.DataclassType()
            | inspect.TypedDictType()
            | inspect.NamedTupleType()
        ):
            fields = schema.get("properties", {})
            inner = [(field.type, fields.get(field.encode_name)) for field in kind.fields]
        case _:
            pass
    for part, part_schema in inner:
        if is_object(part_schema):
            _add_time_formats(part, part_schema, components, seen)
