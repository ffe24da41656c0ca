"""An interruption of a test in Python ends its run, wherever it comes."""

from __future__ import annotations

from harness.model.verdict import Verdict
from tests.plugin.block import BROKEN

pytest_plugins = ["pytester"]

INTERRUPTED = BROKEN.format(then="pass").replace("assert names ==", "raise KeyboardInterrupt; names ==")


def test_an_interruption_aborts_the_run_at_once(pytester, driven):
    did = driven(Verdict.ABORTED)
    pytester.makepyfile(INTERRUPTED)
    result = pytester.runpytest()
    assert did == ["start", "inject pod_kill {'grace': 0}", "finish interrupted"]
    assert result.ret == 130
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_an_interruption_that_leaves_something_broken_is_dirty(pytester, driven):
    driven(Verdict.DIRTY)
    pytester.makepyfile(INTERRUPTED)
    assert pytester.runpytest().ret == 6


def test_an_interruption_outside_a_fault_cuts_the_run_short_too(pytester, driven):
    did = driven(Verdict.ABORTED)
    pytester.makepyfile(BROKEN.format(then="raise KeyboardInterrupt"))
    result = pytester.runpytest()
    assert (did[-1], result.ret) == ("finish interrupted", 130)
