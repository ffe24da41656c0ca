"""A plan that the cluster, as it is, does not allow keeps its run from beginning, and nothing else from going on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.engine import ending, run
from harness.engine.planning import caps, plan
from harness.engine.session import Session
from harness.errors import NeverBegun, UsageError
from harness.model.experiment import BlastRadius
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.model.verdict import Verdict
from tests.unit.documents.plain import plain, pods, step
from tests.unit.engine.doubles import Kube

pytestmark = pytest.mark.anyio


@pytest.mark.case(
    25,
    "a pod of a namespace outside the blast radius is on the node to be drained, in a set",
    "that run is refused and says so; the set goes on, and the worst verdict counts",
)
async def test_a_node_with_somebody_elses_pod_on_it_keeps_the_run_from_beginning(
    session: Session, experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = tuple(Victim("pod", "web", f"uid-{name}", name, "worker", "a") for name in ("shop", "billing"))
    node = Victim("node", "worker", "uid-n", node="worker", zone="a")
    fault = PlannedFault("run-1", "node_drain", "drain it", Hand.API, node, takes=takes)

    async def resolve(*_, **__):
        caps.require(experiment(BlastRadius(("shop",), nodes=1)), [fault])
        return replace(session.plan, faults=(fault,))

    monkeypatch.setattr(plan, "resolve", resolve)
    with pytest.raises(NeverBegun, match="outside the blast radius: billing/web") as refused:
        await run._plan(session)
    assert "every pod on it" in refused.value.why
    assert session.plan.faults != (fault,)


async def test_a_share_that_is_no_pod_keeps_the_run_from_beginning(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_, **__):
        raise UsageError("30 % of 3 pods = none (0.9 rounded down)", hint="pods: 34% or more, or pods: 1")

    monkeypatch.setattr(plan, "resolve", resolve)
    with pytest.raises(NeverBegun, match="rounded down") as refused:
        await run._plan(session)
    assert refused.value.hint.startswith("pods: 34%")


class Deserted(Kube):
    """A cluster with every namespace that is asked for, and nothing in any."""

    async def get(self, path: str) -> dict[str, Any]:
        return {"metadata": {}}

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return []


OURS = {
    "name": "harness",
    "objectives": {"recovery": {"within": "30s"}},
    "blast-radius": {"namespaces": ["shop"], "pods": 1},
}


@pytest.mark.case(2, "a selector that matches nothing", "no evidence: INCONCLUSIVE")
@pytest.mark.parametrize("extensions", [[OURS], []])
async def test_a_step_that_matches_nobody_keeps_the_run_from_beginning(session: Session, extensions: Any) -> None:
    session.experiment = plain([pods(label_selector="app=nobody")], extensions=extensions)
    session.kube = Deserted()  # type: ignore[assignment]
    with pytest.raises(NeverBegun, match="no pod matches") as refused:
        await run._plan(session)
    verdict, reason = await ending.judged(session, refused.value)
    assert (verdict, "no pod matches" in reason) == (Verdict.INCONCLUSIVE, True)


def lonely(number: int) -> dict[str, Any]:
    """Make a pod that no controller owns."""
    metadata = {"name": f"web-{number}", "namespace": "shop", "uid": f"uid-{number}"}
    return {
        "metadata": metadata | {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "worker", "containers": [{"name": "web"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


class Lonely(Deserted):
    """A cluster with so many pods, which no controller owns."""

    def __init__(self, count: int = 1) -> None:
        super().__init__()
        self.pods = [lonely(number) for number in range(count)]

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return self.pods if path.endswith("/pods") else []


@pytest.mark.case(
    1, "a foreign step beside a blast radius", "refused, or planned, capped and proved like a fault of ours"
)
async def test_a_step_that_takes_more_than_the_caps_keeps_the_run_from_beginning(session: Session) -> None:
    session.experiment = plain([pods(all=True)], extensions=[OURS])
    session.kube = Lonely(2)  # type: ignore[assignment]
    with pytest.raises(NeverBegun, match="touches 2 pods and 0 nodes at the same time, the blast radius allows 1"):
        await run._plan(session)


@pytest.mark.case(13, "a pod that nobody replaces", "refused where it would be lost, allowed where it would not")
@pytest.mark.parametrize(("kind", "lost"), [("pod_kill", True), ("pod_freeze", False), ("container_kill", False)])
async def test_a_pod_that_would_be_lost_keeps_the_run_from_beginning(session: Session, kind: str, lost: bool) -> None:
    target = {"namespace": "shop", "selector": "app=web", "pods": 1}
    one = step("harness.chaostoolkit.actions", kind, arguments={"target": target})
    session.experiment, session.kube = plain([one], extensions=[OURS]), Lonely()  # type: ignore[assignment]
    if lost:
        with pytest.raises(NeverBegun, match="nothing would replace this pod"):
            await run._plan(session)
    else:
        await run._plan(session)
        assert [str(planned.victim) for planned in session.plan.faults] == ["shop/web-0"]
