"""A queue refuses types that JSON cannot represent, with errors that suggest a solution."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest

from relay_sdk import Queue


@dataclass
class Mail:
    to: str


@dataclass
class Call:
    number: str


@attrs.define
class Private:
    _secret: int = 0


@dataclass
class HoldsPrivate:
    held: list[Private]


@dataclass
class HoldsUnion:
    what: dict[str, Mail | Call]


class Holds(TypedDict):
    where: UUID | str


class Pair(NamedTuple):
    when: datetime | str


class Struct(msgspec.Struct):
    union: Mail | Call


class Cat(msgspec.Struct):
    lives: int


class Dog(msgspec.Struct):
    tricks: int


@pydantic.dataclasses.dataclass
class Checked:
    size: int = pydantic.Field(gt=3)


@attrs.define
class HoldsChecked:
    checked: Checked


def everywhere(form: Any) -> list[tuple[str, Any]]:
    return [("payload", form), ("state", list[form]), ("payload", dict[str, form | None])]


@pytest.mark.parametrize(
    ("form", "union"),
    [
        (Mail | Call, "Mail | .*Call"),
        (UUID | str, "UUID | str"),
        (bytes | str, "bytes | str"),
        (datetime | str, "datetime | str"),
        (dict[str, int] | Mail, "Mail"),
        (list[int] | set[int], "list"),
        (Cat | Dog, "Cat | .*Dog"),
        (HoldsUnion, "Mail | .*Call"),
        (Holds, "UUID | str"),
        (Pair, "datetime | str"),
        (Struct, "Mail | .*Call"),
    ],
    ids=str,
)
def test_a_union_that_cannot_be_distinguished_in_json_is_refused(form: Any, union: str) -> None:
    for place, declared in everywhere(form):
        with pytest.raises(
            TypeError,
            match=rf"{union}.*: the members of this union cannot be .* in JSON.* pass a Codec",
        ):
            Queue("emails", **{place: declared})


@pytest.mark.parametrize("form", [Private, HoldsPrivate])
def test_an_attrs_class_with_a_private_field_is_refused(form: Any) -> None:
    for place, declared in everywhere(form):
        with pytest.raises(TypeError, match=r"Private\._secret would not be written.*pass a Codec"):
            Queue("emails", **{place: declared})


def test_a_pydantic_dataclass_is_refused_where_it_would_not_be_validated() -> None:
    with pytest.raises(
        TypeError, match="Checked is a class of pydantic and would not be validated"
    ):
        Queue("emails", HoldsChecked)


def test_an_undefined_field_type_is_named_with_its_class() -> None:
    @dataclass
    class Inner:
        n: int

    @dataclass
    class Outer:
        inner: Inner

    for place, declared in everywhere(Outer):
        with pytest.raises(TypeError, match=r"Outer has a field of the type 'Inner'.*define it"):
            Queue("emails", **{place: declared})


def test_a_model_with_undefined_field_types_is_refused() -> None:
    class Model(pydantic.BaseModel):
        later: Later  # type: ignore[name-defined]  # noqa: F821 what is refused here

    for place, declared in everywhere(Model):
        with pytest.raises(
            TypeError, match=r"pydantic cannot use .*Model.*define the types it uses"
        ):
            Queue("emails", **{place: declared})


@pytest.mark.parametrize("form", ["Mail", list["Mail"], Mail("a"), 3], ids=repr)
def test_a_value_that_is_not_a_type_is_refused(form: Any) -> None:
    with pytest.raises(TypeError):
        Queue("emails", payload=form)


@dataclass
class Rich:
    """A class with attributes that are not fields."""

    n: int
    registry: ClassVar[dict[str, complex]] = {}
    parent: Rich | None = None
    later: int = field(init=False)

    def __post_init__(self) -> None:
        self.later = self.n + 1


def test_attributes_that_are_not_fields_are_ignored() -> None:
    Queue("emails", attrs.make_class("Made", {"n": attrs.field(type=int)}))
    Queue("emails", Rich)


def test_a_field_may_be_left_unset() -> None:
    class Unset(msgspec.Struct):
        there: int | msgspec.UnsetType = msgspec.UNSET

    Queue("emails", Unset)
