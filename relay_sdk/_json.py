"""JSON text: what it cannot hold, and how deep it may be nested."""

import json
import re
from typing import Any

import msgspec

MAX_DEPTH = 500
"""How deep payload and state may be nested, whatever the versions of Python and the libraries."""


class Misfit(Exception):
    """A value or a text that does not fit; the text says why."""


def check_depth(text: bytes) -> None:
    """Refuse JSON nested deeper than `MAX_DEPTH`."""
    if len(text) < 2 * MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
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
            raise Misfit(TOO_DEEP)


def encode(value: object) -> bytes:
    """Write JSON with msgspec, but refuse NaN and infinity, of which it makes null."""
    text = _ENCODER.encode(value)
    if b"null" in text and _may_hold_nan(value):
        PLAIN_ENCODER.encode(msgspec.to_builtins(value, enc_hook=_dump_model))
    return text


def _may_hold_nan(value: object) -> bool:
    """Look for such a float in msgpack, which is fast and keeps them."""
    try:
        return bool(_NAN_OR_INFINITE.search(_PACKER.encode(value)))
    except OverflowError:
        return True  # an integer too big for msgpack


def _dump_model(value: Any) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_OPENING = ord("[")
_NAN_OR_INFINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL)
_ENCODER = msgspec.json.Encoder(enc_hook=_dump_model)
_PACKER = msgspec.msgpack.Encoder(enc_hook=_dump_model)
PLAIN_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
