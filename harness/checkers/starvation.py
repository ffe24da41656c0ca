"""Tell what a machine that others took away can explain: no fault of the system's, and no excuse for everything.

A machine that is busy with other things makes things late: an attempt meets its time limit, a breaker opens for it, a
queue overflows. It refuses no connection, ends no process and answers no 404. So each failure is looked at by itself:
only one that slowness makes, at a time when the machine was starved, is unknown. The others are broken as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.checkers import machine
from harness.checkers.machine import Span
from harness.model.history import History, Operation
from harness.model.verdict import Finding, State

SLOW_SECONDS = 0.3
"""An operation that took less was not kept waiting: on a quiet machine the stack's p99 is a tenth of this."""
CARRY_SECONDS = 10.0
"""What slowness has begun lasts: a breaker that opened for it stays open for 10 s in the local stack."""
# Envoy: upstream request timeout, overflow of a pool, and the time limits of stream and downstream.
SLOW_FLAGS = frozenset({"UT", "UO", "SI", "DT"})
# What the services say of a dependency that was late, or that they no longer ask because it was.
SLOW_WORDS = ("timeout", "breaker", "overload")


def excuse(history: History) -> Callable[[Operation], bool]:
    """Return the question whether an operation's failure or retry may be the starved machine's doing."""
    spans = [(start, end + CARRY_SECONDS) for start, end in machine.starved(history)]

    def excused(operation: Operation) -> bool:
        overlaps = any(start <= operation.finished and operation.intended <= end for start, end in spans)
        return overlaps and late(operation)

    return excused


def late(operation: Operation) -> bool:
    """Say whether an operation ended as slowness makes it: late, or refused because others were."""
    flags = {flag.strip() for flag in operation.response_flags.split(",")}
    slow = operation.latency >= SLOW_SECONDS or operation.unanswered == "timed out"
    return slow or bool(flags & SLOW_FLAGS) or operation.because.startswith(SLOW_WORDS)


def seconds_taken(history: History, span: Span) -> float:
    """Return for how many seconds of a span the machine was starved."""
    return _overlap(machine.starved(history), span)


def at_least(history: History) -> Callable[[Operation], float]:
    """Return the question how long an operation took if each starved second while it was under way cost it one."""
    spans = machine.starved(history)
    return lambda operation: operation.latency - _overlap(spans, (operation.intended, operation.finished))


def _overlap(spans: list[Span], within: Span) -> float:
    start, end = within
    return sum(max(0.0, min(until, end) - max(since, start)) for since, until in spans)


def doubted(finding: Finding, history: History, span: Span) -> Finding:
    """Turn a promise about time that was broken while the machine was starved into one nobody can judge."""
    if finding.state is not State.BROKEN or not (why := machine.told(history, span)):
        return finding
    return replace(finding, state=State.UNKNOWN, summary=f"{finding.summary}, but {why}: nobody knows why")
