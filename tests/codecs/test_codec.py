"""Payload and state are encoded and decoded by their declared type."""

from dataclasses import dataclass
from decimal import Decimal
from math import inf, nan
from typing import Any, NoReturn, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from relay_sdk import Codec, PayloadError, Queue
from relay_sdk.job import RawJob, from_raw, to_raw

from ..support.flow_player import received


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
def test_values_that_json_cannot_represent_are_refused(value: object) -> None:
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
    ids=lambda value: str(value).split(" at 0x")[0],
)
def test_values_that_json_cannot_represent_are_refused_inside_a_declared_type(
    form: Any, value: object
) -> None:
    with pytest.raises(PayloadError, match="'x' in queue 'emails'"):
        written(form, value)


def test_none_is_not_mistaken_for_nan() -> None:
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
def test_an_error_names_the_path_inside_the_payload(form: Any, text: bytes, path: str) -> None:
    with pytest.raises(PayloadError, match=path) as raised:
        read(form, text)
    assert (raised.value.queue, raised.value.id, raised.value.raw) == ("emails", "x", text)


def test_an_error_in_a_state_names_the_state() -> None:
    raw = received(state="much")
    with pytest.raises(PayloadError, match="state of job 'x'") as raised:
        from_raw(Queue("emails", state=int), raw)
    assert raised.value.raw == b'"much"'


def test_a_missing_state_is_none_for_every_type() -> None:
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


def test_an_error_of_a_codec_becomes_a_payload_error() -> None:
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


class Price(pydantic.BaseModel):
    amount: Decimal
    weight: float = 0.0
    rest: Any = None


@pytest.mark.parametrize("form", [Price, list[Price], Price | None, dict[str, Price]], ids=str)
@pytest.mark.parametrize(
    "digits", ["1.50", "0.12345678901234567890", "12345678901234567.89", "-0.10", "100.0", "7"]
)
def test_decimals_of_pydantic_keep_their_digits(form: Any, digits: str) -> None:
    """Both as strings, which the SDK writes, and as numbers, which other programs may write."""
    made = Price(amount=Decimal(digits))
    value: Any = {list[Price]: [made], dict[str, Price]: {"a": made}}.get(form, made)
    text = written(form, value)
    for came in (text, text.replace(b'"%b"' % digits.encode(), digits.encode())):
        assert digits.encode() in came
        assert str(read(form, came)) == str(value)


def test_other_numbers_beside_decimals_are_floats() -> None:
    price = read(Price, b'{"amount": 1.50, "weight": 2.50, "rest": [3.50]}')
    assert (price.weight, price.rest) == (2.5, [3.5])
    assert all(isinstance(number, float) for number in (price.weight, *price.rest))
    assert written(Price, price) == b'{"amount":"1.50","weight":2.5,"rest":[3.5]}'


@pydantic.dataclasses.dataclass
class Checked:
    size: int = pydantic.Field(gt=3)


@dataclass
class HoldsChecked:
    checked: list[Checked]


def test_a_pydantic_dataclass_is_validated() -> None:
    good = Checked(5)
    for form, text in ((Checked, b"%b"), (HoldsChecked, b'{"checked":[%b]}')):
        assert read(form, text % b'{"size":5}') in (good, HoldsChecked([good]))
        with pytest.raises(PayloadError, match=r"greater than 3 - at `\$.*size`"):
            read(form, text % b'{"size":1}')
    good.size = 1
    with pytest.raises(PayloadError, match="greater than 3"):
        written(Checked, good)


class Maybe(pydantic.BaseModel):
    size: int
    colour: str = "red"


class Other(pydantic.BaseModel):
    size: int


def test_a_union_member_that_would_be_decoded_as_another_is_refused() -> None:
    assert read(Maybe | Other, written(Maybe | Other, Maybe(size=1))) == Maybe(size=1)
    with pytest.raises(PayloadError, match="it would be decoded as a Maybe"):
        written(Maybe | Other, Other(size=1))


def test_a_value_that_matches_no_union_member_is_refused() -> None:
    with pytest.raises(PayloadError, match="payload of job 'x'"):
        written(Maybe | Other, Text("a"))
    with pytest.raises(PayloadError, match="payload of job 'x'"):
        read(Maybe | Other, b"[]")


@attrs.frozen
class HoldsModel:
    model: Model


def test_a_model_inside_an_attrs_class_is_validated() -> None:
    assert read(HoldsModel, b'{"model":{"value":1}}') == HoldsModel(Model(value=1))
    with pytest.raises(PayloadError, match="number - at"):
        read(HoldsModel, b'{"model":{"value":"much"}}')


@dataclass
class Picky:
    name: str

    def __post_init__(self) -> None:
        if self.name not in ("a", "null"):
            raise KeyError(self.name)


def test_an_error_of_a_class_becomes_a_payload_error() -> None:
    with pytest.raises(PayloadError, match="'b'"):
        read(Picky, b'{"name":"b"}')


@dataclass
class Underscored:
    _n: int
    _secret: str = ""


@dataclass(slots=True)
class Slotted(Underscored):
    _more: int = 0


def test_private_fields_of_a_dataclass_are_written() -> None:
    for value in (Underscored(1, "a"), Slotted(1, "a", 2)):
        assert read(type(value), written(type(value), value)) == value


@pytest.mark.parametrize("number", [1, 2**63, 10**30])
def test_a_nan_is_found_beside_nulls_and_numbers_of_any_size(number: int) -> None:
    form = list[int | float | None]
    assert read(form, written(form, [number, None])) == [number, None]
    for bad in (nan, inf, -inf, -nan):
        with pytest.raises(PayloadError, match="Out of range float"):
            written(form, [number, None, bad])


def test_models_of_pydantic_keep_their_aliases() -> None:
    class Aliased(pydantic.BaseModel):
        inner: int = pydantic.Field(alias="outer")

    assert written(Aliased, Aliased(outer=1)) == b'{"outer":1}'
    assert read(Aliased, b'{"outer":1}') == Aliased(outer=1)


def test_raw_jobs_keep_the_text_as_received() -> None:
    text = b'{"b": 1.50, "a": 1e2, "b": 2}'
    rest = b'"queue":"q","id":"x","timeout":1,"max_retries":0,"state":null,"run_at":null'
    job = b'{"payload":%b,' + rest + b"}"
    assert bytes(msgspec.json.decode(job % text, type=RawJob).payload) == text
