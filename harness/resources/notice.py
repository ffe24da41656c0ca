"""Tell whoever looks at a target that it was broken on purpose: an Event at the injection, and one at the end."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.cluster import paths
from harness.errors import HarnessError
from harness.model.plan import PlannedFault, Victim

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

COMPONENT = "kube-chaos-harness"


async def post(kube: Kube, fault: PlannedFault, run: str, reason: str) -> None:
    """Write an Event on the fault's target; one that cannot be written is left out, for it changes no verdict.

    A zone is no object of its own: its nodes tell.
    """
    parts = [one for one in fault.takes if one.kind == "node"]
    for victim in parts if fault.victim.kind == "zone" else [fault.victim]:
        await _post(kube, victim, f"{fault.kind} of run {run}, on purpose", reason)


async def _post(kube: Kube, victim: Victim, message: str, reason: str) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    namespace = victim.namespace or "default"  # where the events of nodes are
    about = {**_what(victim), "name": victim.name, "uid": victim.uid}
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{victim.name}.chaos-", "namespace": namespace},
        "involvedObject": about | ({"namespace": namespace} if victim.namespace else {}),
        "reason": reason,
        "message": message,
        "type": "Warning" if reason == "ChaosInjected" else "Normal",
        "source": {"component": COMPONENT},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    with contextlib.suppress(HarnessError):
        await kube.create(paths.core(namespace, "events"), body)


def _what(victim: Victim) -> dict[str, str]:
    """Name the target's kind as Kubernetes does; an owner is written as its kind and its name."""
    kind = victim.owner.partition("/")[0] if victim.path else victim.kind.capitalize()
    return {"apiVersion": victim.api, "kind": kind}
