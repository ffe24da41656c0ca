"""Which container is hit: no sidecar that nobody named."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.targets import containers


def pod(*ordinary: str, annotated: str = "", sidecars: tuple[str, ...] = (), inits: tuple[str, ...] = ()) -> Any:
    metadata: dict[str, Any] = {"name": "web-1"}
    if annotated:
        metadata["annotations"] = {containers.DEFAULT: annotated}
    init = [{"name": name, "restartPolicy": "Always"} for name in sidecars] + [{"name": name} for name in inits]
    spec = {
        "initContainers": init,
        "containers": [{"name": name} for name in ordinary],
        "ephemeralContainers": [{"name": "debug"}],
    }
    running = [{"name": name, "state": {"running": {}}, "containerID": f"containerd://{name}"} for name in ordinary]
    return {"metadata": metadata, "spec": spec, "status": {"containerStatuses": running}}


@pytest.mark.case(
    19,
    "a pod whose first container is a proxy and whose annotation names another as its default; none is named",
    "the annotated container is hit, and plan, terminal and report name it",
)
def test_the_annotated_container_is_meant_when_none_is_named():
    item = pod("proxy", "web", annotated="web")
    assert containers.default(item) == "web"
    assert containers.running(item, "")["containerID"] == "containerd://web"
    assert containers.one_named(item, "") == "web"
    assert Victim("pod", "web-1", "u", "shop", container="web").shown == "shop/web-1 (container web)"


@pytest.mark.parametrize("annotated", ["", "gone", "setup", "debug"])
def test_the_first_ordinary_container_is_meant_where_the_annotation_names_none_that_lasts(annotated):
    item = pod("web", "proxy", annotated=annotated, sidecars=("mesh",), inits=("setup",))
    assert containers.default(item) == "web"


def test_a_native_sidecar_is_hit_only_when_it_is_named():
    item = pod("web", sidecars=("mesh",), inits=("setup",))
    assert containers.default(item) == "web"
    assert containers.lasting(item) == ("web", "mesh")
    assert containers.one_named(item, "mesh") == "mesh"
    assert containers.default(pod("web", annotated="mesh", sidecars=("mesh",))) == "mesh"


def test_a_freeze_names_all_that_it_freezes_and_a_deletion_names_the_pod():
    item = pod("web", "proxy", sidecars=("mesh",), inits=("setup",))
    frozen = containers.all_named(item, "")
    assert frozen == "web, proxy, mesh, debug"
    assert Victim("pod", "p", "u", "shop", container=frozen).shown == "shop/p (containers web, proxy, mesh, debug)"
    assert FAULTS["pod_kill"].inside is None
