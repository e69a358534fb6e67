"""The input of `enqueue`, cut into records as it is read: it may be larger than the memory."""

import json
from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO, Literal, NoReturn, TypeAlias

from attrs import frozen

from relay_sdk.cli.outcome import Mistake

Form: TypeAlias = Literal["lines", "array"]

LONGEST = 4 * 1024 * 1024
"""Bytes of a record. The server takes 2 MiB; escapes and indentation may double that."""
CHUNK = 64 * 1024


@frozen
class Record:
    """A line, or an element of the array: where it stands, and its text."""

    where: str
    text: bytes


def read_records(stream: BinaryIO, form: Form | None) -> Iterator[Record]:
    """Read JSON Lines or one JSON array, by its first character unless told which.

    What is wrong with the input is a `Mistake`, raised when it is reached.
    """
    number = 1
    line = stream.readline(LONGEST + 1).removeprefix(BOM_UTF8)
    while line.isspace():
        line = stream.readline(LONGEST + 1)
        number += 1
    if form is None:
        form = "array" if line.lstrip().startswith(b"[") else "lines"
    if form == "array":
        return _elements(chain([line], iter(partial(stream.read, CHUNK), b"")))
    return _lines(stream, line, number)


def _lines(stream: BinaryIO, line: bytes, number: int) -> Iterator[Record]:
    while line:
        where = f"line {number}"
        if len(line) > LONGEST:
            raise Mistake(f"{where} is longer than {LONGEST >> 20} MiB")
        if text := line.strip():
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise Mistake(f"{where} is not UTF-8: {error}") from error
            yield Record(where, text)
        line = stream.readline(LONGEST + 1)
        number += 1


def _elements(chunks: Iterator[bytes]) -> Iterator[Record]:
    window = _Window(chunks)
    if window.character() != "[":
        raise Mistake("the input is not an array: it does not begin with [")
    window.at += 1
    number = 0
    closed = window.character() == "]"
    while not closed:
        number += 1
        where = f"element {number} of the array"
        yield Record(where, window.value(where))
        after = window.character()
        if after not in (",", "]"):
            raise Mistake(f"after {where} there should be , or ], not {after!r}")
        closed = after == "]"
        window.at += not closed
    window.at += 1
    if window.character():
        raise Mistake(
            "something follows the array. If each line is a payload of its own: --format lines"
        )


class _Window:
    """The part of a long text that is looked at: from `at` on, and more when it is asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.at = 0
        self._chunks = chunks
        self._text = ""
        self._decoder = getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(
            # Only the end of a value is wanted; Python's numbers have limits that JSON's have not.
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse,
        )

    def character(self) -> str:
        """Give the next character that is no white space, or nothing at the end."""
        while True:
            while self.at < len(self._text):
                if self._text[self.at] not in " \t\r\n":
                    return self._text[self.at]
                self.at += 1
            if not self._more():
                return ""

    def value(self, where: str) -> bytes:
        """Give the JSON text of the next value, and go past it."""
        self.character()
        while True:
            problem = "it is cut off"
            try:
                end = self._json.raw_decode(self._text, self.at)[1]
                # A number that ends where the window does may go on behind it.
                if end < len(self._text):
                    text = self._text[self.at : end].encode()
                    self.at = end
                    return text
            except json.JSONDecodeError as error:
                problem = error.msg
            except ValueError as error:
                raise Mistake(f"{where} is not JSON: {error}") from error
            except RecursionError as error:
                raise Mistake(f"{where} is nested too deep") from error
            if len(self._text) - self.at > LONGEST:
                raise Mistake(f"{where} is longer than {LONGEST >> 20} MiB, or {problem}")
            if not self._more():
                raise Mistake(f"{where} is not JSON: {problem}")

    def _more(self) -> bool:
        """Double the window; tell whether there was more."""
        parts = [self._text[self.at :]]
        self.at = 0
        wanted = max(CHUNK, len(parts[0]))
        try:
            while wanted > 0:
                chunk = next(self._chunks, b"")
                parts.append(self._decoder.decode(chunk, final=not chunk))
                if not chunk:
                    break
                wanted -= len(chunk)
        except UnicodeDecodeError as error:
            raise Mistake(f"the input is not UTF-8: {error}") from error
        self._text = "".join(parts)
        return len(parts) > 1 and any(parts[1:])


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
