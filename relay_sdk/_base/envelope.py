"""Count the failed runs of a job in its state, which outlives the worker.

The server counts only timeouts, and resets that count whenever a job is queued again. So the state
of a job that has failed is wrapped in an envelope: `{"relay_sdk": {"failures": 2}, "state": ...}`.
The SDK unwraps it wherever it reads a state.
"""

from datetime import datetime
from typing import Annotated

import msgspec

_KEY = b'"relay_sdk"'


class FailureCount(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The number of failed runs, and when the first of them was due."""

    failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    due: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    relay_sdk: FailureCount
    state: msgspec.Raw


NO_FAILURES = FailureCount()
_decode = msgspec.json.Decoder(_Envelope).decode


def unwrap(text: msgspec.Raw) -> tuple[FailureCount, msgspec.Raw]:
    """Return the failure count and the state that were wrapped, or no failures and the state."""
    # Most states have no envelope, and a search for the key is faster than decoding.
    if len(text) > len(_KEY) and bytes(text).find(_KEY) >= 0:
        try:
            envelope = _decode(text)
        except (ValueError, RecursionError):
            return NO_FAILURES, text  # a state of the user that contains the key
        return envelope.relay_sdk, envelope.state
    return NO_FAILURES, text


def wrap(count: FailureCount, state: msgspec.Raw) -> msgspec.Raw:
    """Wrap a state in an envelope with the failure count, unless there are no failures."""
    if count == NO_FAILURES:
        return state
    return msgspec.Raw(msgspec.json.encode(_Envelope(count, state)))
