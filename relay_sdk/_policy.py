"""How a client waits and retries, and which version of the API it speaks."""

from collections.abc import Callable

from attrs import frozen

from relay_sdk._clock import Clock
from relay_sdk._wire.detection import ApiChoice as ApiChoice
from relay_sdk._wire.detection import Versions
from relay_sdk.backoff import Backoff
from relay_sdk.events import Event


@frozen
class Policy:
    """What the flows of one client share."""

    next_backoff: Backoff
    retry_backoff: Backoff
    clock: Clock
    versions: Versions
    timeout: float = 15.0
    may_hold: bool = True
    """Whether a request that the server holds can be ended early."""
    on_event: Callable[[Event], object] | None = None
