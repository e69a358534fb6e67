"""Inspect declared types, and refuse those that JSON cannot represent."""

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, ClassVar, ForwardRef, Literal, Union, get_args, get_origin

import attrs
import msgspec
from typing_extensions import get_type_hints, is_typeddict

HOOK_TYPES = (object, msgspec.UnsetType)
"""Types that msgspec calls custom, but that need no encoding of their own."""


def iter_types(type_form: Any, seen: dict[int, Any] | None = None) -> Iterator[Any]:
    """Yield every type inside a type once, each before the types that contain it."""
    seen = {} if seen is None else seen
    if id(type_form) in seen:
        return
    seen[id(type_form)] = type_form
    for inner in _inner_types(type_form):
        yield from iter_types(inner, seen)
    yield type_form


def is_pydantic_model(part: Any) -> bool:
    """Return whether a type is a model of pydantic."""
    return hasattr(part, "model_validate_json")


def is_pydantic(part: Any) -> bool:
    """Return whether only pydantic can validate a type, without importing pydantic."""
    return isinstance(part, type) and hasattr(part, "__pydantic_validator__")


def is_union(part: Any) -> bool:
    """Return whether a type is a union."""
    return get_origin(part) in (Union, UnionType)


def type_name(type_form: Any) -> str:
    """Return the name of a type for messages."""
    return (
        type_form.__qualname__
        if isinstance(type_form, type) and not get_args(type_form)
        else repr(type_form)
    )


def check_type_form(type_form: Any) -> None:
    """Raise `TypeError` if msgspec cannot encode and decode a type."""
    for part in iter_types(type_form):
        if isinstance(part, str | ForwardRef):
            raise TypeError(f"{type_name(type_form)}: pass the type itself, not its name in quotes")
        if isinstance(part, type):
            _check_class(part)
        if isinstance(part, type) or is_union(part) or part is type_form:
            _check_part(part)


def _check_class(part: type) -> None:
    if attrs.has(part):
        for field in attrs.fields(part):
            if field.name.startswith("_"):
                raise TypeError(
                    f"{type_name(part)}.{field.name} would not be written, because it is a private "
                    "field of an attrs class: rename it, use a dataclass, or pass a Codec"
                )
    if is_pydantic(part) and not is_pydantic_model(part):
        raise TypeError(
            f"{type_name(part)} is a class of pydantic and would not be validated inside an attrs "
            "class or a msgspec Struct: use a dataclass or a model there, or pass a Codec"
        )


def _check_part(part: Any) -> None:
    try:
        info = msgspec.inspect.type_info(part)
    except TypeError as error:
        if is_union(part) and _are_members_valid(part):
            raise TypeError(
                f"{part!r}: the members of this union cannot be distinguished in JSON. Use msgspec "
                "Structs with tag=True or pydantic models, use one class with a field for each "
                "member, or pass a Codec"
            ) from error
        raise TypeError(
            f"{type_name(part)} cannot be written as JSON: {error}; pass a Codec"
        ) from error
    if isinstance(info, msgspec.inspect.CustomType) and not (
        info.cls in HOOK_TYPES or is_pydantic_model(part)
    ):
        raise TypeError(
            f"{type_name(part)} cannot be written as JSON: use a dataclass, an attrs class, a "
            "TypedDict, a NamedTuple, a msgspec Struct or a pydantic model, or pass a Codec"
        )


def _are_members_valid(union: Any) -> bool:
    """Return whether each member of a union can be written as JSON, unlike the union."""
    try:
        return all(map(msgspec.inspect.type_info, get_args(union)))
    except TypeError:
        return False


def _inner_types(type_form: Any) -> Iterable[Any]:
    origin = get_origin(type_form)
    cls = type_form if origin is None else origin
    alias = getattr(cls, "__value__", None) or getattr(cls, "__supertype__", None)
    if cls in (Literal, ClassVar):
        return ()
    if cls is Annotated:
        return (type_form.__origin__,)
    return (*get_args(type_form), *_field_types(cls), *(() if alias is None else (alias,)))


def _field_types(cls: Any) -> Iterable[Any]:
    if is_pydantic(cls):
        fields: Any = getattr(cls, "__pydantic_fields__", None) or getattr(cls, "model_fields", {})
        return [field.annotation for field in fields.values()]
    named = hasattr(cls, "__struct_fields__") or hasattr(cls, "_fields") or attrs.has(cls)
    if not (is_dataclass(cls) or is_typeddict(cls) or (isinstance(cls, type) and named)):
        return ()
    try:
        return get_type_hints(cls, include_extras=True).values()
    except NameError as error:
        raise TypeError(
            f"{type_name(cls)} has a field of the type {error.name!r}, which is not defined at the "
            "top level of its module: define it there (not in a function or under TYPE_CHECKING), "
            "or remove `from __future__ import annotations`"
        ) from error
