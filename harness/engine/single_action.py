"""Perform one action of a plain `chaos run`: same ledger, lease and keeper, no objective judged.

The fault ends with its action. What the action names is also its whole blast radius.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.documents import document
from harness.documents.provider import ACTIONS
from harness.engine.options import Options
from harness.engine.run import run
from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.model.experiment import Experiment
from harness.model.share import EVERYBODY
from harness.model.verdict import Verdict


def perform(kind: str, arguments: Mapping[str, Any], options: Options | None = None) -> dict[str, Any]:
    """Inject one fault, see it felt, undo it, see it healed; return the run and what was touched.

    Raises UsageError for wrong arguments, InjectionFailed when the fault was not felt or not undone.
    """
    outcome = run(_experiment(kind, arguments), options or Options())
    if outcome.verdict is not Verdict.PASS:
        raise InjectionFailed(f"{kind} ended {outcome.verdict}", where=outcome.run, why=outcome.reason)
    return {"run": outcome.run, "verdict": str(outcome.verdict), "objectives": "none was judged"}


def _experiment(kind: str, arguments: Mapping[str, Any]) -> Experiment:
    target = arguments.get("target") or {}
    hosted = str(target.get("hosting", "")).partition("/")[0]
    radius = {
        "namespaces": target.get("namespaces") or [target.get("namespace") or hosted or "default"],
        # What goes with a target, and how much, is known to nobody who calls an action by itself.
        "pods": EVERYBODY if FAULTS[kind].spends else _cap(target, "pods"),
        "nodes": EVERYBODY if FAULTS[kind].target == "zone" else _cap(target, "nodes"),
    }
    # A run of its own picks its targets when it is called, which is late; what is neither yes nor no is told.
    given = {name: value for name, value in arguments.items() if name != "late" or not isinstance(value, bool)}
    provider = {"type": "python", "module": ACTIONS, "func": kind, "arguments": given}
    text = yaml.safe_dump(
        {
            "title": f"{kind}, called by itself",
            "description": "One action of a document that has no harness control.",
            "method": [{"type": "action", "name": kind, "provider": provider}],
            "extensions": [
                {
                    "name": "harness",
                    "phases": {"baseline": "0s"},
                    "blast-radius": {k: v for k, v in radius.items() if v},
                }
            ],
        }
    )
    return document.loads(text, Path(f"{kind}.yaml"))


def _cap(target: Mapping[str, Any], counted: str) -> Any:
    """Return the cap that an action's own target amounts to; one that takes a share has said that it may be anybody."""
    given = target.get(counted, 0)
    return EVERYBODY if isinstance(given, str) or "mode" in target else given
