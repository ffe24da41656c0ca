"""What is collected stays to the end of the session: the garbage collector need not look through it again and again."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Set aside what there is now, thousands of tests and what they import."""
    gc.freeze()
