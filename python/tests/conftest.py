"""Settings of all tests."""

from hypothesis import settings

# a shared machine may stall for a second: how long an example takes says nothing about it
settings.register_profile("quorum", deadline=None)
settings.load_profile("quorum")
