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

# a payload alone: its jobs have no state
assert_type(Queue("q", payload=Data), Queue[Data, None])
assert_type(Queue("q", Data), Queue[Data, None])
assert_type(Queue("q", Data | Other), Queue[Data | Other, None])
assert_type(Queue("q", dict[str, object]), Queue[dict[str, object], None])
assert_type(Queue("q", payload=Attrs), Queue[Attrs, None])
assert_type(Queue("q", payload=Typed), Queue[Typed, None])
assert_type(Queue("q", payload=Named), Queue[Named, None])
assert_type(Queue("q", payload=Struct), Queue[Struct, None])
assert_type(Queue("q", payload=Model), Queue[Model, None])
assert_type(Queue("q", payload=Color), Queue[Color, None])
assert_type(Queue("q", payload=datetime), Queue[datetime, None])
assert_type(Queue("q", payload=UUID), Queue[UUID, None])
assert_type(Queue("q", payload=Id), Queue[Id, None])
assert_type(Queue("q", payload=str), Queue[str, None])
assert_type(Queue("q", payload=list[Data]), Queue[list[Data], None])
assert_type(Queue("q", payload=dict[str, Attrs]), Queue[dict[str, Attrs], None])
assert_type(Queue("q", payload=tuple[int, str]), Queue[tuple[int, str], None])
assert_type(Queue("q", payload=Literal["a", "b"]), Queue[Literal["a", "b"], None])
assert_type(Queue("q", payload=Data | None), Queue[Data | None, None])
assert_type(Queue("q", payload=Data | Other), Queue[Data | Other, None])
assert_type(Queue("q", payload=Annotated[int, "metres"]), Queue[int, None])
assert_type(Queue("q", payload=None), Queue[None, None])
assert_type(Queue("q", payload=COMPLEX), Queue[complex, None])

# a state alone
assert_type(Queue("q", state=Data), Queue[Any, Data])
assert_type(Queue("q", state=list[int]), Queue[Any, list[int]])
assert_type(Queue("q", state=Data | Other), Queue[Any, Data | Other])
assert_type(Queue("q", state=Literal["a", "b"]), Queue[Any, Literal["a", "b"]])
assert_type(Queue("q", state=COMPLEX), Queue[Any, complex])

# what stands for what
ANY: Queue[Data] = Queue("q", Data)
NO_STATE: Queue[Data, None] = Queue("q", Data)

# both: a class, a form that is no class, a codec, in every pairing
assert_type(Queue("q", payload=Data, state=Attrs), Queue[Data, Attrs])
assert_type(Queue("q", Data, state=Attrs), Queue[Data, Attrs])
assert_type(Queue("q", payload=Data, state=Struct | None), Queue[Data, Struct | None])
assert_type(Queue("q", payload=Data, state=COMPLEX), Queue[Data, complex])
assert_type(Queue("q", payload=Data | Other, state=Model), Queue[Data | Other, Model])
assert_type(Queue("q", payload=Data | Other, state=Literal["a"]), Queue[Data | Other, Literal["a"]])
assert_type(Queue("q", payload=Data | None, state=COMPLEX), Queue[Data | None, complex])
assert_type(Queue("q", payload=COMPLEX, state=Named), Queue[complex, Named])
assert_type(Queue("q", payload=COMPLEX, state=Typed | None), Queue[complex, Typed | None])
assert_type(Queue("q", payload=COMPLEX, state=COMPLEX), Queue[complex, complex])
