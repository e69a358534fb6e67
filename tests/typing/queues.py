"""Each form of a declared type gives its queue exactly that type."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict, assert_type
from uuid import UUID

import attrs
import msgspec
import pydantic

from relay_sdk import Codec, Queue


@dataclass
class Data:
    n: int


@dataclass
class Other:
    n: int


@attrs.frozen
class Attrs:
    n: int


class Typed(TypedDict):
    n: int


class Named(NamedTuple):
    n: int


class Struct(msgspec.Struct):
    n: int


class Model(pydantic.BaseModel):
    n: int


class Color(Enum):
    RED = "red"


Id = NewType("Id", str)


def encode(value: complex) -> list[float]:
    return [value.real, value.imag]


def decode(value: Any) -> complex:
    return complex(*value)


COMPLEX = Codec(encode, decode)

# no types: plain JSON
assert_type(Queue("q"), Queue[Any, Any])

# a payload alone
assert_type(Queue("q", payload=Data), Queue[Data, Any])
assert_type(Queue("q", payload=Attrs), Queue[Attrs, Any])
assert_type(Queue("q", payload=Typed), Queue[Typed, Any])
assert_type(Queue("q", payload=Named), Queue[Named, Any])
assert_type(Queue("q", payload=Struct), Queue[Struct, Any])
assert_type(Queue("q", payload=Model), Queue[Model, Any])
assert_type(Queue("q", payload=Color), Queue[Color, Any])
assert_type(Queue("q", payload=datetime), Queue[datetime, Any])
assert_type(Queue("q", payload=UUID), Queue[UUID, Any])
assert_type(Queue("q", payload=Id), Queue[Id, Any])
assert_type(Queue("q", payload=str), Queue[str, Any])
assert_type(Queue("q", payload=list[Data]), Queue[list[Data], Any])
assert_type(Queue("q", payload=dict[str, Attrs]), Queue[dict[str, Attrs], Any])
assert_type(Queue("q", payload=tuple[int, str]), Queue[tuple[int, str], Any])
assert_type(Queue("q", payload=Literal["a", "b"]), Queue[Literal["a", "b"], Any])
assert_type(Queue("q", payload=Data | None), Queue[Data | None, Any])
assert_type(Queue("q", payload=Data | Other), Queue[Data | Other, Any])
assert_type(Queue("q", payload=Annotated[int, "metres"]), Queue[int, Any])
assert_type(Queue("q", payload=None), Queue[None, Any])
assert_type(Queue("q", payload=COMPLEX), Queue[complex, Any])

# a state alone
assert_type(Queue("q", state=Data), Queue[Any, Data])
assert_type(Queue("q", state=list[int]), Queue[Any, list[int]])
assert_type(Queue("q", state=Data | Other), Queue[Any, Data | Other])
assert_type(Queue("q", state=Literal["a", "b"]), Queue[Any, Literal["a", "b"]])
assert_type(Queue("q", state=COMPLEX), Queue[Any, complex])

# both: a class, a form that is no class, a codec, in every pairing
assert_type(Queue("q", payload=Data, state=Attrs), Queue[Data, Attrs])
assert_type(Queue("q", payload=Data, state=Struct | None), Queue[Data, Struct | None])
assert_type(Queue("q", payload=Data, state=COMPLEX), Queue[Data, complex])
assert_type(Queue("q", payload=Data | Other, state=Model), Queue[Data | Other, Model])
assert_type(Queue("q", payload=Data | Other, state=Literal["a"]), Queue[Data | Other, Literal["a"]])
assert_type(Queue("q", payload=Data | None, state=COMPLEX), Queue[Data | None, complex])
assert_type(Queue("q", payload=COMPLEX, state=Named), Queue[complex, Named])
assert_type(Queue("q", payload=COMPLEX, state=Typed | None), Queue[complex, Typed | None])
assert_type(Queue("q", payload=COMPLEX, state=COMPLEX), Queue[complex, complex])
