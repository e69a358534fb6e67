import io
import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_sdk.cli.errors import UsageError
from relay_sdk.cli.input_reader import MAX_RECORD_BYTES, read_records

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


class Trickle(io.BytesIO):
    """A stream that returns a few bytes per read."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size or 7))


class Endless(io.RawIOBase):
    """A stream that never ends."""

    def __init__(self, head: bytes, part: bytes) -> None:
        self._rest = head
        self._part = part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = self._part
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def texts(data: bytes, form: str | None = None) -> list[bytes]:
    return [record.text for record in read_records(io.BytesIO(data), form)]  # type: ignore[arg-type]


@given(st.lists(VALUES), st.sampled_from([None, 0, 2]), st.booleans())
def test_an_array_is_split_at_its_elements(
    values: list[object], indent: int | None, ascii: bool
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii).encode()

    for stream in (io.BytesIO(data), Trickle(data)):
        found = [json.loads(record.text) for record in read_records(stream, None)]
        assert found == values


@given(st.lists(VALUES))
def test_lines_are_split_at_line_ends(values: list[object]) -> None:
    data = "".join(f"{json.dumps(value)}\r\n\n" for value in values).encode()

    records = list(read_records(io.BytesIO(data), "lines"))

    assert [json.loads(record.text) for record in records] == values
    assert [record.position for record in records] == [
        f"line {2 * number + 1}" for number in range(len(values))
    ]


def test_numbers_keep_their_digits() -> None:
    data = b"[1.50, 1E400, -0, " + b"9" * 5000 + b"]"

    assert texts(data) == [b"1.50", b"1E400", b"-0", b"9" * 5000]


def test_the_first_character_decides_the_format() -> None:
    assert texts(b"\xef\xbb\xbf\n \n [1, 2]\n") == [b"1", b"2"]
    assert texts(b"\xef\xbb\xbf\n{}\n[1]\n") == [b"{}", b"[1]"]
    assert texts(b"[1]\n[2]\n", "lines") == [b"[1]", b"[2]"]
    assert texts(b"") == texts(b" \n \n") == texts(b"[ ]") == []


@pytest.mark.parametrize("head", [b'{"n": 1}\n', b'[{"n": 1},'])
def test_records_are_yielded_while_the_input_is_read(head: bytes) -> None:
    part = head.lstrip(b"[")
    stream = io.BufferedReader(Endless(head, part))

    first = list(islice(read_records(stream, None), 10_000))

    assert {record.text for record in first} == {b'{"n": 1}'}


@pytest.mark.parametrize(
    ("data", "form", "message"),
    [
        (b"[1", None, "element 1 of the array is not JSON: it is incomplete"),
        (b"[1,", None, "element 2 of the array is not JSON: Expecting value"),
        (b"[1,]", None, "element 2 of the array is not JSON: Expecting value"),
        (b"[1 2]", None, "after element 1 of the array there should be , or ], not '2'"),
        (b"[1", "array", "element 1 of the array is not JSON: it is incomplete"),
        (b"[NaN]", None, "element 1 of the array is not JSON: NaN is not a JSON number"),
        (b"[" * 100_000, None, "element 1 of the array is nested too deep"),
        (b"[1]\n[2]", None, "If each line is a separate record, pass --format lines"),
        (b"{}", "array", "the input is not an array"),
        (b"", "array", "the input is not an array"),
        (b'["\xff"]', None, "the input is not UTF-8"),
        (b'["\xc3', None, "the input is not UTF-8"),
        (b'1\n"\xff"\n', None, "line 2 is not UTF-8"),
        (b"1\n" + b"x" * (MAX_RECORD_BYTES + 1), None, "line 2 is longer than 4 MiB"),
        (
            b'["' + b"x" * (MAX_RECORD_BYTES + 1),
            None,
            "element 1 of the array is longer than 4 MiB",
        ),
    ],
)
def test_errors_have_a_position(data: bytes, form: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        texts(data, form)

    assert message in str(caught.value)


def test_a_record_without_an_end_is_not_read_whole() -> None:
    for head in (b"1\n", b"["):
        stream = io.BufferedReader(Endless(head, b'"xxxxxxxx' if head == b"[" else b"x" * 9))
        with pytest.raises(UsageError):
            list(read_records(stream, None))
