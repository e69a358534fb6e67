"""Payload and state to JSON text and back, by their declared type."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from attrs import frozen
from typing_extensions import TypeForm

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class Misfit(Exception):
    """A value or a text that does not fit; the text says why."""


class TextCodec(Protocol[T]):
    """What a queue writes and reads its payloads and states with."""

    def write(self, value: T) -> bytes:
        """Write JSON text, or raise `Misfit`."""
        ...

    def read(self, text: bytes) -> T:
        """Read JSON text, or raise `Misfit`."""
        ...


class Plain:
    """JSON as it is: dicts, lists, strings, numbers, booleans and `None`."""

    def write(self, value: Any) -> bytes:
        try:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            return text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Misfit(f"JSON cannot hold it: {error}") from error

    def read(self, text: bytes) -> Any:
        return _decode(_ANYTHING, text)


class Typed(Generic[T]):
    """A type that msgspec, or pydantic for its own models, can write and validate."""

    def __init__(self, form: TypeForm[T]) -> None:
        for custom in _custom_types(msgspec.inspect.type_info(form)):
            if not hasattr(custom, "model_validate_json"):
                raise TypeError(
                    f"{custom!r} has no JSON form: use a dataclass, an attrs class, a TypedDict, "
                    "a NamedTuple, a msgspec Struct or a pydantic model, or pass a Codec"
                )
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(form, dec_hook=_load_model)

    def write(self, value: T) -> bytes:
        try:
            text = _ENCODER.encode(value)
            if b"null" in text:
                # msgspec writes NaN and infinity as null; json refuses them.
                json.dumps(msgspec.to_builtins(value, enc_hook=_dump_model), allow_nan=False)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Misfit(f"JSON cannot hold it: {error}") from error
        # Whoever receives the job must be able to read it.
        self.read(text)
        return text

    def read(self, text: bytes) -> T:
        return _decode(self._decoder, text)


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
            raise Misfit(f"its codec failed: {error!r}") from error
        return PLAIN.write(plain)

    def read(self, text: bytes) -> T:
        plain = PLAIN.read(text)
        try:
            return self.decode(plain)
        except Exception as error:
            raise Misfit(f"its codec failed: {error!r}") from error


def text_codec(form: Any) -> TextCodec[Any]:
    """Choose what writes and reads a declared type; `TypeError` when it has no JSON form."""
    if isinstance(form, Codec):
        return form  # pyright: ignore[reportUnknownVariableType]
    return PLAIN if form is Any else Typed(form)


def _decode(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise Misfit(str(error)) from error


def _dump_model(value: Any) -> object:
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _load_model(form: Any, value: object) -> Any:
    return form.model_validate_json(msgspec.json.encode(value))


def _custom_types(node: object, seen: set[int] | None = None) -> Iterator[object]:
    """Find the classes inside a type that msgspec leaves to its hooks."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, msgspec.inspect.CustomType):
        yield node.cls
    elif isinstance(node, tuple):
        for part in node:  # pyright: ignore[reportUnknownVariableType]
            yield from _custom_types(part, seen)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in node.__struct_fields__:
            yield from _custom_types(getattr(node, name), seen)


_ENCODER = msgspec.json.Encoder(enc_hook=_dump_model)
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
PLAIN = Plain()
