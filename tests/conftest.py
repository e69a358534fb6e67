"""What all tests share."""

import os
from unittest.mock import patch

from hypothesis import settings

# How long an example takes is the machine's affair.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")

# The SDK takes httptools where it is installed. With this it is tested as if it were not.
if os.environ.get("RELAY_TEST_TRANSPORT") == "httpx":
    patch("relay_sdk._http.has_httptools", return_value=False).start()
