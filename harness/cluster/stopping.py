"""Work in a thread that ends when it is cancelled, and its command with it; imports little, for all use it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
LOOK_SECONDS = 0.2
_asked = threading.Event()
_commands: set[subprocess.Popen[Any]] = set()


async def in_thread(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Call a function in a thread; when cancelled, end all commands under way and wait for it before all else goes on.

    Ctrl-C cancels as asyncio does, and no shield of anyio's keeps that off: its own threads would go on unattended.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as alone:
        try:
            return await asyncio.wrap_future(alone.submit(work, *arguments))
        except asyncio.CancelledError:
            _asked.set()
            for process in list(_commands):
                process.kill()
            alone.shutdown()
            _asked.clear()
            raise


@contextmanager
def tied(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Have a command end with the work that it is part of; raises KeyboardInterrupt where that was cancelled."""
    _commands.add(process)
    try:
        # In this order: one that was not there yet when the others were killed sees here that it is not wanted.
        _go_on()
        yield
        _go_on()
    except BaseException:
        process.kill()
        raise
    finally:
        _commands.discard(process)


def pause() -> None:
    """Wait a moment before another look; raises KeyboardInterrupt where the work was cancelled."""
    _asked.wait(LOOK_SECONDS)
    _go_on()


def _go_on() -> None:
    # No error of ours, of which some mean that there is another way.
    if _asked.is_set():
        raise KeyboardInterrupt
