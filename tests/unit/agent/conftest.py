"""A lab for each test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.agent.lab import Lab, missing


@pytest.fixture
def lab() -> Iterator[Lab]:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    made = Lab()
    yield made
    made.close()
