"""A release is started and taken back: the template is as it was, whoever undoes it and however often."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.errors import InjectionFailed, UndoFailed
from harness.faults import FAULTS
from harness.faults.workload_release import RELEASE
from harness.model.fault import Target
from harness.targets.reach import Reach
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import ON_ROLLOUT, PODS, ROLLOUT, VICTIM, WEB, planned, rollout, template, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["workload_release"]


def of(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[WEB]["spec"]["template"]
    return found


@pytest.mark.parametrize("env", [None, [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}]])
@pytest.mark.parametrize("notes", [{}, {"scrape": "yes"}])
@pytest.mark.parametrize("parameters", [{}, {"image": "web:2"}, {"env": ["A=2", "C=x=y", "D="]}])
async def test_the_template_comes_back_as_it_was(env: Any, notes: dict[str, str], parameters: dict[str, Any]) -> None:
    server = Server(web(template=template(**({"env": env} if env else {}))))
    if notes:
        of(server)["metadata"]["annotations"] = notes
    before, fault = copy.deepcopy(of(server)), planned("workload_release", **parameters)
    reach = await injected(server, fault)
    container = of(server)["spec"]["containers"][0]
    assert of(server)["metadata"]["annotations"] == {**notes, RELEASE: "release-run-1"}
    assert container["image"] == parameters.get("image", "web:1")
    settings = {one["name"]: one.get("value") for one in container.get("env", ())}
    assert settings.items() >= ({"A": "2", "C": "x=y"} if "env" in parameters else {}).items()
    assert ("B" in settings) is bool(env)
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    assert of(server) == before


async def test_a_release_that_somebody_made_meanwhile_is_not_overwritten() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = await injected(server, fault)
    server.objects[WEB]["spec"]["template"] = template("web:3")
    (left,) = await elsewhere(server, reach, fault)
    assert of(server) == template("web:3")
    assert "somebody else set" in left


@pytest.mark.parametrize("notes", [{}, {"scrape": "yes"}])
async def test_a_note_that_somebody_made_meanwhile_stays_and_the_release_goes(notes: dict[str, str]) -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    of(server)["metadata"] |= {"annotations": notes} if notes else {}
    reach = await injected(server, fault)
    of(server)["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    assert of(server)["metadata"]["annotations"] == {**notes, "kubectl.kubernetes.io/restartedAt": "now"}
    assert of(server)["spec"] == template()["spec"]


async def test_notes_that_somebody_made_before_the_release_are_not_overwritten() -> None:
    server, fault = Server(web()), planned("workload_release")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    of(server)["metadata"]["annotations"] = {"scrape": "yes"}
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)
    assert of(server)["metadata"]["annotations"] == {"scrape": "yes"}


async def test_a_release_that_is_half_somebody_else_s_is_told_of() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = await injected(server, fault)
    of(server)["spec"]["containers"][0]["image"] = "web:3"
    with pytest.raises(UndoFailed, match="changed by somebody else"):
        await elsewhere(server, reach, fault)


async def test_a_rollout_is_released_as_a_deployment_is() -> None:
    server = Server(web())
    server.objects[ROLLOUT] = rollout()
    fault = planned("workload_release", ON_ROLLOUT)
    reach = await injected(server, fault)
    assert RELEASE in server.objects[ROLLOUT]["spec"]["template"]["metadata"]["annotations"]
    for _ in range(2):
        assert await elsewhere(server, reach, fault) == []
    found = server.objects[ROLLOUT]["spec"]["template"]
    assert found["metadata"].pop("annotations") == {}  # which is none to the controller's hash
    assert found == template()


async def test_a_template_that_is_another_object_s_is_refused() -> None:
    assert KIND.unfit
    item = rollout()
    item["spec"]["workloadRef"] = {
        "kind": "Deployment",
        "name": item["spec"].pop("template")["metadata"]["labels"]["app"],
    }
    found = KIND.unfit({}, item, VICTIM)
    assert found
    assert "workloadRef" in found.why


async def test_nothing_is_released_over_what_somebody_has_just_changed() -> None:
    server, fault = Server(web()), planned("workload_release", image="web:2")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(fault, reach)
    of(server)["spec"]["containers"][0]["image"] = "web:3"
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(fault, reach)


async def test_it_is_felt_when_a_pod_of_the_release_is_ready() -> None:
    server, fault = Server(web()), planned("workload_release")
    reach = await injected(server, fault)
    metadata = {"name": "web-new", "uid": "new", "annotations": {RELEASE: "release-run-1"}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    server.objects[f"{PODS}/web-new"] = {"metadata": metadata, "spec": {}, "status": ready}
    assert await KIND.felt(fault, reach) == {"pod": "web-new"}


@pytest.mark.parametrize(
    ("settings", "refused"), [(["A=1", "B="], False), (["A"], True), (["=1"], True), (["a b=1"], True)]
)
def test_a_setting_is_a_name_and_a_value(settings: list[str], refused: bool) -> None:
    assert KIND.clash
    assert bool(KIND.clash(Target(), {"env": settings})) is refused
