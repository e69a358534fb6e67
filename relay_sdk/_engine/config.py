"""The settings that the flows of one client share."""

from collections.abc import Callable

from attrs import frozen

from relay_sdk._base.clock import Clock
from relay_sdk._protocol.negotiation import ApiChoice as ApiChoice
from relay_sdk._protocol.negotiation import VersionNegotiator
from relay_sdk.backoff import Backoff
from relay_sdk.events import Event


@frozen
class ClientConfig:
    """The settings of a client, and the API version that it has found."""

    next_backoff: Backoff
    retry_backoff: Backoff
    clock: Clock
    versions: VersionNegotiator
    timeout: float = 15.0
    may_long_poll: bool = True
    """Whether a held request can be ended early."""
    on_event: Callable[[Event], object] | None = None
