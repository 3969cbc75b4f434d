"""What all unit tests share; /conftest.py sees to it that none is left out."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time, however slow the machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
