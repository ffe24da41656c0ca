"""What may be taken, lines 756 to 813: quota, limits, disruptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import barnyard
from bench.dying.workload import until
from bench.stack_report import objects, site
from bench.stack_report.placement.common import (
    CREATED,
    FORBIDDEN,
    POLICY,
    TOO_MANY,
    Ground,
    dry,
    orchestrators,
)
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import NAMESPACE, Site
from harness.cluster import paths
from harness.errors import ApiError

ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/quota-resources",
    "763-768",
    says="ResourceQuota: 50 CPUs and 100Gi asked for, 100 CPUs and 200Gi at most",
    done="asked, as a dry run, for pods in the stack's namespace that exceed each",
)
async def quota_resources(ground: Ground) -> Seen:
    """Refuse what exceeds the namespace's share."""
    got = {}
    # Each container stays within the LimitRange; so many of them do not stay within the quota.
    for name, count, asked, most in (
        ("requests.cpu", 14, {"cpu": "4"}, {"cpu": "4"}),
        ("limits.cpu", 26, {"cpu": "50m"}, {"cpu": "4"}),
        ("requests.memory", 14, {"memory": "8Gi"}, {"memory": "8Gi"}),
        ("limits.memory", 26, {"memory": "64Mi"}, {"memory": "8Gi"}),
    ):
        got[name] = await _refused(ground.site, _many(ground.site.image, count, asked, most))
    good = all("exceeded quota" in said and name in said for name, said in got.items())
    return Seen(good, "; ".join(f"{name}: {_short(said)}" for name, said in got.items()))


def _many(image: str, count: int, requests: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, Any]:
    """Describe a pod of so many containers."""
    both = {"requests": dict(requests), "limits": dict(limits)}
    containers = [{"name": f"c{number}", "image": image, "resources": both} for number in range(count)]
    return objects.pod("many", {"sidecar.istio.io/inject": "false"}, containers=containers)


async def _refused(here: Site, pod: dict[str, Any]) -> str:
    """Ask for a pod in the stack's namespace as a dry run, and return why it is refused."""
    try:
        await dry(here.kube, NAMESPACE, pod)
    except ApiError as error:
        return f"{error.status} {error.message}"
    return "it was let in"


def _short(text: str) -> str:
    status, _, said = text.partition(" ")
    return f"{status} {said.rpartition('is forbidden: ')[2]}"[:120]


# The seed's are too small for its own ecosystem (errata).
COUNTED = {"configmaps": "40", "secrets": "40", "services": "40", "persistentvolumeclaims": "30", "pods": "100"}


@listed(
    ROWS,
    "placement/quota-counts",
    "766, 769-773",
    says="ResourceQuota: 10 claims, 50 pods, 10 Services, 20 Secrets and 20 ConfigMaps (30, 100 and 40 here: errata)",
    done="made as many of each in a namespace of the report's own with the stack's quota, and one more",
)
async def quota_counts(ground: Ground) -> Seen:
    """Refuse one more of anything."""
    hard = {name: ground.quota[name] for name in COUNTED}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "copied"}, "spec": {"hard": hard}}
    async with site.made(ground.site.place, "quota") as here:
        # Each namespace is given one by Kubernetes, which counts as well.
        await until(lambda: here.kube.get(paths.core(here.namespace, "configmaps", "kube-root-ca.crt")), 30)
        await here.put(quota)
        used: dict[str, str] = {}

        async def counted() -> bool:
            status = (await here.kube.get(paths.core(here.namespace, "resourcequotas", "copied"))).get("status") or {}
            used.update(status.get("used") or {})
            return set(used) == set(hard)

        await until(counted, 30, "a quota that has counted")
        got = {name: await _filled(here, name, int(hard[name]) - int(used[name])) for name in COUNTED}
    return full(got, hard)


def full(got: Mapping[str, tuple[int, str]], hard: Mapping[str, str]) -> Seen:
    """Judge how many of each were made where there was room for none more, and what was said to the next."""
    told, good = [], dict(hard) == COUNTED
    for name, (left, said) in got.items():
        right = left == 0 and "exceeded quota" in said
        told.append(f"{name}: {hard[name]} and no more" if right else f"{name}: room for {left} was left, {said[:80]}")
        good = good and right
    return Seen(good, "; ".join(told))


async def _filled(here: Site, plural: str, room: int) -> tuple[int, str]:
    """Make objects until one is refused; return for how many there should have been room, and what was said."""
    for number in range(room + 1):
        try:
            await here.kube.create(paths.core(here.namespace, plural), counted_object(plural, number, here.image))
        except ApiError as error:
            return room - number, str(error)
    return -1, "one more was let in"


def counted_object(plural: str, number: int, image: str) -> dict[str, Any]:
    """Describe one of many small objects that cost nobody anything."""
    metadata = {"name": f"counted-{number}", "labels": {"counted": "yes"}}
    kinds = {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service", "pods": "Pod"}
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": kinds.get(plural, "PersistentVolumeClaim"),
        "metadata": metadata,
    }
    if plural == "services":
        made["spec"] = {"clusterIP": "None", "ports": [{"port": 80}]}
    elif plural == "pods":
        # Nobody gives it a node, so nothing of it ever runs.
        made["spec"] = {"schedulerName": "nobody", "containers": [{"name": "none", "image": image}]}
    elif plural == "persistentvolumeclaims":
        # No class makes a volume for it.
        access, asked = ["ReadWriteOnce"], {"requests": {"storage": "1Mi"}}
        made["spec"] = {"storageClassName": "nobody", "accessModes": access, "resources": asked}
    return made


@listed(
    ROWS,
    "placement/limit-defaults",
    "782-791",
    says="LimitRange: who asks for nothing gets 100m, 128Mi and 1Gi, and 1 CPU, 2Gi and 2Gi at most",
    done="asked, as a dry run, for a pod in the stack's namespace that says nothing of resources",
)
async def limit_defaults(ground: Ground) -> Seen:
    """Give defaults to who asks for nothing."""
    made = await dry(ground.site.kube, NAMESPACE, _many(ground.site.image, 1, {}, {}))
    got = made["spec"]["containers"][0]["resources"]
    wanted = {
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "2Gi"},
    }
    return Seen(
        got == wanted, f"requests {_amounts(got.get('requests', {}))}; limits {_amounts(got.get('limits', {}))}"
    )


def _amounts(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(found.items())) or "nothing"


@listed(
    ROWS,
    "placement/limit-bounds",
    "792-800",
    says="LimitRange: a container has 50m, 64Mi and 100Mi at least and 4 CPUs, 8Gi and 10Gi at most",
    done="asked, as a dry run, for pods in the stack's namespace beyond each bound",
)
async def limit_bounds(ground: Ground) -> Seen:
    """Refuse what is too much for a container, or too little."""
    got = {}
    for name, over, under in (("cpu", "5", "10m"), ("memory", "9Gi", "32Mi"), ("ephemeral-storage", "11Gi", "50Mi")):
        got[f"{name} {over}"] = await _refused(ground.site, _many(ground.site.image, 1, {}, {name: over}))
        got[f"{name} {under}"] = await _refused(ground.site, _many(ground.site.image, 1, {name: under}, {}))
    good = all(said.startswith(str(FORBIDDEN)) and "per Container is" in said for said in got.values())
    return Seen(good, "; ".join(f"{name}: {said.split()[0]}" for name, said in got.items()))


@listed(
    ROWS,
    "placement/disruption-budget",
    "804-813",
    says="PodDisruptionBudget: at least 3 orchestrators stay",
    done="evicted 3 of 5 pods of the report's own under the stack's budget at once; asked for one of the stack's, dry",
)
async def disruption_budget(ground: Ground) -> Seen:
    """Refuse the eviction below the number."""
    here, name = ground.site, "guarded"
    spec = (await here.kube.get(f"{POLICY.format(NAMESPACE)}/claude-orchestrator-pdb"))["spec"]
    labels = {"app": name}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}}
    copied = {**spec, "selector": {"matchLabels": labels}}
    # Those that come in the place of others are not ready before all has been asked.
    slow = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "initialDelaySeconds": 5}}
    template = objects.echo(here.image, name, container=slow)
    await here.put({**budget, "spec": copied}, objects.deployment(name, 5, template))
    pods = await here.ready(5, f"app={name}")

    async def counted() -> bool:
        status = (await here.kube.get(f"{POLICY.format(here.namespace)}/{name}")).get("status") or {}
        return status.get("currentHealthy") == 5

    await until(counted, 30, "a budget that has counted")
    got = [(await here.kube.evict(pod))[0] for pod in pods[:3]]
    await here.kube.delete(paths.deployments(here.namespace, name), propagation="Background")
    own = await barnyard.would_evict(here.kube, (await orchestrators(here.kube))[0])
    return evicted(got, own)


def evicted(got: Sequence[int], own: int) -> Seen:
    """Judge the answers to evictions from five pods of which three stay, and that to one of the stack's own pods."""
    return Seen(
        list(got) == [CREATED, CREATED, TOO_MANY] and own == CREATED,
        f"{', '.join(map(str, got))}; one of five orchestrators: {own}",
    )
