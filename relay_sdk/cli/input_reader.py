"""Split the input of `enqueue` into records while it is read: it may be larger than memory."""

import json
from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO, Literal, NoReturn, TypeAlias

from attrs import frozen

from relay_sdk.cli.errors import UsageError

InputFormat: TypeAlias = Literal["lines", "array"]

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""The server accepts 2 MiB; escapes and indentation may double the size of the text."""
CHUNK_BYTES = 64 * 1024


@frozen
class Record:
    """A line, or an element of the array, with its position in the input."""

    position: str
    text: bytes


def read_records(stream: BinaryIO, input_format: InputFormat | None) -> Iterator[Record]:
    """Read JSON Lines or one JSON array. By default, the first character decides which.

    Raise `UsageError` when an invalid record is reached.
    """
    number = 1
    line = stream.readline(MAX_RECORD_BYTES + 1).removeprefix(BOM_UTF8)
    while line.isspace():
        line = stream.readline(MAX_RECORD_BYTES + 1)
        number += 1
    if input_format is None:
        input_format = "array" if line.lstrip().startswith(b"[") else "lines"
    if input_format == "array":
        return _elements(chain([line], iter(partial(stream.read, CHUNK_BYTES), b"")))
    return _lines(stream, line, number)


def _lines(stream: BinaryIO, line: bytes, number: int) -> Iterator[Record]:
    while line:
        position = f"line {number}"
        if len(line) > MAX_RECORD_BYTES:
            raise UsageError(f"{position} is longer than {MAX_RECORD_BYTES >> 20} MiB")
        if text := line.strip():
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise UsageError(f"{position} is not UTF-8: {error}") from error
            yield Record(position, text)
        line = stream.readline(MAX_RECORD_BYTES + 1)
        number += 1


def _elements(chunks: Iterator[bytes]) -> Iterator[Record]:
    window = _Window(chunks)
    if window.character() != "[":
        raise UsageError("the input is not an array: it does not begin with [")
    window.at += 1
    number = 0
    closed = window.character() == "]"
    while not closed:
        number += 1
        position = f"element {number} of the array"
        yield Record(position, window.value(position))
        after = window.character()
        if after not in (",", "]"):
            raise UsageError(f"after {position} there should be , or ], not {after!r}")
        closed = after == "]"
        window.at += not closed
    window.at += 1
    if window.character():
        raise UsageError(
            "there is text after the array. If each line is a separate record, pass --format lines"
        )


class _Window:
    """The part of a long text that is in memory. `at` is the index of the next character."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.at = 0
        self._chunks = chunks
        self._text = ""
        self._decoder = getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(
            # Only the end of a value is needed, and Python limits the digits of an int.
            parse_int=str,
            parse_float=str,
            parse_constant=_reject_constant,
        )

    def character(self) -> str:
        """Return the next character that is not white space, or `""` at the end."""
        while True:
            while self.at < len(self._text):
                if self._text[self.at] not in " \t\r\n":
                    return self._text[self.at]
                self.at += 1
            if not self._read_more():
                return ""

    def value(self, position: str) -> bytes:
        """Return the JSON text of the next value, and move behind it."""
        self.character()
        while True:
            problem = "it is incomplete"
            try:
                end = self._json.raw_decode(self._text, self.at)[1]
                # A number at the end of the window may continue behind it.
                if end < len(self._text):
                    text = self._text[self.at : end].encode()
                    self.at = end
                    return text
            except json.JSONDecodeError as error:
                problem = error.msg
            except ValueError as error:
                raise UsageError(f"{position} is not JSON: {error}") from error
            except RecursionError as error:
                raise UsageError(f"{position} is nested too deeply") from error
            if len(self._text) - self.at > MAX_RECORD_BYTES:
                raise UsageError(
                    f"{position} is longer than {MAX_RECORD_BYTES >> 20} MiB, or {problem}"
                )
            if not self._read_more():
                raise UsageError(f"{position} is not JSON: {problem}")

    def _read_more(self) -> bool:
        """Double the window, and return whether there was more to read."""
        parts = [self._text[self.at :]]
        self.at = 0
        wanted = max(CHUNK_BYTES, len(parts[0]))
        try:
            while wanted > 0:
                chunk = next(self._chunks, b"")
                parts.append(self._decoder.decode(chunk, final=not chunk))
                if not chunk:
                    break
                wanted -= len(chunk)
        except UnicodeDecodeError as error:
            raise UsageError(f"the input is not UTF-8: {error}") from error
        self._text = "".join(parts)
        return len(parts) > 1 and any(parts[1:])


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
