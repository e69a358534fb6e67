"""Encode and decode with pydantic. Imported only when a queue declares a type of pydantic."""

import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError

from relay_sdk._codecs.json import CodecError, check_depth, encode, refuse_nan
from relay_sdk._codecs.type_checks import is_union, iter_types

T = TypeVar("T")


class PydanticCodec(Generic[T]):
    """A codec for a type that contains classes of pydantic, which pydantic handles as a whole."""

    def __init__(self, type_form: Any) -> None:
        adapter: TypeAdapter[T] = TypeAdapter(type_form)
        _ = adapter.validator.title  # raises here if a model is not fully defined
        self._validator = adapter.validator
        self._serializer = adapter.serializer
        self._is_union = is_union(type_form)
        types = list(iter_types(type_form))
        # pydantic may decode bytes from base64, but only in `validate_json`.
        self._keeps_digits = Decimal in types and bytes not in types

    def write(self, value: T) -> bytes:
        try:
            text = encode(
                self._serializer.to_python(value, mode="json", by_alias=True, warnings="error")
            )
            if text.find(b"null") >= 0:
                refuse_nan(self._serializer.to_python(value))
        except Exception as error:
            raise CodecError(f"cannot be written as JSON: {_explain(error)}") from error
        decoded = self.read(text)
        if self._is_union and not isinstance(value, type(decoded)):
            raise CodecError(
                f"it would be decoded as a {type(decoded).__name__}: add a Literal field with "
                "a different value to each class of the union"
            )
        return text

    def read(self, text: bytes) -> T:
        check_depth(text)
        text = bytes(text)  # it may be a `msgspec.Raw`
        try:
            value: T = self._validator.validate_json(text)
        except Exception as error:
            raise CodecError(_explain(error)) from error
        if self._keeps_digits and _MANY_DIGITS.search(text):
            # pydantic parses numbers as floats before it makes Decimals of them.
            with suppress(ValueError):
                value = self._validator.validate_python(
                    json.loads(text, parse_float=ExactFloat.parse)
                )
        return value


class ExactFloat(float):
    """A float whose string has the digits that it was parsed from."""

    digits: str

    @classmethod
    def parse(cls, digits: str) -> float:
        """Return an exact float, or a plain float if its string has the same digits."""
        exact = cls(digits)
        exact.digits = digits
        return exact if repr(exact) != digits else float(digits)

    def __str__(self) -> str:
        return self.digits


def load_model(type_form: Any, value: object) -> Any:
    """Validate a model that is part of a value decoded by msgspec."""
    try:
        return type_form.model_validate_json(msgspec.json.encode(value))
    except ValidationError as error:
        raise ValueError(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Return the message of an error of pydantic in one line."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    return "; ".join(
        f"{problem['msg']} - at `{_path(problem['loc'])}`"
        for problem in error.errors(include_url=False, include_input=False)[:5]
    )


def _path(steps: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


_MANY_DIGITS = re.compile(rb"\.[0-9]*0(?![0-9])|[0-9.]{17}")
