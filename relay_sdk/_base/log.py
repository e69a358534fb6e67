"""The SDK's one logger."""

import logging

logger: logging.Logger = logging.getLogger("relay_sdk")
