"""The SDK limits the depth of JSON, independently of the limits of its libraries."""

from typing import Any

import msgspec
import pytest

from relay_sdk import Codec, PayloadError, Queue
from relay_sdk._codecs.json import CodecError, check_depth
from relay_sdk.codec import MAX_DEPTH
from relay_sdk.job import from_raw, to_raw

from ..support.flow_player import received


def same(value: object) -> object:
    return value


FORMS: list[Any] = [Any, object, dict[str, Any] | list[Any], list[object], Codec(same, same)]


def lists(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def tree(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form).split(" at 0x")[0])
def test_the_maximum_depth_is_encoded_and_decoded(form: Any) -> None:
    q = Queue("emails", form, state=form)
    raw = to_raw(q.job("x", tree(MAX_DEPTH), state=tree(MAX_DEPTH)))
    assert bytes(raw.payload) == bytes(raw.state) == lists(MAX_DEPTH)
    job = from_raw(q, raw)
    assert job.payload == job.state == tree(MAX_DEPTH)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 850, 5000, 100_000])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form).split(" at 0x")[0])
def test_more_than_the_maximum_depth_raises_payload_error(form: Any, levels: int) -> None:
    q = Queue("emails", form, state=form)
    for fields in ({"payload": tree(levels)}, {"payload": [], "state": tree(levels)}):
        with pytest.raises(PayloadError, match=f"nested deeper than {MAX_DEPTH} levels"):
            to_raw(q.job("x", **fields))
    for name in ("payload", "state"):
        raw = msgspec.structs.replace(received(), payload=msgspec.Raw(b"[]"))
        raw = msgspec.structs.replace(raw, **{name: msgspec.Raw(lists(levels))})
        with pytest.raises(PayloadError, match=f"nested deeper than {MAX_DEPTH} levels"):
            from_raw(q, raw)


WIDE = b"[" + b",".join([b'{"[{": "}]"}'] * 3 * MAX_DEPTH) + b"]"
IN_STRINGS = b'["' + b"[{" * 3 * MAX_DEPTH + b'"]'
ESCAPED = rb'["\"", "\\", "\\\"' + b"[" * 3 * MAX_DEPTH + rb'\\"]'


@pytest.mark.parametrize("text", [WIDE, IN_STRINGS, ESCAPED], ids=["wide", "strings", "escapes"])
def test_brackets_that_do_not_nest_are_not_counted(text: bytes) -> None:
    check_depth(text)


@pytest.mark.parametrize("filler", [b'"]",', b'"\\"]",', b'"\\\\",', b'{"]":1},'])
def test_text_between_brackets_does_not_affect_the_count(filler: bytes) -> None:
    def text(levels: int) -> bytes:
        return (b"[" + filler) * (levels - 1) + b"[]" + b"]" * (levels - 1)

    check_depth(text(MAX_DEPTH))
    with pytest.raises(CodecError):
        check_depth(text(MAX_DEPTH + 1))


def test_objects_count_like_arrays() -> None:
    def text(levels: int) -> bytes:
        return b'{"k":' * (levels - 1) + b"{}" + b"}" * (levels - 1)

    check_depth(text(MAX_DEPTH))
    with pytest.raises(CodecError):
        check_depth(text(MAX_DEPTH + 1))
