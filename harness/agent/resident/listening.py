"""What a worker hears: its order, then what ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any

from harness.agent.resident.refused import Refused

INPUT, OUTPUT = 0, 1


def order() -> Any:
    """Read the first line of the input; raises Refused where there is none, or no JSON."""
    # Read byte by byte: what follows the first line is for the loop.
    line = b""
    while not line.endswith(b"\n"):
        one = os.read(INPUT, 1)
        if not one:
            raise Refused("no order", "its input ended")
        line += one
    try:
        return json.loads(line)
    except ValueError as error:
        raise Refused("not an order", str(error)) from None


def signals() -> int:
    """Have SIGTERM, SIGINT and SIGHUP end the loop, and return what becomes readable then."""
    reads, writes = socket.socketpair()
    writes.setblocking(False)
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, lambda *_: None)
    signal.set_wakeup_fd(writes.detach())
    return reads.detach()
