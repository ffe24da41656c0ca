"""Have the admission of one namespace fail: what is created there of one kind is refused, for a webhook nobody answers.

A ValidatingWebhookConfiguration of this fault's own leads to a Service that is not there, with failurePolicy Fail and a
timeout of 1 s, for this namespace alone; the undo deletes it. What is there stays, nothing is deleted by it, and no pod
counts against the cap; but a pod that dies meanwhile is not replaced, and whoever asks gets a server's error (500) and
not a refusal, as of a quota. Only creations are asked about: no change, no deletion and no eviction, which is all that
an undo does, and no kind that the harness itself creates. A webhook configuration is asked about by no webhook, so this
one can always be taken away. The namespace of the agents is refused.

Felt when a creation in a dry run is refused, and the API server names this webhook (about a second). Where another
policy refuses it before, that is not seen. Healed when it is refused for it no more. Controllers try again in their own
time, which grows up to a quarter of an hour with each refusal: an objective about recovery shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from harness.agent.manifest import NAMESPACE
from harness.cluster import observe
from harness.faults import beside
from harness.faults.kind import FaultKind, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import admission
from harness.targets.reach import Facts, Reach

API = "admissionregistration.k8s.io"
ROOT = f"/apis/{API}/v1/validatingwebhookconfigurations"
WEBHOOK, NOBODY = "admission-failure.chaos.harness.dev", "chaos-nobody"
TIMEOUT_SECONDS, PAUSE_SECONDS = 1, 0.25
# None of these is created by an undo, a lease, a lever or a fault's resource.
OF = tuple(admission.ASKED)


def _path(fault: PlannedFault) -> str:
    return f"{ROOT}/{resource.beside(fault)}"


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find the namespace that healing comes from."""
    if target.namespace != NAMESPACE:
        return None
    return "target", Unfit(f"the admission of {NAMESPACE} must not fail", "an agent that ends could not come back")


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Create the webhook's configuration."""
    of = fault.parameters["of"]
    webhook = {
        "name": WEBHOOK,
        "clientConfig": {"service": {"namespace": NAMESPACE, "name": NOBODY}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": [of], "operations": ["CREATE"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": fault.victim.namespace}},
        "failurePolicy": "Fail",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = "ValidatingWebhookConfiguration"
    name = await beside.create(reach, _path(fault), f"{API}/v1", kind, webhooks=[webhook])
    return {"webhook": name, "of": of}


async def _until(fault: PlannedFault, reach: Reach, *, refused: bool) -> None:
    """Ask until a creation is refused for this webhook, or is not."""
    namespace, of = fault.victim.namespace, fault.parameters["of"]
    while True:
        with observe.asked_again():
            if (WEBHOOK in await admission.refusal(reach.kube, namespace, of)) is refused:
                return
        await anyio.sleep(PAUSE_SECONDS)


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until a creation is refused for the webhook."""
    await _until(fault, reach, refused=True)
    return {"refused": fault.parameters["of"], "by": WEBHOOK}


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the webhook is gone, and no creation is refused for it."""
    facts = await beside.gone(reach, _path(fault), "webhook")
    await _until(fault, reach, refused=False)
    return facts


FAULT = FaultKind(
    name="admission_failure",
    hand=Hand.API,
    target="namespace",
    summary="Have the admission of a namespace fail, so that no pod, or nothing of another kind, can be created.",
    evidence="the API server refuses a creation, for a webhook that does not answer",
    healed_when="the webhook is gone and no creation is refused for it",
    disturbs=frozenset({Disturbance.CAPACITY}),
    parameters=(Parameter("of", Type.TEXT, f"Of what: {', '.join(OF)}.", default=OF[0], choices=OF),),
    rights=(
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        {"apiGroups": [API], "resources": ["validatingwebhookconfigurations"], "verbs": ["get", "create", "delete"]},
        {"apiGroups": [""], "resources": [*OF], "verbs": ["create"]},
    ),
    clash=clash,
    unfit=beside.unfit,
    prepare=beside.prepare(_path),
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
