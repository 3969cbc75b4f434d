"""What all unit tests share; /conftest.py sees to it that none is left out."""

from __future__ import annotations

import pytest
from hypothesis import settings

SHORT = 40
"""Examples of a property whose test asks for no number of its own; 100 with ``--long``."""

# The same examples every time, however slow the machine is.
settings.register_profile("long", derandomize=True, deadline=None)
settings.register_profile("short", settings.get_profile("long"), max_examples=SHORT)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "short")
