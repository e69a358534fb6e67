"""Payload and state come back as the type that the queue declares."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from typing_extensions import TypeForm

from relay_sdk import Codec, Queue

from ...support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Email:
    to: str
    copies: list[str] = field(default_factory=list)
    colour: Colour = Colour.RED


@attrs.frozen
class Point:
    x: int
    y: float = 0.5


class Row(TypedDict):
    name: str
    parent: "Row | None"


class Span(NamedTuple):
    start: int
    end: int


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class Order(pydantic.BaseModel):
    number: int
    items: dict[str, Decimal] = {}


class Refund(pydantic.BaseModel):
    kind: Literal["refund"] = "refund"
    amount: Decimal


class Invoice(pydantic.BaseModel):
    kind: Literal["invoice"] = "invoice"
    amount: Decimal


@pydantic.dataclasses.dataclass
class Checked:
    size: int = pydantic.Field(gt=3)


@dataclass
class Parcel:
    order: Order
    where: Point | None = None


@dataclass
class Ledger:
    _entries: list[Invoice | Refund]
    note: Invoice | str = ""


def to_text(value: complex) -> object:
    return [value.real, value.imag]


def from_text(value: Any) -> complex:
    return complex(*value)


TYPED: list[tuple[TypeForm[Any] | Codec[Any], Any]] = [
    (Email, Email("a@example.org", ["b", "c"])),
    (Point, Point(3, 0.25)),
    (Row, Row(name="a", parent=Row(name="b", parent=None))),
    (Span, Span(1, 2)),
    (Cat, Cat(9)),
    (Cat | Dog, Dog(["sit"])),
    (Order, Order(number=1, items={"tea": Decimal("2.50")})),
    (Parcel, Parcel(Order(number=2), Point(1))),
    (list[Order], [Order(number=1), Order(number=2)]),
    (Invoice | Refund, Refund(amount=Decimal("0.12345678901234567890"))),
    (
        Annotated[Invoice | Refund, pydantic.Field(discriminator="kind")],
        Invoice(amount=Decimal("1.50")),
    ),
    (Order | Email, Email("x")),
    (Order | None, None),
    (Ledger, Ledger([Refund(amount=Decimal(1)), Invoice(amount=Decimal(2))], "paid")),
    (Checked, Checked(5)),
    (dict[str, Checked], {"a": Checked(5)}),
    (dict[str, object], {"a": [1, "b", None, {"c": 1.5}]}),
    (list[object | None], [1, None]),
    (Decimal, Decimal("0.12345678901234567890")),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (datetime, datetime(2031, 1, 2, 3, 4, 5, 678, tzinfo=UTC)),
    (date, date(2031, 1, 2)),
    (timedelta, timedelta(minutes=3)),
    (UUID, UUID(int=5)),
    (bytes, b"\x00\xff"),
    (Email | None, Email("x")),
    (int | str, "word"),
    (Literal["a", "b"], "b"),
    (dict[str, list[Point]], {"a": [Point(1), Point(2)]}),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (Codec(to_text, from_text), 1 + 2j),
]

PLAIN = [
    None, True, False, 0, -1, 1.5, 10**18, 2**64, -(10**40), 123456789012345678901234567890123, "",
    "é🦆\u2028\"\\/\n", [], {}, [None, [1], {"a": {"b": []}}], {"": 0, "a b": "c"},
]  # fmt: skip


async def test_a_declared_type_comes_back(relay: AnyClient, queue: str) -> None:
    for form, value in TYPED:
        q = Queue(queue, payload=form, state=form)
        await maybe_await(relay.enqueue(q.job("x", value)))
        assert (await maybe_await(relay.get(q, "x"))).payload == value
        (helper,) = await maybe_await(relay.next(q))
        assert (helper.job.payload, helper.job.state) == (value, None)
        assert type(helper.job.payload) is type(value)
        await maybe_await(helper.heartbeat(value))
        assert (await maybe_await(relay.get(q, "x"))).state == value
        await maybe_await(helper.complete())


async def test_plain_json_comes_back_exactly(relay: AnyClient, queue: str) -> None:
    jobs = [Queue(queue).job(str(n), value, state=value) for n, value in enumerate(PLAIN)]
    await maybe_await(relay.enqueue_batch(jobs))
    for job, value in zip(jobs, PLAIN, strict=True):
        there = await maybe_await(relay.get(queue, job.id))
        assert (there.payload, there.state) == (value, value)
        assert type(there.payload) is type(value)
