"""Where the failed runs of a job are counted: in its state, which outlives the worker.

A server counts timeouts only, and starts that count anew whenever a job is queued again. So the
state of a job that has failed goes into an envelope, which is taken off wherever the SDK reads a
state: `{"relay_sdk": {"failures": 2}, "state": ...}`.
"""

from datetime import datetime
from typing import Annotated

import msgspec

_MARK = b'"relay_sdk"'


class FailureCount(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many runs have failed, and when the first of them was due."""

    failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    due: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    relay_sdk: FailureCount
    state: msgspec.Raw


NO_FAILURES = FailureCount()
_envelope = msgspec.json.Decoder(_Envelope)


def unwrap(text: msgspec.Raw) -> tuple[FailureCount, msgspec.Raw]:
    """Take a state out of its envelope, if it is in one."""
    if len(text) > len(_MARK) and bytes(text).find(_MARK) >= 0:
        try:
            envelope = _envelope.decode(text)
        except (ValueError, RecursionError):
            return NO_FAILURES, text  # a state of the user's that has such a word in it
        return envelope.relay_sdk, envelope.state
    return NO_FAILURES, text


def wrap(count: FailureCount, state: msgspec.Raw) -> msgspec.Raw:
    """Put a state into an envelope, if there is something to count."""
    return (
        state if count == NO_FAILURES else msgspec.Raw(msgspec.json.encode(_Envelope(count, state)))
    )
