"""Encode JSON strictly: refuse NaN, infinity and deep nesting."""

import json
import re
from typing import Any

import msgspec

MAX_DEPTH = 500
"""The deepest nesting of payload and state, the same for all versions of Python and libraries."""


class CodecError(Exception):
    """A value cannot be encoded, or a text cannot be decoded. The message says why."""


def check_depth(text: bytes) -> None:
    """Refuse JSON nested deeper than `MAX_DEPTH`."""
    if len(text) < 2 * MAX_DEPTH:
        return
    text = bytes(text)  # it may be a `msgspec.Raw`
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # A string keeps its quotes and the brackets in it; an empty one is removed.
    marks = text.translate(_AS_BRACKETS, _OTHERS).replace(b'""', b"")
    # Every second part is inside a string. The innermost level is removed here and counted below.
    marks = b"".join(marks.split(b'"')[::2]).replace(b"[]", b"")
    level = 1
    for mark in marks:
        level += 1 if mark == _OPENING else -1
        if level > MAX_DEPTH:
            raise CodecError(TOO_DEEP)


def encode(value: object) -> bytes:
    """Encode a value with msgspec, but refuse NaN and infinity, which it would encode as null."""
    text = _encode(value)
    if text.find(b"null") >= 0:  # twice as fast as `in`
        refuse_nan(value)
    return text


def refuse_nan(value: object) -> None:
    """Raise `ValueError` if a value contains NaN or infinity.

    msgpack can represent both, so the value is encoded in it and searched, which is fast.
    """
    try:
        packed = _pack(value)
    except OverflowError:
        # An integer is too big for msgpack. An infinity leads to the slow check below.
        packed = b"\xcb\x7f\xf0"
    if packed.find(b"\xcb") >= 0 and _NAN_OR_INFINITE.search(packed):
        _STRICT_ENCODER.encode(msgspec.to_builtins(value, enc_hook=_dump_unchecked))


def _dump_model(value: Any) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _dump_unchecked(value: Any) -> object:
    # In JSON mode, pydantic also turns NaN into None where the type is `Any`.
    return value.model_dump() if hasattr(value, "model_dump") else None


_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_OPENING = ord("[")
_NAN_OR_INFINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL)
_encode = msgspec.json.Encoder(enc_hook=_dump_model).encode
_pack = msgspec.msgpack.Encoder(enc_hook=_dump_unchecked).encode
_STRICT_ENCODER = json.JSONEncoder(allow_nan=False, skipkeys=True)
PLAIN_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
