"""`python -m harness.load --spec JSON`: one load, until its time is over or standard input ends."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import threading
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.load import spec as specs
from harness.load.generator import Generator, Summary
from harness.load.records import Writer


def main() -> int:
    """Run one load and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.load", description=__doc__)
    parser.add_argument("--spec", required=True, help="the load as one JSON object")
    arguments = parser.parse_args()
    try:
        values = json.loads(arguments.spec)
        if not isinstance(values, dict):
            raise UsageError("the spec is no JSON object", where="load")
        spec = specs.from_mapping(values)
        with Writer(spec.out) as writer:
            summary = asyncio.run(_run(spec, writer))
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


async def _run(spec: specs.Spec, writer: Writer) -> Summary:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch_input, args=(loop, stop), daemon=True).start()
    generator = Generator(spec, writer)
    _say({"ready": True, "pid": os.getpid()})
    return await generator.run(stop)


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # os.read, because a buffered reader holds a lock that the interpreter wants back when it ends.
    while os.read(0, 4096):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


def _say(values: dict[str, Any]) -> None:
    # The reader may be gone: nobody is left to tell.
    try:
        os.write(1, (json.dumps(values) + "\n").encode())
    except OSError:
        return


if __name__ == "__main__":
    raise SystemExit(main())
