"""JSON text: what it cannot hold, and how deep it may be nested."""

import json
import re
from typing import Any

import msgspec

MAX_DEPTH = 500
"""How deep payload and state may be nested, whatever the versions of Python and the libraries."""


class CodecError(Exception):
    """A value or a text that does not fit; the text says why."""


def check_depth(text: bytes) -> None:
    """Refuse JSON nested deeper than `MAX_DEPTH`."""
    if len(text) < 2 * MAX_DEPTH:
        return
    text = bytes(text)
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = text.translate(_AS_BRACKETS, _OTHERS).replace(b'""', b"")
    # What is left between quotes are brackets in strings; the innermost level is counted at once.
    marks = b"".join(marks.split(b'"')[::2]).replace(b"[]", b"")
    level = 1
    for mark in marks:
        level += 1 if mark == _OPENING else -1
        if level > MAX_DEPTH:
            raise CodecError(TOO_DEEP)


def encode(value: object) -> bytes:
    """Write JSON with msgspec, but refuse NaN and infinity, of which it makes null."""
    text = _write(value)
    if text.find(b"null") >= 0:  # `in` takes twice the time
        refuse_nan(value)
    return text


def refuse_nan(value: object) -> None:
    """Look for NaN and infinity in msgpack, which is fast and keeps them: `ValueError`."""
    try:
        packed = _pack(value)
    except OverflowError:  # an integer too big for msgpack
        packed = b"\xcb\x7f\xf0"
    if packed.find(b"\xcb") >= 0 and _NAN_OR_INFINITE.search(packed):
        _CHECKER.encode(msgspec.to_builtins(value, enc_hook=_dump_to_look))


def _dump_model(value: Any) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _dump_to_look(value: Any) -> object:
    # In its mode for JSON, pydantic too makes null of NaN, where a type says `Any`.
    return value.model_dump() if hasattr(value, "model_dump") else None


_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_OPENING = ord("[")
_NAN_OR_INFINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL)
_write = msgspec.json.Encoder(enc_hook=_dump_model).encode
_pack = msgspec.msgpack.Encoder(enc_hook=_dump_to_look).encode
_CHECKER = json.JSONEncoder(allow_nan=False, skipkeys=True)
PLAIN_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
