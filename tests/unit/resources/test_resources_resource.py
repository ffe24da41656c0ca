"""A fault is written down in the cluster so that anyone can heal it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ApiError, PreconditionFailed
from harness.faults import FAULTS
from harness.resources import crds, resource
from tests.unit.targets.fakes import FakeKube, planned, reach

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_comes_back_from_its_resource_as_it_was_but_for_what_goes_with_its_target(kind):
    fault = replace(planned(kind, deadline=3.0), takes=())
    assert resource.planned(resource.body(fault, "run", [])) == fault


def test_a_pods_fault_lies_in_its_namespace_and_a_nodes_in_none():
    assert resource.collection(planned("pod_kill")).endswith("/namespaces/shop/faults")
    assert resource.collection(planned("node_stop")).endswith("/nodefaults")


async def test_a_fault_that_a_dead_run_left_is_replaced():
    kube = FakeKube()
    kube.failures = [ApiError(409, "AlreadyExists", "")]
    made = await resource.create(kube, planned("pod_kill"), "run", [])  # type: ignore[arg-type]
    assert made["metadata"]["labels"] == {resource.RUN_LABEL: "run", resource.NODE_LABEL: "worker"}
    assert len(kube.deleted) == 1


async def test_a_status_names_phase_times_and_evidence():
    kube = FakeKube()
    await resource.status(kube, planned("pod_kill"), "Felt", felt_at=0, evidence={"uid": "x"})  # type: ignore[arg-type]
    ((path, body),) = kube.patched
    assert path.endswith("/faults/run-1/status")
    assert body == {"status": {"phase": "Felt", "feltAt": "1970-01-01T00:00:00Z", "evidence": {"uid": "x"}}}


def _fields(schema: dict[str, Any], value: Any, path: str = "") -> list[str]:
    """Name what a value holds that its schema does not."""
    if isinstance(value, list):
        return [name for item in value for name in _fields(schema["items"], item, path)]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    known = schema.get("properties", {})
    unknown = [f"{path}.{key}" for key in value if key not in known]
    return unknown + [
        name for key in value if key in known for name in _fields(known[key], value[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize("kind", FAULTS)
def test_the_schema_names_every_field_that_is_written(kind):
    fault = planned(kind)
    schema = crds.definitions()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    written = resource.body(fault, "run", FAULTS[kind].undo(fault, reach(FakeKube())))
    assert _fields(schema["properties"]["spec"], written["spec"]) == []


def test_the_printed_columns_say_what_is_broken():
    for item in crds.definitions():
        columns = [column["name"] for column in item["spec"]["versions"][0]["additionalPrinterColumns"]]
        assert columns == ["Run", "Kind", "Target", "Phase", "Age"]


async def test_a_fault_whose_undo_the_cluster_would_not_keep_is_not_written_down():
    class Older(FakeKube):
        async def create(self, path, body):
            return {**body, "spec": {**body["spec"], "undo": [{"op": one["op"]} for one in body["spec"]["undo"]]}}

    kube, undo = Older(), [{"op": "restore", "path": "/apis/apps/v1/namespaces/shop/deployments/web", "patch": []}]
    with pytest.raises(PreconditionFailed, match="does not keep how this fault is undone"):
        await resource.create(kube, planned("workload_scale"), "run", undo)  # type: ignore[arg-type]
    assert len(kube.deleted) == 1


def test_an_undo_is_kept_whole_whatever_its_hand_writes():
    (version,) = crds.definitions()[0]["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["undo"]["items"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "path" in spec["target"]["properties"]
