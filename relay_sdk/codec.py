"""Payload and state to JSON text and back, by their declared type."""

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
    """What a queue writes and reads its payloads and states with."""

    def write(self, value: T) -> bytes:
        """Write JSON text, or raise `CodecError`."""
        ...

    def read(self, text: bytes) -> T:
        """Read JSON text, or raise `CodecError`."""
        ...


class MsgspecCodec(Generic[T]):
    """A type that msgspec can write and validate, and pydantic the models inside it."""

    def __init__(self, type_form: TypeForm[T]) -> None:
        check_type_form(type_form)
        decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_form, dec_hook=_load)
        self._decode: Callable[[bytes], T] = decoder.decode

    def write(self, value: T) -> bytes:
        try:
            text = encode(value)
        except Exception as error:
            raise CodecError(f"JSON cannot hold it: {_reason(error)}") from error
        # Whoever receives the job must be able to read it.
        self.read(text)
        return text

    def read(self, text: bytes) -> T:
        check_depth(text)
        try:
            return self._decode(text)
        except Exception as error:
            raise CodecError(_reason(error)) from error


class PlainCodec(MsgspecCodec[Any]):
    """JSON as it is: dicts, lists, strings, numbers, booleans and `None`."""

    def write(self, value: Any) -> bytes:
        text = self._encode_exact(value) or _encode_with_stdlib(value)
        check_depth(text)
        return text

    def _encode_exact(self, value: object) -> bytes | None:
        """Write what is read back as equal: it is plain JSON, and no number became null."""
        try:
            text = msgspec.json.encode(value)
            return text if self._decode(text) == value else None
        except Exception:  # noqa: BLE001 whatever it is: the strict writer says what is wrong
            return None


@frozen
class Codec(Generic[T]):
    """Two functions of your own: from a value to plain JSON values, and back.

    What they raise becomes a `PayloadError`. A type that needs no functions goes to `Queue` itself.
    """

    encode: Callable[[T], object]
    decode: Callable[[Any], T]

    def write(self, value: T) -> bytes:
        try:
            plain = self.encode(value)
        except Exception as error:
            raise CodecError(f"its codec failed: {error!r}") from error
        return PLAIN.write(plain)

    def read(self, text: bytes) -> T:
        plain = PLAIN.read(text)
        try:
            return self.decode(plain)
        except Exception as error:
            raise CodecError(f"its codec failed: {error!r}") from error


def text_codec(type_form: Any) -> TextCodec[Any]:
    """Choose what writes and reads a declared type; `TypeError` when it has no JSON form."""
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
        return MsgspecCodec(type_form)  # pydantic knows no attrs classes and no Structs
    except (PydanticUserError, NameError) as error:
        reason, *_ = str(error).splitlines()
        raise TypeError(
            f"pydantic cannot use {type_name(type_form)}: {reason} "
            "(define what it names before this queue, and not in a function, or pass a Codec)"
        ) from error


def _encode_with_stdlib(value: object) -> bytes:
    """Write what is plain JSON in other types, such as tuples and keys that are numbers."""
    try:
        return PLAIN_ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"JSON cannot hold it: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return TOO_DEEP if isinstance(error, RecursionError) else str(error)


def _load(type_form: Any, value: object) -> Any:
    """Read what msgspec leaves to its hook."""
    if type_form is object:
        return value
    from relay_sdk._codecs.pydantic import load_model

    return load_model(type_form, value)


PLAIN = PlainCodec(Any)
