"""The fast encoders accept and refuse the same values as the strict encoder of the stdlib."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from math import inf, nan
from typing import Annotated, Any, NamedTuple, NewType, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_sdk import PayloadError, Queue
from relay_sdk.job import to_raw

Weight = NewType("Weight", float)


class Row(TypedDict):
    weight: float | None


class Pair(NamedTuple):
    name: str | None
    weight: float | None


class Struct(msgspec.Struct):
    weight: float | None
    name: str | None = None


@attrs.frozen
class Attrs:
    weight: float | None
    inner: Struct | None = None


class Model(pydantic.BaseModel):
    weight: float | None
    rest: Any = None


@dataclass
class Text:
    text: str | None
    more: "str | None" = None


@dataclass
class Longer(Text):
    weight: float | None = None


@dataclass
class Loose:
    anything: Any
    something: object = None


@attrs.frozen
class HoldsModel:
    model: Model | None


def written(form: Any, value: object) -> bytes:
    return bytes(to_raw(Queue("emails", payload=form).job("x", value)).payload)


HIDDEN: list[tuple[Any, Any]] = [
    (float | None, lambda bad: bad),
    (Annotated[float | None, "kilograms"], lambda bad: bad),
    (Weight | None, lambda bad: bad),
    (int | float | str | None, lambda bad: bad),
    (list[float | None], lambda bad: [None, 1.5, bad]),
    (dict[str, object], lambda bad: {"a": {"b": [bad]}}),
    (dict[str, list[tuple[str, float | None]]], lambda bad: {"a": [("b", bad)]}),
    (Row, lambda bad: {"weight": bad}),
    (Pair, lambda bad: Pair(None, bad)),
    (Struct, Struct),
    (Attrs, lambda bad: Attrs(None, Struct(bad))),
    (Model, lambda bad: Model(weight=bad)),
    (Model, lambda bad: Model(weight=None, rest=[bad])),
    (HoldsModel, lambda bad: HoldsModel(Model(weight=bad))),
    (HoldsModel, lambda bad: HoldsModel(Model(weight=None, rest={"a": bad}))),
    (Loose, lambda bad: Loose({"a": bad})),
    (Loose, lambda bad: Loose(None, (bad,))),
    # No float is declared here, so only the check refuses one.
    (Text, lambda bad: Text(bad)),
    (list[Text | None], lambda bad: [None, Text("\xcb", bad)]),
    (Text, lambda bad: Longer(None, weight=bad)),
    (dict[str, int | None], lambda bad: {"null": bad}),
    (Any, lambda bad: (None, bad)),
    (Any, lambda bad: {"a": OrderedDict(b=bad)}),
    (Any, lambda bad: {bad: 1}),
]


@pytest.mark.parametrize("bad", [nan, inf, -inf, -nan])
@pytest.mark.parametrize(("form", "hide"), HIDDEN)
def test_a_number_that_json_lacks_does_not_become_null(form: Any, hide: Any, bad: float) -> None:
    with pytest.raises(PayloadError, match="'x' in queue 'emails'"):
        written(form, hide(bad))


def test_bytes_that_look_like_nan_in_msgpack_are_accepted() -> None:
    for name in ("\xcb\x7f\xf8", "\u02ff" * 40, "a" * 0xCB, "\U000cbfff"):
        assert json.loads(written(Text, Text(None, name))) == {"text": None, "more": name}


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Text, Text(1)),  # type: ignore[arg-type]
        (Text, Text(b"a", 2)),  # type: ignore[arg-type]
        (Text, Longer("a", ["b"])),  # type: ignore[arg-type]
        (Struct, Struct("heavy")),  # type: ignore[arg-type]
        (Attrs, Attrs(1.5, Text("a"))),  # type: ignore[arg-type]
        (Pair, Pair(1, 1.5)),  # type: ignore[arg-type]
        (Row, {"weight": "heavy"}),
        (Row, {}),
        (Annotated[int, msgspec.Meta(le=5)], 6),
        (Annotated[str, msgspec.Meta(max_length=1)], "ab"),
        (list[Text], [Text("a"), {"text": 5}]),
        (HoldsModel, HoldsModel({"weight": "much"})),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_decoded_is_not_written(form: Any, value: object) -> None:
    with pytest.raises(PayloadError, match="'x' in queue 'emails'"):
        written(form, value)


class Plain(Enum):
    A = "a"


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    A = "a"


NOT_PLAIN = [
    b"a", bytearray(b"a"), {1}, frozenset(), Decimal("1"), date(2030, 1, 1), UUID(int=0),
    datetime(2030, 1, 1, tzinfo=UTC), Plain.A, Text("a"), Struct(1), Attrs(1), msgspec.Raw(b"1"),
    msgspec.UNSET, "\ud800", 1j, range(2),
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_values_that_msgspec_converts_are_not_plain_json(value: object) -> None:
    for held in (value, [value], {"a": {"b": value}}, (None, value)):
        with pytest.raises(PayloadError, match="cannot be written as JSON"):
            written(Any, held)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.binary(max_size=2) | st.sampled_from([*Number, *Word, *Plain, Decimal(1), 2**64, -(2**70)])
)  # fmt: skip
keys = st.text(max_size=2) | st.integers() | st.booleans() | st.none() | st.sampled_from(Word)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=6,
)


@given(anything)
def test_plain_json_is_what_the_stdlib_encoder_accepts(value: object) -> None:
    try:
        expected = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError):
        with pytest.raises(PayloadError):
            written(Any, value)
    else:
        assert json.loads(written(Any, value)) == expected


class Odd(pydantic.BaseModel, ser_json_bytes="base64"):
    """A model that only pydantic can write, without NaN or infinity."""

    none: None = None
    secret: pydantic.SecretStr = pydantic.SecretStr("a")
    big: int = 1
    pairs: dict[str | tuple[int, int], float] = {(1, 2): 0.5}
    data: bytes = b"\xcb\x7f\xf8"
    numbers: frozenset[int] = frozenset([1])


@attrs.frozen
class Days:
    days: dict[date, int | None]
    model: Model | None = None


@pytest.mark.parametrize("big", [1, 10**30])
def test_values_that_only_look_like_nan_are_written(big: int) -> None:
    odd = {
        "none": None, "secret": "**********", "big": big, "pairs": {"1,2": 0.5}, "numbers": [1],
        "data": "y3_4",
    }  # fmt: skip
    assert json.loads(written(Odd, Odd(big=big))) == odd
    days = Days({date(2030, 1, 1): None, date(2030, 1, 2): big})
    text = b'{"days":{"2030-01-01":null,"2030-01-02":%d},"model":null}' % big
    assert written(Days, days) == text
