"""HorizontalPodAutoscaler, VerticalPodAutoscaler and what brings nodes, lines 122 to 192, 701 to 726, 1814 to 1908."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio

from bench.dying.workload import until
from bench.stack_report import objects
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.scaling.judging import advised, bounds, down, out, up
from bench.stack_report.scaling.watching import AUTOSCALERS, MINUTE, PODS, RATE, VERTICAL, Ground
from bench.stack_report.site import NAMESPACE, Site
from harness.cluster import paths
from harness.cluster.kube import Kube

NO_CLOUD = (
    "it asks a cloud for nodes, and there is none here; experiments/nodes/spot_reclaim.yaml stands for the loss of one"
)
ROWS: list[Row] = []
LOAD = f"{RATE:g} executions of slow agents a second, for which the queues ask for more than may come; then none"


@listed(
    ROWS,
    "scaling/queue",
    "127-133, 149-155, 704-713",
    part="scaling",
    within=500,
    says="HPA: agent_queue_length, 10 in each pod (2 here; of the orchestrators, for claude-service does not exist)",
    done=LOAD,
)
async def queue(ground: Ground) -> Seen:
    """Have more pods come as queues grow."""
    return out(await ground.scaled())


@listed(
    ROWS,
    "scaling/scale-up",
    "156-162",
    part="scaling",
    within=500,
    says="HPA: at most twice as many every 15 s, when wanted for 60 s (a twentieth of these times here)",
    done="the same load: what the autoscaler wanted, step by step",
)
async def scale_up(ground: Ground) -> Seen:
    """Grow as quickly as is allowed."""
    return up(await ground.scaled())


@listed(
    ROWS,
    "scaling/scale-down",
    "163-168",
    part="scaling",
    within=500,
    says="HPA: at most 10 % fewer a minute, when not wanted for 300 s (a twentieth of these times here)",
    done="no more calls: what the autoscaler wanted, step by step, until the least were left",
)
async def scale_down(ground: Ground) -> Seen:
    """Shrink slowly, and not at once."""
    return down(await ground.scaled())


@listed(
    ROWS,
    "scaling/bounds",
    "134-135, 712-713",
    part="scaling",
    within=500,
    says="HPA: 5 to 20 orchestrators (8 here); claude-service 3 to 50",
    done="the same load: the queues ask for more than may come",
)
async def bounded(ground: Ground) -> Seen:
    """Keep within the bounds."""
    return bounds(await ground.scaled())


@listed(
    ROWS,
    "scaling/cpu",
    "136-142, 714-720",
    part="scaling",
    beside=True,
    within=200,
    says="HPA: CPU, 70 % of what is asked for (700 % of the tenth that is asked for here)",
    done="a Deployment of its own that takes twice the CPU that it asks for, with the seed's 70 %",
)
async def cpu(ground: Ground) -> Seen:
    """Have more pods come where CPU is short."""
    asked = {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    return await _measured(ground.site, "cpu", 70, "while True: pass", asked)


@listed(
    ROWS,
    "scaling/memory",
    "143-148, 721-726",
    part="scaling",
    beside=True,
    within=200,
    says="HPA: memory, 80 % of what is asked for (110 % of the tenth that is asked for here)",
    done="a Deployment of its own that keeps as much memory as it asks for, with the seed's 80 %",
)
async def memory(ground: Ground) -> Seen:
    """Have more pods come where memory is short."""
    asked = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}}
    kept = "import time; kept = bytearray(60 << 20); time.sleep(3600)"
    return await _measured(ground.site, "memory", 80, kept, asked)


async def _measured(here: Site, resource: str, target: int, script: str, asked: Mapping[str, Any]) -> Seen:
    """Put an autoscaler over one pod that takes too much of something, and wait until it wants more."""
    template = objects.idle(here.image, resource, container={"command": ["python3", "-c", script], "resources": asked})
    metric = {"name": resource, "target": {"type": "Utilization", "averageUtilization": target}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": resource},
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": metric}],
    }
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": resource}}
    began, told = time.monotonic(), {"share": "nothing"}
    workload = objects.deployment(resource, 1, template)
    await here.put(workload, {**scaler, "spec": spec})

    async def more() -> bool:
        status = (await here.kube.get(AUTOSCALERS.format(here.namespace, resource))).get("status") or {}
        for one in status.get("currentMetrics") or ():
            share = one.get("resource", {}).get("current", {}).get("averageUtilization")
            told["share"] = f"{share} %"
        return int(status.get("desiredReplicas", 0)) > 1

    try:
        await until(more, 170, f"a second pod for want of {resource}")
    except TimeoutError as error:
        return Seen(False, f"{error}; it saw {told['share']}")
    finally:
        # So that nobody computes in vain while others are measured.
        with anyio.CancelScope(shield=True):
            await here.kube.delete(paths.deployments(here.namespace, resource), propagation="Background")
    return Seen(
        True, f"a second pod was wanted after {time.monotonic() - began:.0f} s, at {told['share']} of {target} %"
    )


@listed(
    ROWS,
    "scaling/vertical",
    "172-192, 1816-1838",
    part="scaling",
    beside=True,
    within=240,
    says="VPA: from 100m and 128Mi to 2 CPUs and 4Gi, mode Auto (Off here: it would fight the HPA over CPU and memory)",
    done="waited for its recommendation and a minute more, and looked whether any pod's requests had changed",
)
async def vertical(ground: Ground) -> Seen:
    """Recommend, and change nothing."""
    kube = ground.site.kube
    before, template = await _as_asked(kube), await _template(kube)

    async def recommended() -> bool:
        return bool(_recommendations(await kube.get(VERTICAL)))

    await until(recommended, 150, "a recommendation")
    await anyio.sleep(MINUTE)
    found = _recommendations(await kube.get(VERTICAL))
    now = await _as_asked(kube)
    changed = [uid for uid, asked in before.items() if uid in now and now[uid] != asked]
    return advised(found, changed=bool(changed) or await _template(kube) != template)


def _recommendations(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return ((item.get("status") or {}).get("recommendation") or {}).get("containerRecommendations") or []


async def _as_asked(kube: Kube) -> dict[str, Any]:
    """Return what each orchestrator's container asks for, by UID."""
    found = await kube.list(paths.pods(NAMESPACE), labels=PODS)
    return {pod["metadata"]["uid"]: pod["spec"]["containers"][0]["resources"] for pod in found}


async def _template(kube: Kube) -> Any:
    target = (await kube.get(VERTICAL))["spec"]["targetRef"]
    plural = f"{target['kind'].lower()}s"
    item = await kube.get(f"/apis/{target['apiVersion']}/namespaces/{NAMESPACE}/{plural}/{target['name']}")
    return item["spec"]["template"]


ROWS += [
    Row(
        "scaling/vertical-acts",
        "182-183, 1826-1827, 1838",
        "VPA: pods are replaced by ones with the recommended requests and limits",
        why="updateMode is Off and neither updater nor admission controller is here: it would fight the HPA (errata)",
    ),
    Row(
        "scaling/claude-service",
        "123-133, 171-181",
        "HPA and VPA for a Deployment claude-service in claude-ecosystem",
        why="neither the Deployment nor the namespace exists (errata); metrics and behaviour are the orchestrators'",
    ),
    Row(
        "scaling/cluster-autoscaler",
        "1841-1880",
        "Cluster autoscaler: nodes come when pods wait and go after 10 minutes",
        why=NO_CLOUD,
    ),
    Row("scaling/spot", "1883-1908", "Spot nodes: tainted spot-instance, 1 to 20 of them", why=NO_CLOUD),
    Row(
        "scaling/node-groups",
        "228-274",
        "Terraform: node groups general, agent-execution and memory-intensive, tainted, of 1 to 50 nodes",
        why="no cloud; all three workers are general-compute. What a taint does: placement/tolerations",
    ),
]
