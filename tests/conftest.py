"""What all tests share."""

import os
import signal
from unittest.mock import patch

from hypothesis import settings

# How long an example takes is the machine's affair.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")

# A shell ignores Ctrl-C for what it runs in the background, and programs that are started inherit
# that; those of these tests are to be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The SDK takes httptools where it is installed. With this it is tested as if it were not.
if os.environ.get("RELAY_TEST_TRANSPORT") == "httpx":
    patch("relay_sdk._http.has_httptools", return_value=False).start()
