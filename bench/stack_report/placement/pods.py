"""The Deployment, lines 580 to 682: replicas, roll-out, limits, probes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread

from bench.dying.workload import until
from bench.stack_report import asking, objects, site
from bench.stack_report.placement.common import LOOK_SECONDS, ORCHESTRATOR, SCRAPED_SECONDS, Ground, orchestrators
from bench.stack_report.row import NotHere, Row, Seen, listed
from bench.stack_report.site import NAMESPACE, Site
from harness.cluster import paths
from harness.errors import ApiError
from harness.probes import prometheus, settings
from harness.workloads.pod import is_done, is_ready

UNAVAILABLE, SURGE = 1, 2
ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/replicas",
    "590",
    says="Deployment: 5 replicas",
    done="deleted one orchestrator, and waited until as many were ready again, without it",
)
async def replicas(ground: Ground) -> Seen:
    """Replace a pod that is gone."""
    kube, before = ground.site.kube, await orchestrators(ground.site.kube)
    victim = before[0]
    began = time.monotonic()
    await kube.delete(paths.pods(NAMESPACE, victim["metadata"]["name"]), uid=victim["metadata"]["uid"])

    async def whole() -> bool:
        now = await orchestrators(kube)
        return len(now) >= len(before) and victim["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in now}

    await until(whole, 60, f"{len(before)} orchestrators again")
    return Seen(len(before) >= 5, f"{len(before)} ready again after {time.monotonic() - began:.1f} s")


@listed(
    ROWS,
    "placement/rolling-update",
    "591-595",
    says="Deployment: at most 1 unavailable and 2 more than wanted while it is rolled out",
    done="changed a Deployment of the report's own with 5 replicas and this strategy, and counted pods all the while",
)
async def rolling_update(ground: Ground) -> Seen:
    """Replace pods step by step."""
    here, name = ground.site, "rolled"
    try:
        strategy = (await here.kube.get(paths.deployments(NAMESPACE, ORCHESTRATOR)))["spec"]["strategy"]
    except ApiError as error:
        if error.status != 404:
            raise
        raise NotHere("a Rollout is in the Deployment's place: canary/weights") from error
    slow = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "initialDelaySeconds": 2, "periodSeconds": 1}}
    template = objects.echo(here.image, name, container=slow)
    await here.put(objects.deployment(name, 5, template, strategy=strategy))
    path = paths.deployments(here.namespace, name)

    async def whole(revision: str) -> bool:
        item = await here.kube.get(path)
        status, seen = item.get("status") or {}, item.get("status", {}).get("observedGeneration", 0)
        counts = [status.get(one, 0) for one in ("replicas", "updatedReplicas", "availableReplicas")]
        told = item["spec"]["template"]["metadata"].get("annotations", {}).get("revision", "")
        return counts == [5, 5, 5] and seen >= item["metadata"]["generation"] and told == revision

    await until(lambda: whole(""), 90, "five pods")
    available, there, over = [], [], anyio.Event()

    async def count() -> None:
        while not over.is_set():
            pods = await here.pods(f"app={name}")
            available.append(sum(map(is_ready, pods)))
            there.append(len(pods))
            await anyio.sleep(LOOK_SECONDS)

    async with anyio.create_task_group() as together:
        together.start_soon(count)
        changed = {"spec": {"template": {"metadata": {"annotations": {"revision": "2"}}}}}
        await here.kube.patch(path, changed)
        try:
            await until(lambda: whole("2"), 90, "five new pods")
        finally:
            over.set()
    await here.kube.delete(path, propagation="Background")
    good = min(available) >= 5 - UNAVAILABLE and max(there) <= 5 + SURGE
    return Seen(good, f"of 5 at least {min(available)} were ready, at most {max(there)} were there")


IDENTITY = """
import os
def written(path):
    try:
        open(path, "w").close()
        os.unlink(path)
        return "written"
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
told = os.getuid(), int(status["CapEff"], 16), status["NoNewPrivs"].strip()
print(*told, written("/report"), written("/tmp/report"), sep=";")
"""


@listed(
    ROWS,
    "placement/security-context",
    "610-613, 665-676",
    says="Deployment: user 1000, no capabilities, no more privileges, a file system to read and /tmp to write",
    done="looked from inside an orchestrator who it is, and tried to write to both",
)
async def security_context(ground: Ground) -> Seen:
    """Run as nobody in particular."""
    pod = site.names(await orchestrators(ground.site.kube))[0]
    told = await ground.site.inside(pod, IDENTITY, namespace=NAMESPACE, container=ORCHESTRATOR)
    uid, capabilities, no_more, root, tmp = told.split(";")
    # 30 is what a file system that may only be read says.
    good = (uid, capabilities, no_more, tmp) == ("1000", "0", "1", "written") and root.endswith(" 30")
    return Seen(good, f"user {uid}, capabilities {capabilities}, NoNewPrivs {no_more}; /: {root}, /tmp: {tmp}")


TOLD = """
told = dict(line.split("=", 1) for line in open("/proc/1/environ").read().split(chr(0)) if line)
print(told.get("ENVIRONMENT"), told.get("LOG_LEVEL"))
"""


@listed(
    ROWS,
    "placement/environment",
    "625-629",
    says="Deployment: ENVIRONMENT is production, LOG_LEVEL info",
    done="read what an orchestrator's process was told, and whether it logs less than info",
)
async def environment(ground: Ground) -> Seen:
    """Tell the service where it is and how much to say."""
    pod = site.names(await orchestrators(ground.site.kube))[0]
    told = await ground.site.inside(pod, TOLD, namespace=NAMESPACE, container=ORCHESTRATOR)
    log = await ground.site.kube.get_text(f"{paths.pods(NAMESPACE, pod)}/log", container=ORCHESTRATOR, tailLines=1000)
    debug = sum('"level": "debug"' in line for line in log.splitlines())
    return Seen(told == "production info" and not debug, f"{told}; {debug} of its last lines are of level debug")


# Of these pods alone: what one that goes had counted is forgotten with it.
COUNTED = 'sum(http_requests_total{{service="claude-orchestrator",pod=~"{}"}})'


@listed(
    ROWS,
    "placement/scraping",
    "604-607, 618-622",
    says="Deployment: Prometheus scrapes /metrics on port 9090, by annotations",
    done="asked the orchestrators 20 times on port 8080, and Prometheus how many requests they had counted",
)
async def scraping(ground: Ground) -> Seen:
    """Count what was asked where Prometheus sees it."""
    query = COUNTED.format("|".join(site.names(await orchestrators(ground.site.kube))))

    async def counted() -> float | None:
        return await anyio.to_thread.run_sync(prometheus.value, query)

    before = now = await counted()
    if before is None or now is None:
        return Seen(False, "Prometheus knows of no request of theirs")
    answers = await asking.one_by_one(ground.site.gateway, 20, asking.AGENT, settings.GATEWAY_HOST)
    with anyio.move_on_after(SCRAPED_SECONDS):
        while (now := await counted() or 0) < before + len(answers):
            await anyio.sleep(LOOK_SECONDS)
    return Seen(now >= before + len(answers), f"{asking.statuses(answers)}; Prometheus counted {now - before:g} more")


@listed(
    ROWS,
    "placement/memory-limit",
    "640-648",
    says="Deployment: at most 2Gi of memory (256Mi here)",
    done="took half as much again in a pod of the report's own with the orchestrator's resources",
)
async def memory_limit(ground: Ground) -> Seen:
    """End what takes too much memory."""
    script = "kept = bytearray(384 << 20); import time; time.sleep(600)"
    spec = {"command": ["python3", "-c", script], "resources": ground.container["resources"]}
    await ground.site.put(objects.idle(ground.site.image, "greedy", container=spec, restartPolicy="Never"))
    status = await _ended(ground.site, "greedy", 60)
    ended = status["containerStatuses"][0]["state"]["terminated"]
    return Seen(ended["reason"] == "OOMKilled", f"{ended['reason']}, exit {ended['exitCode']}")


async def _ended(here: Site, name: str, seconds: float) -> Mapping[str, Any]:
    """Wait until a pod has run to its end, and return its status."""
    found: dict[str, Any] = {}

    async def done() -> bool:
        found.clear()
        found.update(await here.kube.get(paths.pods(here.namespace, name)))
        return is_done(found)

    await until(done, seconds, f"the end of {name}")
    return dict(found["status"])


BUSY = """
import glob, os, time
if os.fork() == 0:
    while True:
        pass
began = time.monotonic()
while time.monotonic() < began + 3:
    pass
files = glob.glob("/sys/fs/cgroup/cpu.stat") + glob.glob("/sys/fs/cgroup/cpu*/cpu.stat")
print(next(line for name in files for line in open(name) if line.startswith("nr_throttled")), flush=True)
os._exit(0)
"""


@listed(
    ROWS,
    "placement/cpu-limit",
    "645-647",
    says="Deployment: at most one CPU",
    done="computed with two processes in a pod with the orchestrator's resources, and asked how often it was held",
)
async def cpu_limit(ground: Ground) -> Seen:
    """Hold what takes too much CPU."""
    spec = {"command": ["python3", "-u", "-c", BUSY], "resources": ground.container["resources"]}
    await ground.site.put(objects.idle(ground.site.image, "busy", container=spec, restartPolicy="Never"))
    await _ended(ground.site, "busy", 60)
    log = (await ground.site.kube.get_text(f"{paths.pods(ground.site.namespace, 'busy')}/log")).split()
    return Seen(len(log) == 2 and int(log[1]) > 0, f"held in {log[-1] if log else 'no'} periods of 100 ms")


@listed(
    ROWS,
    "placement/scratch-limit",
    "644-648",
    beside=True,
    within=180,
    says="Deployment: at most 2Gi of ephemeral storage (200Mi here)",
    done="wrote a quarter more than that to /tmp in a pod with the orchestrator's resources",
)
async def scratch_limit(ground: Ground) -> Seen:
    """Evict what fills a node's disk."""
    script = "open('/tmp/much', 'wb').write(bytes(250 << 20)); import time; time.sleep(600)"
    resources = {
        **ground.container["resources"],
        "limits": {**ground.container["resources"]["limits"], "memory": "512Mi"},
    }
    spec = {
        "command": ["python3", "-c", script],
        "resources": resources,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "tmp", "emptyDir": {}}]
    pod = objects.idle(ground.site.image, "scribe", container=spec, restartPolicy="Never", volumes=volumes)
    await ground.site.put(pod)
    status = await _ended(ground.site, "scribe", 160)
    return Seen(status.get("reason") == "Evicted", f"{status.get('reason')}: {status.get('message', '')}")
