"""Encode payloads and states as JSON by their declared type, and decode them."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from attrs import frozen
from typing_extensions import TypeForm

from relay_sdk._codecs.json import MAX_DEPTH as MAX_DEPTH
from relay_sdk._codecs.json import PLAIN_ENCODER, TOO_DEEP, CodecError, check_depth, encode
from relay_sdk._codecs.type_checks import check_type_form, is_pydantic, iter_types, type_name

T = TypeVar("T")


class TextCodec(Protocol[T]):
    """The interface with which a queue encodes and decodes its payloads or states."""

    def write(self, value: T) -> bytes:
        """Encode a value as JSON text; raise `CodecError` if that is impossible."""
        ...

    def read(self, text: bytes) -> T:
        """Decode JSON text; raise `CodecError` if it does not match the type."""
        ...


class MsgspecCodec(Generic[T]):
    """A codec for a type that msgspec validates, with pydantic for the models inside it."""

    def __init__(self, type_form: TypeForm[T]) -> None:
        check_type_form(type_form)
        decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_form, dec_hook=_decode_custom)
        self._decode: Callable[[bytes], T] = decoder.decode

    def write(self, value: T) -> bytes:
        try:
            text = encode(value)
        except Exception as error:
            raise CodecError(f"cannot be written as JSON: {_reason(error)}") from error
        # The value may not match the type, and the worker must be able to decode it.
        self.read(text)
        return text

    def read(self, text: bytes) -> T:
        check_depth(text)
        try:
            return self._decode(text)
        except Exception as error:
            raise CodecError(_reason(error)) from error


class PlainCodec(MsgspecCodec[Any]):
    """A codec for plain JSON: dicts, lists, strings, numbers, booleans and `None`."""

    def write(self, value: Any) -> bytes:
        text = self._encode_exact(value) or _encode_with_stdlib(value)
        check_depth(text)
        return text

    def _encode_exact(self, value: object) -> bytes | None:
        """Encode a value, or return `None` if it would be decoded as a different one.

        So the value is plain JSON, and no NaN has become null.
        """
        try:
            text = msgspec.json.encode(value)
            return text if self._decode(text) == value else None
        except Exception:  # noqa: BLE001 the stdlib encoder raises a clearer error
            return None


@frozen
class Codec(Generic[T]):
    """Two functions that convert a value to plain JSON values, and back.

    Their errors are raised as `PayloadError`. A type that needs no functions is passed to `Queue`
    directly.
    """

    encode: Callable[[T], object]
    decode: Callable[[Any], T]

    def write(self, value: T) -> bytes:
        try:
            plain = self.encode(value)
        except Exception as error:
            raise CodecError(f"its codec raised {error!r}") from error
        return PLAIN.write(plain)

    def read(self, text: bytes) -> T:
        plain = PLAIN.read(text)
        try:
            return self.decode(plain)
        except Exception as error:
            raise CodecError(f"its codec raised {error!r}") from error


def text_codec(type_form: Any) -> TextCodec[Any]:
    """Return the codec for a declared type; raise `TypeError` if JSON cannot represent it."""
    if isinstance(type_form, Codec):
        return type_form  # pyright: ignore[reportUnknownVariableType]
    if type_form is Any or type_form is object:
        return PLAIN
    if not any(map(is_pydantic, iter_types(type_form))):
        return MsgspecCodec(type_form)

    from pydantic import PydanticSchemaGenerationError, PydanticUserError

    from relay_sdk._codecs.pydantic import PydanticCodec

    try:
        return PydanticCodec(type_form)
    except PydanticSchemaGenerationError:
        return MsgspecCodec(type_form)  # pydantic supports neither attrs classes nor Structs
    except (PydanticUserError, NameError) as error:
        reason, *_ = str(error).splitlines()
        raise TypeError(
            f"pydantic cannot use {type_name(type_form)}: {reason} "
            "(define the types it uses before this queue, not in a function, or pass a Codec)"
        ) from error


def _encode_with_stdlib(value: object) -> bytes:
    """Encode plain JSON that contains other types, such as tuples and numbers as keys."""
    try:
        return PLAIN_ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"cannot be written as JSON: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return TOO_DEEP if isinstance(error, RecursionError) else str(error)


def _decode_custom(type_form: Any, value: object) -> Any:
    """Decode a custom type for msgspec: any object, or a model of pydantic."""
    if type_form is object:
        return value
    from relay_sdk._codecs.pydantic import load_model

    return load_model(type_form, value)


PLAIN = PlainCodec(Any)
