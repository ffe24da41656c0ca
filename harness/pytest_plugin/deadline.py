"""Let pytest-timeout end a run the way an abort does: undone at once, with a verdict, whichever of its methods is set.

By itself it would raise in the middle of whatever the event loop does, or end the process: the undo would be left to
the keeper, and nobody would judge. So an experiment's timer is ours. In a test in Python the run is ended first, and
then pytest-timeout does to the test what it always does: it may be the test itself that hangs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.engine.options import Stop
from harness.errors import Exit
from harness.pytest_plugin import session
from harness.pytest_plugin.items import ExperimentItem

# How long a test may take to notice that its run was ended before the process is.
NOTICE_SECONDS = 1.0


def start(item: pytest.Item, settings: Any) -> bool:
    """Start the timer of an item that is an experiment or has the `chaos` fixture; `settings` are pytest-timeout's."""
    reason = f"pytest-timeout: {settings.timeout:g} s are over"
    if isinstance(item, ExperimentItem):
        stop = item.stop = Stop()
        _cancelled_by(item, _in_thread(settings.timeout, lambda _: stop.ask(reason)))
        return True
    import pytest_timeout

    live = session.of(item.config).live
    if settings.method == "signal" and threading.current_thread() is threading.main_thread():

        def interrupt() -> None:
            if run := live.get(item.nodeid):
                run.end_now(reason)
            pytest_timeout.timeout_sigalrm(item, settings)

        _cancelled_by(item, _by_signal(settings.timeout, interrupt))
        return True

    def over(ended: threading.Event) -> None:
        run = live.get(item.nodeid)
        if run is None:
            pytest_timeout.timeout_timer(item, settings)
            return
        run.end_now(reason)
        run.join()
        if not ended.wait(NOTICE_SECONDS):
            _leave(item.config, run.outcome.text if run.outcome else reason)

    _cancelled_by(item, _in_thread(settings.timeout, over))
    return True


def _cancelled_by(item: Any, cancel: Callable[[], None]) -> None:
    # Where pytest-timeout looks for it when the item has ended.
    item.cancel_timeout = cancel


def _by_signal(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def struck(*_: object) -> None:
        __tracebackhide__ = True
        act()

    signal.signal(signal.SIGALRM, struck)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return cancel


def _in_thread(seconds: float, act: Callable[[threading.Event], None]) -> Callable[[], None]:
    ended = threading.Event()
    timer = threading.Timer(seconds, act, (ended,))
    timer.daemon = True

    def cancel() -> None:
        ended.set()
        timer.cancel()

    timer.start()
    return cancel


def _leave(config: pytest.Config, text: str) -> None:
    """End the process of a test that hangs although its run was ended, with the verdict and every thread's stack."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture:
        capture.suspend_global_capture(in_=False)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\n{text}\nthe test hangs although its run was ended:\n")
        sys.stderr.flush()
        faulthandler.dump_traceback(sys.__stderr__ or 2)
    os._exit(Exit.ABORTED)
