"""The SDK's one logger, and what keeps httpx from logging each request of the SDK beside it."""

import logging
from contextvars import ContextVar

logger: logging.Logger = logging.getLogger("relay_sdk")

requesting: ContextVar[bool] = ContextVar("relay_sdk requesting", default=False)
"""Whether the SDK is sending a request of its own, by a client that the user does not know."""


def _is_wanted(_: logging.LogRecord) -> bool:
    return not requesting.get() or logger.isEnabledFor(logging.DEBUG)


# A worker polls a few times a second, and httpx logs each request at INFO. The level of its logger
# is the program's to set: this leaves out the SDK's requests, and nothing else.
logging.getLogger("httpx").addFilter(_is_wanted)
