"""What pydantic writes and validates: imported only where a queue declares such a type."""

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
    """A type with pydantic's classes in it, which pydantic writes and validates as a whole."""

    def __init__(self, type_form: Any) -> None:
        adapter: TypeAdapter[T] = TypeAdapter(type_form)
        _ = adapter.validator.title  # a model that is not fully defined fails here
        self._validator = adapter.validator
        self._serializer = adapter.serializer
        self._is_union = is_union(type_form)
        kinds = list(iter_types(type_form))
        # Bytes may be base64 in JSON alone: such a type is left to `validate_json`.
        self._keeps_digits = Decimal in kinds and bytes not in kinds

    def write(self, value: T) -> bytes:
        try:
            text = encode(
                self._serializer.to_python(value, mode="json", by_alias=True, warnings="error")
            )
            if text.find(b"null") >= 0:
                refuse_nan(self._serializer.to_python(value))
        except Exception as error:
            raise CodecError(f"JSON cannot hold it: {_explain(error)}") from error
        back = self.read(text)
        if self._is_union and not isinstance(value, type(back)):
            raise CodecError(
                f"it would be read as a {type(back).__name__}: give the classes of the union "
                "a Literal field each that tells them apart"
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
            # pydantic makes its Decimals of floats, where JSON has a number.
            with suppress(ValueError):
                value = self._validator.validate_python(json.loads(text, parse_float=Exact.of))
        return value


class Exact(float):
    """A float that shows the digits it was made of."""

    digits: str

    @classmethod
    def of(cls, digits: str) -> float:
        """Make one, or a plain float where that shows the same."""
        exact = cls(digits)
        exact.digits = digits
        return exact if repr(exact) != digits else float(digits)

    def __str__(self) -> str:
        return self.digits


def load_model(type_form: Any, value: object) -> Any:
    """Make a model inside of what msgspec reads."""
    try:
        return type_form.model_validate_json(msgspec.json.encode(value))
    except ValidationError as error:
        raise ValueError(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Say in one line what pydantic raised."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    return "; ".join(
        f"{problem['msg']} - at `{_path(problem['loc'])}`"
        for problem in error.errors(include_url=False, include_input=False)[:5]
    )


def _path(steps: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


_MANY_DIGITS = re.compile(rb"\.[0-9]*0(?![0-9])|[0-9.]{17}")
