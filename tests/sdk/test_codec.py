"""Payload and state to JSON and back, by their declared type."""

from dataclasses import dataclass
from math import inf, nan
from typing import Any, NoReturn, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from relay_sdk import Codec, PayloadError, Queue
from relay_sdk.job import RawJob, from_raw, to_raw

from .flows import received


@dataclass
class Reading:
    name: str
    value: float | None = None


class Model(pydantic.BaseModel):
    value: float | None = None


@dataclass
class Holder:
    models: list[Model]


@dataclass
class Text:
    text: str


class Custom:
    pass


@dataclass
class HoldsCustom:
    custom: list[Custom]


def cycle() -> list[object]:
    values: list[object] = []
    values.append(values)
    return values


def deep() -> object:
    value: object = None
    for _ in range(100_000):
        value = [value]
    return value


def failing(_: object) -> NoReturn:
    raise RuntimeError("out of order")


def written(form: Any, value: object) -> bytes:
    return bytes(to_raw(Queue("emails", payload=form).job("x", value)).payload)


def read(form: Any, text: bytes) -> Any:
    raw = msgspec.structs.replace(received(), payload=msgspec.Raw(text))
    return from_raw(Queue("emails", payload=form), raw).payload


NO_JSON = [
    nan, inf, -inf, {"a": [nan]}, b"bytes", {1, 2}, object(), 1j, cycle(), deep(), "\ud800",
    {"\udfff": 1}, {(1, 2): 3}, 10**5000,
]  # fmt: skip


@pytest.mark.parametrize("value", NO_JSON, ids=lambda value: type(value).__name__)
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    for fields in ({"payload": value}, {"payload": 1, "state": value}):
        with pytest.raises(PayloadError, match="'x' in queue 'emails'") as raised:
            to_raw(Queue("emails").job("x", **fields))
        assert (raised.value.queue, raised.value.id, raised.value.raw) == ("emails", "x", None)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (float, nan),
        (Reading, Reading("a", nan)),
        (Reading | None, Reading("null", inf)),
        (list[Reading], [Reading("a"), Reading("b", -inf)]),
        (Model, Model(value=nan)),
        (Holder, Holder([Model(value=inf)])),
        (dict[str, float], {"a": nan}),
        (Text, Text("\ud800")),
        (Codec(lambda value: value, lambda value: value), nan),
        (Codec(lambda value: value, lambda value: value), b"bytes"),
    ],
    ids=str,
)
def test_what_json_cannot_hold_is_refused_inside_a_declared_type(form: Any, value: object) -> None:
    with pytest.raises(PayloadError, match="'x' in queue 'emails'"):
        written(form, value)


def test_a_null_that_is_meant_is_no_nan() -> None:
    assert written(Reading, Reading("null", None)) == b'{"name":"null","value":null}'


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (int, "1"), (int, 1.5), (str, 1), (Reading, {"name": 1}), (Reading, Text("a")),
        (Reading, Reading(5)),  # type: ignore[arg-type]
        (list[int], [1, "2"]), (Model, {"value": "much"}), (Holder, Holder([1])),  # type: ignore[list-item]
        (int | None, "1"),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused(form: Any, value: object) -> None:
    with pytest.raises(PayloadError, match="payload of job 'x' in queue 'emails'"):
        written(form, value)


def test_a_state_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(PayloadError, match="state of job 'x' in queue 'emails'"):
        to_raw(Queue("emails", state=int).job("x", 1, state="1"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "text", "path"),
    [
        (Reading, b'{"name":"a","value":"b"}', r"\$\.value"),
        (list[Reading], b'[{"name":"a"},{"name":2}]', r"\$\[1\]\.name"),
        (Holder, b'{"models":[{"value":"much"}]}', r"\$\.models\[0\]"),
        (Reading, b"{}", "name"),
        (int, b'"1"', "int"),
    ],
    ids=str,
)
def test_an_error_names_the_place_inside_the_payload(form: Any, text: bytes, path: str) -> None:
    with pytest.raises(PayloadError, match=path) as raised:
        read(form, text)
    assert (raised.value.queue, raised.value.id, raised.value.raw) == ("emails", "x", text)


def test_an_error_in_a_state_says_so() -> None:
    raw = received(state="much")
    with pytest.raises(PayloadError, match="state of job 'x'") as raised:
        from_raw(Queue("emails", state=int), raw)
    assert raised.value.raw == b'"much"'


def test_no_state_is_none_whatever_its_type() -> None:
    assert from_raw(Queue("emails", state=int), received()).state is None


@pytest.mark.parametrize(
    "form",
    [
        Custom, list[Custom], HoldsCustom, dict[str, Custom | None], Reading | Text, complex,
        attrs.make_class("Inner", {"custom": attrs.field(type=Custom)}),
        TypedDict("Row", {"custom": Custom}),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("place", ["payload", "state"])
def test_a_type_without_a_json_form_is_refused_when_it_is_declared(form: Any, place: str) -> None:
    with pytest.raises(TypeError):
        Queue("emails", **{place: form})


def test_what_a_codec_raises_is_a_payload_error() -> None:
    with pytest.raises(PayloadError, match="out of order") as raised:
        written(Codec(failing, failing), 1)
    assert isinstance(raised.value.__cause__.__cause__, RuntimeError)  # type: ignore[union-attr]
    with pytest.raises(PayloadError, match="out of order") as raised:
        read(Codec(failing, failing), b"1")
    assert raised.value.raw == b"1"


def test_big_numbers_are_exact() -> None:
    big = 10**300 + 7
    assert read(Any, written(Any, {"n": big})) == {"n": big}
    assert read(int, written(int, big)) == big


def test_models_of_pydantic_keep_their_aliases() -> None:
    class Aliased(pydantic.BaseModel):
        inner: int = pydantic.Field(alias="outer")

    assert written(Aliased, Aliased(outer=1)) == b'{"outer":1}'
    assert read(Aliased, b'{"outer":1}') == Aliased(outer=1)


def test_raw_jobs_keep_the_text_as_it_came() -> None:
    text = b'{"b": 1.50, "a": 1e2, "b": 2}'
    rest = b'"queue":"q","id":"x","timeout":1,"max_retries":0,"state":null,"run_at":null'
    job = b'{"payload":%b,' + rest + b"}"
    assert bytes(msgspec.json.decode(job % text, type=RawJob).payload) == text
