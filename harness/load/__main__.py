"""`python -m harness.load`: one load, until its time is over or standard input ends.

The first line of standard input is what it is told, as one JSON object: other people of a machine can read a command
line, and a header may hold a secret. Whatever comes after it begins the load's stages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.load import spec as specs
from harness.load.generator import Generator, Summary
from harness.load.records import Writer

_BLOCK = 65_536


def main() -> int:
    """Run one load and return its exit status."""
    try:
        told, _, more = _told().partition(b"\n")
        values = json.loads(told)
        if not isinstance(values, dict):
            raise UsageError("the spec is no JSON object", where="load")
        spec = specs.from_mapping(values)
        with Writer(spec.out) as writer:
            summary = asyncio.run(_run(spec, writer, begun=bool(more)))
    except (HarnessError, ValueError, OSError) as error:
        what, where, why, hint = (str(getattr(error, name, "")) for name in ("what", "where", "why", "hint"))
        _say({"error": {"what": what or str(error), "where": where, "why": why, "hint": hint}})
        return int(getattr(error, "exit", 7))
    _say(
        {
            "done": True,
            "operations": summary.operations,
            "late": summary.late,
            "not_sent": summary.not_sent,
            "max_lateness": round(summary.max_lateness_ns / 1e9, 4),
            "statuses": {str(status): count for status, count in sorted(summary.statuses.items())},
        }
    )
    return 0


def _told() -> bytes:
    """Read until the first line has come."""
    read = b""
    while b"\n" not in read:
        part = os.read(0, _BLOCK)
        if not part:
            raise UsageError("nobody said what to send", where="load", why="standard input ended before its first line")
        read += part
    return read


async def _run(spec: specs.Spec, writer: Writer, *, begun: bool) -> Summary:
    loop, stop, begin = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    if begun:
        begin.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch_input, args=(loop, stop, begin), daemon=True).start()
    generator = Generator(spec, writer)
    _say({"ready": True, "pid": os.getpid()})
    return await generator.run(stop, begin)


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, begin: asyncio.Event) -> None:
    # os.read, because a buffered reader holds a lock that the interpreter wants back when it ends.
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        while os.read(0, _BLOCK):
            loop.call_soon_threadsafe(begin.set)
        loop.call_soon_threadsafe(stop.set)


def _say(values: dict[str, Any]) -> None:
    # The reader may be gone: nobody is left to tell.
    try:
        os.write(1, (json.dumps(values) + "\n").encode())
    except OSError:
        return


if __name__ == "__main__":
    raise SystemExit(main())
