"""How far one fault of a run in progress is, and what is still to be done about it."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from harness.model.plan import PlannedFault


@dataclass(slots=True)
class Course:
    """One fault from its undo on the ledger to its end.

    It is `owed` an undo from then until that is done and struck out; `injecting` is the scope that cuts its injection,
    while there is one; `unanswered` that it was cut while the API server had a request of it; `written` that it has a
    resource in the cluster, until that is struck out; `looked_for` that it was given its time to be felt. `dirty` says
    why its undo failed, empty where it did not.
    """

    fault: PlannedFault
    owed: bool = False
    injecting: anyio.CancelScope | None = None
    injected: bool = False
    unanswered: bool = False
    written: bool = False
    looked_for: bool = False
    healed: bool = False
    dirty: str = ""
