"""Ask again until an answer is the one that is waited for, for so many seconds at the most."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import ClusterUnreachable

LOOK_EVERY = 0.5
Answer = TypeVar("Answer")


def waited(look: Callable[[], Answer], good: Callable[[Answer], bool], seconds: float) -> Answer:
    """Return the first answer that is good, or the last one when the time is up.

    Until then a look that nobody answers says nothing; the last one raises ClusterUnreachable.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(ClusterUnreachable):
            if good(found := look()):
                return found
        time.sleep(min(LOOK_EVERY, left))
    return look()
