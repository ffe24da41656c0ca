"""Every error a user can meet, each with what happened, where, why, and what to do.

HarnessError
├── UsageError            an option, a file, a schema: the user can mend it          exit 4
├── PreconditionFailed    cluster, context, image, port: the surroundings lack it    exit 4
│   ├── ClusterUnreachable    no answer from the API server
│   └── RunInProgress         another run holds the lease
├── InjectionFailed       a fault could not be injected                              exit 2
│   └── NeverBegun            the system was not steady, so nothing was touched
├── ObservationFailed     evidence or data could not be had                          exit 2
├── AbortTriggered        a person, the lever, a deadline or a lost lease            exit 3
├── UndoFailed            something was left behind                                  exit 6
└── ApiError              the API server refused a request (status, reason)          exit 7
                          it does not know us, or we lack a right (401, 403), or it
                          cannot answer now (429, 502, 503, 504)                     exit 4
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What a command's exit status means; documented in `harness --help`."""

    PASS = 0
    DEVIATED = 1
    INCONCLUSIVE = 2
    ABORTED = 3
    USAGE = 4
    NOTHING_RAN = 5
    DIRTY = 6
    INTERNAL = 7
    INTERRUPTED = 130


# Who asks is not known, or may not: that is for whoever grants rights to mend.
LACKING = (401, 403)
# It is busy, begins anew, or what stands before it does not reach it.
AWAY = (429, 502, 503, 504)


class HarnessError(Exception):
    """Say what failed, where, why and how to mend it."""

    exit = Exit.INTERNAL

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.hint = what, where, why, hint

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.why:
            lines.append(f"  why   {self.why}")
        if self.hint:
            lines.append(f"  fix   {self.hint}")
        return "\n".join(lines)


class UsageError(HarnessError):
    """An option, a file or a schema is wrong."""

    exit = Exit.USAGE


class PreconditionFailed(HarnessError):
    """The surroundings lack something the command needs."""

    exit = Exit.USAGE


class ClusterUnreachable(PreconditionFailed):
    """The API server does not answer."""


class RunInProgress(PreconditionFailed):
    """Another run holds this cluster's lease."""


class InjectionFailed(HarnessError):
    """A fault could not be injected."""

    exit = Exit.INCONCLUSIVE


class NeverBegun(InjectionFailed):
    """A run touched nothing, because the system was not fit to be judged."""


class ObservationFailed(HarnessError):
    """Evidence or data could not be had."""

    exit = Exit.INCONCLUSIVE


class AbortTriggered(HarnessError):
    """A run was cut short on purpose."""

    exit = Exit.ABORTED


class UndoFailed(HarnessError):
    """Something that was broken on purpose is still broken."""

    exit = Exit.DIRTY


class ApiError(HarnessError):
    """The API server refused a request; where a right lacks (401, 403) or it cannot answer now the exit code is 4."""

    def __init__(self, status: int, reason: str, message: str, *, where: str = "") -> None:
        hint = "once more, when the API server, and what stands before it, is well" if status in AWAY else ""
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}", where=where, hint=hint)
        self.status, self.reason, self.message = status, reason, message
        if status in LACKING + AWAY:
            self.exit = Exit.USAGE


def first(group: BaseExceptionGroup[BaseException]) -> HarnessError:
    """Return the error a user should read; anything that is not ours is a bug and goes on as it is."""
    ours, others = group.split(HarnessError)
    if others or ours is None:
        raise group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HarnessError)
    return error
