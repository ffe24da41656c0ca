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
    resource in the cluster, until that is struck out; `looking` is the scope that cuts the look for it beside the steps
    that follow; `looked_for` that it was felt, or given its time to be. `dirty` says why its undo failed, empty where
    it did not.
    """

    fault: PlannedFault
    owed: bool = False
    injecting: anyio.CancelScope | None = None
    injected: bool = False
    unanswered: bool = False
    written: bool = False
    looking: anyio.CancelScope | None = None
    looked_for: bool = False
    healed: bool = False
    dirty: str = ""

    def look_no_more(self) -> None:
        """End the look beside the steps: whoever asks looks himself, or undoes what there is to see."""
        if self.looking:
            self.looking.cancel()
