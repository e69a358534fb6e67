"""What all tests share."""

from hypothesis import settings

# How long an example takes is the machine's affair.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")
