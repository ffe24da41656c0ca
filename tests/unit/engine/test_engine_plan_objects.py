"""What is changed through the API server is planned: named, counted against the caps, and refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.engine.planning import plan
from harness.errors import ApiError, UsageError
from harness.model.experiment import Experiment
from harness.model.plan import Plan
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import WEB, web

pytestmark = pytest.mark.anyio
TARGET = "{namespace: shop, selector: app=web, workloads: 1}"


def experiment(kind: str, target: str = TARGET, more: str = "", pods: int = 9) -> Experiment:
    """Write a document with one fault; its target stands in line 6."""
    text = f"""\
title: x
description: x
method:
  - {{type: action, name: break it, provider: {{type: python, module: harness.chaostoolkit.actions, func: {kind},
     arguments: {{{more}
      target: {target}}}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 9s}}}}, blast-radius: {{namespaces: [shop], pods: {pods}}}}}
"""
    return document.loads(text, Path("x.yaml"))


async def resolved(server: Server, one: Experiment) -> Plan:
    return await plan.resolve(server, one, run="r", seed=1, alone=True)  # type: ignore[arg-type]


async def test_a_workload_is_found_by_its_pods_and_every_pod_that_goes_is_named() -> None:
    one = experiment("workload_scale")
    found = await resolved(Server(web(3)), one)
    (fault,) = found.faults
    assert (fault.victim.owner, fault.victim.path, fault.most) == ("Deployment/web", WEB, 3)
    shown = plan.text(one, found)
    assert "workload_scale shop/web  uid-web" in shown
    assert "at most 3 of these pods go" in shown
    assert [f"with it shop/web-uid-{number}  uid-{number}" in shown for number in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("kind", "more", "go"),
    [("workload_scale", "", 5), ("workload_scale", "keep: 40%,", 3), ("workload_bad_rollout", "", 1)],
)
async def test_the_pods_that_go_count_against_the_cap(kind: str, more: str, go: int) -> None:
    server = Server(web(5))
    await resolved(server, experiment(kind, more=more, pods=go))
    with pytest.raises(
        UsageError, match=f"touches {go} pods and 0 nodes at the same time, the blast radius allows {go - 1} and 0"
    ):
        await resolved(server, experiment(kind, more=more, pods=go - 1))


async def test_what_cannot_be_is_refused_with_the_line_of_its_target() -> None:
    with pytest.raises(UsageError) as refused:
        await resolved(Server(web(3, paused=True)), experiment("workload_bad_rollout"))
    assert refused.value.where == "x.yaml:6: shop/web"
    assert (refused.value.what, refused.value.why) == ("Deployment/web would roll out nothing", "it is paused")


async def test_a_workload_without_a_scale_is_refused() -> None:
    class Unscaled(Server):
        async def get(self, path: str, **_: Any) -> dict[str, Any]:
            if path.endswith("/scale"):
                raise ApiError(404, "NotFound", "")
            return await super().get(path)

    with pytest.raises(UsageError, match="Deployment/web has no scale of its own in the API"):
        await resolved(Unscaled(web(3)), experiment("workload_scale"))


async def test_a_container_that_no_pod_has_is_refused() -> None:
    target = TARGET.replace("}", ", container: prxy}")
    with pytest.raises(UsageError, match="no pod has a container 'prxy'"):
        await resolved(Server(web(3)), experiment("workload_bad_rollout", target))


async def test_a_container_that_is_in_no_template_is_refused() -> None:
    server = Server(web(3))
    for path, item in server.objects.items():
        if "/pods/" in path:
            item["spec"]["containers"] = [{"name": "web"}, {"name": "injected"}]
    target = TARGET.replace("}", ", container: injected}")
    with pytest.raises(UsageError, match="Deployment/web would roll out nothing") as refused:
        await resolved(server, experiment("workload_bad_rollout", target))
    assert refused.value.why == "its template has no container injected"


async def test_pods_without_a_workload_are_no_target() -> None:
    server = Server({})
    with pytest.raises(UsageError, match="no workload matches"):
        await resolved(server, experiment("workload_scale"))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{namespace: shop, selector: app=web}", "a target needs 'workloads'"),
        ("{namespace: shop, selector: app=web, pods: 1}", "is aimed at workloads, not pods"),
        ("{namespace: shop, workloads: 1}", "a target needs 'selector'"),
        ("{namespace: shop, selector: a=b, workloads: 1, hosting: a/b=c}", "'hosting' says nothing of a workload"),
        ("{namespace: shop, selector: a=b, workloads: 1, container: web}", "workload_scale acts on whole workloads"),
        ("{namespace: other, selector: a=b, workloads: 1}", "namespace 'other' is outside the blast radius"),
    ],
)
def test_a_target_that_says_too_little_or_too_much_is_refused_with_its_line(target: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        experiment("workload_scale", target)
    assert refused.value.where == "x.yaml:6"


def test_a_parameter_has_its_choices() -> None:
    with pytest.raises(UsageError, match="'fails': 'pull' is none of image-pull, crash-loop"):
        experiment("workload_bad_rollout", more="fails: pull,")


def test_a_share_that_would_keep_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="'keep': '100%' is above"):
        experiment("workload_scale", more="keep: 100%,")


async def test_every_workload_may_be_meant() -> None:
    objects: dict[str, Any] = {**web(2)}
    one = experiment("workload_scale", TARGET.replace("workloads: 1", "workloads: all"))
    assert len((await resolved(Server(objects), one)).faults) == 1
