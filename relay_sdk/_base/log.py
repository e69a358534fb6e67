"""The logger of the SDK."""

import logging

logger: logging.Logger = logging.getLogger("relay_sdk")
