"""A container that ends for good leaves its pod where it is as long as others of it run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.faults import FAULTS
from harness.targets import pods
from tests.unit.targets.fakes import FakeKube, planned, pod, reach, reference

pytestmark = pytest.mark.anyio
JOB = {
    "/apis/batch/v1": {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True}]},
    "/apis/batch/v1/namespaces/shop/jobs/x": {"metadata": {"uid": "uid-x"}, "spec": {"backoffLimit": 6}},
}
ORDINARY = {"containers": [{"name": "web", "livenessProbe": {"exec": {}}}, {"name": "proxy"}]}
SIDECAR = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}


@pytest.mark.case(
    13, "a container that is not started again, beside one that runs on", "refused: as long as it does nobody replaces"
)
@pytest.mark.parametrize(
    ("kind", "container", "policy", "spec", "stuck"),
    [
        ("container_kill", "web", "Never", ORDINARY, True),
        ("pod_memory_oom", "web", "Never", ORDINARY, True),
        ("pod_failure", "web", "OnFailure", ORDINARY, True),
        # What a liveness probe ends meanwhile is not started again, either.
        ("pod_freeze", "web", "Never", ORDINARY, True),
        ("container_kill", "web", "OnFailure", ORDINARY, False),
        ("container_kill", "web", "Never", {}, False),
        # The kubelet ends native sidecars with the last ordinary container, and until then it starts them again.
        ("container_kill", "web", "Never", SIDECAR, False),
        ("container_kill", "proxy", "Never", SIDECAR, False),
    ],
)
async def test_a_pod_that_would_stay_with_one_container_less_is_not_hit(
    kind: str, container: str, policy: str, spec: dict[str, Any], stuck: bool
) -> None:
    item = pod()
    item["metadata"]["ownerReferences"] = reference("Job", "x", "batch/v1")
    item["spec"] |= {"restartPolicy": policy, **spec}
    fault = planned(kind)
    fault = replace(fault, victim=replace(fault.victim, container=container))
    found = await pods.unfit(reach(FakeKube({**JOB})).owners, item, FAULTS[kind].fate(fault, item))
    why = "one of its containers would end for good, and nobody makes another pod while the rest of it runs"
    assert found == ((pods.LOST, why) if stuck else None)
