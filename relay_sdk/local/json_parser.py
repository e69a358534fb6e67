"""Parse a JSON request body: the first problem in document order decides the response."""

import re
from collections.abc import Callable, Collection, Iterator
from json import JSONDecodeError, JSONDecoder
from math import isinf
from typing import Never, TypeVar

from .exceptions import BackendError, RequestError

T = TypeVar("T")

MAX_JSON_DEPTH = 500

_SPACE = re.compile(r"[ \t\n\r]*+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
# All up to the next bracket that is not inside a string.
_BRACKET = re.compile(
    r'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+([\[\]{}])', re.DOTALL
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTAINERS = {"[": "sequence", "{": "map"}
_LITERALS = {
    "n": ("null", "null"),
    "t": ("true", "boolean `true`"),
    "f": ("false", "boolean `false`"),
}


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


# Numbers stay text: converting one of a million digits takes long, and Python refuses it.
_DECODER = JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)


class JsonParser:
    """A position in a JSON document.

    Each method parses one value and moves past it. A syntax error is refused with 400, and a value
    of the wrong type with 422.
    """

    def __init__(self, body: bytes) -> None:
        self.at: int = 0
        self.path: list[str] = []
        self.cut: bool = False
        try:
            self.text: str = body.decode()
        except UnicodeDecodeError as error:
            self.text = body[: error.start].decode()
            self.cut = True  # the text before the bad byte may have an earlier problem

    def array(self, item: Callable[["JsonParser"], T]) -> list[T]:
        if self.peek() != "[":
            self.wrong_type("a sequence")
        items: list[T] = []
        self.at += 1
        if self.peek("list") == "]":
            self.at += 1
            return items
        while True:
            self.path.append(f"[{len(items)}]")
            items.append(item(self))
            self.path.pop()
            if self._skip_comma_or_end("]", "list"):
                return items
            if self.peek() == "]":
                self.syntax("trailing comma")

    def fields(self, known: Collection[str], expected: str) -> Iterator[str]:
        """Yield the name of each known field of an object; the caller then parses its value."""
        if self.peek() == "[":
            self._no_positions(expected)
        if self.peek() != "{":
            self.wrong_type(expected)
        seen: set[str] = set()
        self.at += 1
        if self.peek("object") == "}":
            self.at += 1
            return
        while True:
            name = self._name()
            self.path.append(f".{name}")
            if name not in known:
                self.value()
            elif name in seen:
                self.path.pop()
                self.mismatch(f"duplicate field `{name}`")
            else:
                seen.add(name)
                yield name
            self.path.pop()
            if self._skip_comma_or_end("}", "object"):
                return
            if self.peek("object") == "}":
                self.syntax("trailing comma")

    def _no_positions(self, expected: str) -> Never:
        """Refuse an array in place of an object, as the real server does."""
        start, self.at = self.at, self.at + 1
        if self.peek() not in '"]':
            self.path.append("[0]")
            self.wrong_type("a string")  # the first field of a job is a string, in both versions
        self.at = start
        self.wrong_type(expected)

    def required(self, name: str, value: T | None) -> T:
        if value is None:
            self.mismatch(f"missing field `{name}`")
        return value

    def string(self, expected: str = "a string") -> str:
        if self.peek() != '"':
            self.wrong_type(expected)
        try:
            text, self.at = _DECODER.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            self._undecodable(error)
        if _SURROGATE.search(str(text)):
            self.syntax("lone leading surrogate in hex escape")
        return str(text)

    def integer(self, low: int, high: int, expected: str) -> int:
        """Parse an integer literal between low and high."""
        start = self._start()
        found = _NUMBER.match(self.text, start)
        if not found or found[1] or found[2] or found[0] == "-0":
            self.wrong_type(expected)
        self.at = found.end()
        literal = found[0]
        self._check_number(literal)
        if len(literal) > 20 or not low <= int(literal) <= high:
            self.mismatch(f"invalid value: integer `{literal[:40]}`, expected {expected}")
        return int(literal)

    def null(self) -> bool:
        """Move past null if it comes next; return whether it did."""
        if self.peek() != "n":
            return False
        self._word("null")
        return True

    def value(self) -> str:
        """Parse any value, and return its text unchanged."""
        start = self._start()
        if self.text[start : start + 1] in _CONTAINERS:
            self._check_depth()
        try:
            self.at = _DECODER.raw_decode(self.text, start)[1]
        except JSONDecodeError as error:
            self._undecodable(error)
        except ValueError:
            self.syntax("expected value")
        if self.text[self.at - 1].isdigit():
            self._check_number_ends()
        return self.text[start : self.at]

    def end(self) -> None:
        self._start()
        if self.cut:
            self.syntax("invalid unicode code point")
        if self.at < len(self.text):
            self.syntax("trailing characters")

    def wrong_type(self, expected: str) -> Never:
        """Refuse the next value for its type, or for its syntax."""
        first = self.peek()
        if first in _CONTAINERS:
            found = _CONTAINERS[first]
        elif first in _LITERALS:
            word, found = _LITERALS[first]
            self._word(word)
        elif first == '"':
            found = f'string "{self.string()}"'
        elif number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            self._check_number(number[0])
            kind = "floating point" if number[1] or number[2] or number[0] == "-0" else "integer"
            found = f"{kind} `{number[0][:40]}`"
        else:
            self.syntax("invalid number" if first == "-" else "expected value")
        self.mismatch(f"invalid type: {found}, expected {expected}")

    def mismatch(self, detail: str) -> Never:
        self._refuse(422, "Failed to deserialize the JSON body into the target type", detail)

    def syntax(self, detail: str) -> Never:
        self._refuse(400, "Failed to parse the request body as JSON", detail)

    def _refuse(self, status: int, what: str, detail: str) -> Never:
        path = "".join(self.path).removeprefix(".")
        before = self.text[: self.at]
        column = len(before[before.rfind("\n") + 1 :].encode())
        place = f"at line {before.count(chr(10)) + 1} column {column}"
        raise RequestError(status, f"{what}: {path and path + ': '}{detail} {place}")

    def _check_depth(self) -> None:
        """Refuse a value that is too deep, before the decoder recurses into it.

        The depth that the decoder can handle depends on Python and on the stack of the caller.
        """
        level, at = 0, self.at
        while found := _BRACKET.match(self.text, at):
            at = found.end()
            level += 1 if found[1] in _CONTAINERS else -1
            if level > MAX_JSON_DEPTH:
                raise BackendError(
                    "db error: ERROR: stack depth limit exceeded "
                    f"(JSON may be nested {MAX_JSON_DEPTH} levels deep here)"
                )
            if level == 0:
                return

    def _undecodable(self, error: JSONDecodeError) -> Never:
        self.at = error.pos
        if error.pos >= len(self.text) or error.msg.startswith("Unterminated string"):
            self.at = len(self.text)
            self.syntax("EOF while parsing a value")
        self.syntax(error.msg[0].lower() + error.msg[1:])

    def _start(self) -> int:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def peek(self, inside: str = "value") -> str:
        start = self._start()
        if start == len(self.text):
            self.syntax(f"EOF while parsing a{'n' if inside == 'object' else ''} {inside}")
        return self.text[start]

    def _check_number(self, literal: str) -> None:
        """Refuse a literal that is malformed at its end, or too large for a float."""
        self._check_number_ends()
        if isinf(float(literal)):
            self.syntax("number out of range")

    def _check_number_ends(self) -> None:
        if self.text[self.at : self.at + 1] in tuple(".0123456789eE"):
            self.syntax("invalid number")

    def _word(self, word: str) -> None:
        if not self.text.startswith(word, self.at):
            if word.startswith(self.text[self.at :]):
                self.syntax("EOF while parsing a value")
            self.syntax("expected ident")
        self.at += len(word)

    def _name(self) -> str:
        if self.peek("object") != '"':
            self.syntax("key must be a string")
        name = self.string()
        if self.peek("object") != ":":
            self.syntax("expected `:`")
        self.at += 1
        return name

    def _skip_comma_or_end(self, close: str, inside: str) -> bool:
        """Move past a comma and return False, or past the end and return True."""
        mark = self.peek(inside)
        if mark not in (",", close):
            self.syntax(f"expected `,` or `{close}`")
        self.at += 1
        return mark == close
